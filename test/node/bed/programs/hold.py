"""Holds what CRIU brings back only when it is helped, and says in /state what has become of it, ten times a second."""

import fcntl
import os
import socket
import sys
import time

new = os.O_CREAT | os.O_RDWR
timer = os.timerfd_create(time.CLOCK_MONOTONIC)
os.timerfd_settime(timer, initial=0.1, interval=0.1)

nameless = os.open("/nameless", new)
os.write(nameless, b"n" * (2 << 20))
os.unlink("/nameless")

renamed = os.open("/work/first", new)
os.write(renamed, b"kept")
os.link("/work/first", "/work/second")
os.unlink("/work/first")

hosts = os.open("/etc/hosts", os.O_WRONLY | os.O_APPEND)
os.write(hosts, b"10.9.9.9 added-by-program\n")
os.close(hosts)

lock = os.open("/lock", new)
fcntl.flock(lock, fcntl.LOCK_EX)

datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.connect((sys.argv[1], 8125))

ticks = 0
while True:
    ticks += int.from_bytes(os.read(timer, 8), "little")
    try:
        datagrams.send(b"x")
    except ConnectionRefusedError:
        pass  # nobody listens there
    holds = [os.fstat(nameless).st_size, os.pread(renamed, 9, 0).decode(), datagrams.getsockname()[0]]
    state = os.open("/state.new", new | os.O_TRUNC)
    os.write(state, f"{ticks} {' '.join(str(held) for held in holds)}\n".encode())
    os.close(state)
    os.rename("/state.new", "/state")
