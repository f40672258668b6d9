import hashlib
import time

import lmdb
from facts import tell

store = lmdb.open('/work/lmdb', map_size=256 << 20, writemap=True, map_async=True)


def digest(n):
    return hashlib.sha256(b'%d' % n).digest() * 16


written = 0
reader = None
while True:
    with store.begin(write=True) as transaction:
        for _ in range(20):
            written += 1
            transaction.put(b'%012d' % written, digest(written))
    if reader is None:
        reader = store.begin()  # an open snapshot: it never sees more than these
    seen = reader.stat()['entries']
    with store.begin() as transaction:
        keys = range(max(1, written - 500), written + 1)
        intact = all(transaction.get(b'%012d' % key) == digest(key) for key in keys)
    tell(records=written, snapshot=seen, intact='yes' if intact else 'no')
    time.sleep(0.1)
