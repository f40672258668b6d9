import multiprocessing
import time
from multiprocessing import shared_memory

from facts import tell

SIZE = 4 << 20


def work(lock, queue, cell, name, number):
    memory = shared_memory.SharedMemory(name)
    while True:
        with lock:
            cell.value += 1
            memory.buf[0:8] = cell.value.to_bytes(8, 'little')
        queue.put(number)
        time.sleep(0.02)


if __name__ == '__main__':
    memory = shared_memory.SharedMemory(create=True, size=SIZE)
    lock, queue, cell = multiprocessing.Lock(), multiprocessing.Queue(), multiprocessing.Value('l', 0)
    workers = [
        multiprocessing.Process(target=work, args=(lock, queue, cell, memory.name, number), daemon=True)
        for number in range(4)
    ]
    for worker in workers:
        worker.start()
    pids = ','.join(str(worker.pid) for worker in workers)
    handled, last = 0, {}
    while True:
        last[queue.get()] = handled
        handled += 1
        if handled % 20 == 0:
            with lock:
                shared = int.from_bytes(memory.buf[0:8], 'little') == cell.value
            alive = sum(handled - seen < 50 for seen in last.values())
            tell(handled=handled, cell=cell.value, shared='yes' if shared else 'no', alive=alive, workers=pids)
