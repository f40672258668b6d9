import hashlib
import threading

import numpy
import pandas
from facts import tell

random = numpy.random.default_rng(7)
frame = pandas.DataFrame({'group': random.integers(0, 100, 1_000_000), 'value': random.standard_normal(1_000_000)})
left, right = random.standard_normal((600, 600)), random.standard_normal((600, 600))
stop = threading.Event()


def multiply():
    while not stop.is_set():
        left @ right


threading.Thread(target=multiply, daemon=True).start()
number = 0
while True:
    number += 1
    means = frame.groupby('group')['value'].mean()
    product = (left @ right).round(6).tobytes()
    tell(
        round=number,
        frame=hashlib.sha256(means.to_numpy().tobytes()).hexdigest()[:16],
        product=hashlib.sha256(product).hexdigest()[:16],
    )
