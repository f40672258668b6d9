"""The state of a CPython program: a large dict, threads, an open file and a listening socket. See hog.c for what it does."""

import os
import socket
import sys
import threading
import time

entries = {number: str(number * number) for number in range(int(sys.argv[1]) * 4096)}
count = 0


def verdict() -> str:
    return "ok" if all(value == str(number * number) for number, value in entries.items()) else "corrupt"


def answer(server: socket.socket) -> None:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(f"count={count} data={verdict()}\n".encode())


server = socket.create_server(("", int(sys.argv[2])))
threading.Thread(target=answer, args=(server,), daemon=True).start()
file = os.open("/count", os.O_WRONLY | os.O_CREAT, 0o644)
while True:
    count += 1
    os.pwrite(file, f"{count}\n".encode(), 0)
    print(count, flush=True)
    time.sleep(0.1)
