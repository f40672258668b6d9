import queue
import time

from facts import tell
from jupyter_client import KernelManager

manager = KernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)


def run(cell):
    """What a cell printed, once the kernel is idle again."""
    asked, printed = client.execute(cell), None
    while True:
        message = client.get_iopub_msg(timeout=5)
        if message['parent_header'].get('msg_id') != asked:
            continue
        if message['msg_type'] == 'stream':
            printed = message['content']['text'].strip()
        if message['content'].get('execution_state') == 'idle':
            return printed


run('x = 0')
cells = 0
while True:
    try:
        x = run('x += 1; print(x)')
        cells += 1
        tell(cells=cells, x=x, alive=manager.is_alive(), kernel=manager.provisioner.pid)
    except queue.Empty:
        pass
    time.sleep(0.2)
