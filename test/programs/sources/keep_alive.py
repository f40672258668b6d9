"""Keeps one connection to the server open."""
import socket
import time

while True:
    try:
        connection = socket.create_connection(('127.0.0.1', 80))
        while True:
            connection.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            if not connection.recv(4096):
                break
            time.sleep(1)
    except OSError:
        time.sleep(0.3)
