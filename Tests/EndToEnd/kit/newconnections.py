#!/usr/bin/env python3
"""Makes many requests, each on a new plain TCP connection; prints how many were answered 200.

    newconnections.py ADDRESS PORT COUNT THREADS
"""

import socket
import sys
import threading

address, port, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
host = f"[{address}]" if ":" in address else address
request = f"GET /echo HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
answered = [0] * threads
failures: list[str] = []


def work(number: int) -> None:
    for _ in range(count // threads):
        try:
            with socket.create_connection((address, port), timeout=20) as stream:
                stream.sendall(request)
                first = stream.recv(65_536)
                while stream.recv(65_536):
                    pass
            if first.startswith(b"HTTP/1.1 200"):
                answered[number] += 1
            else:
                failures.append(repr(first[:100]))
        except OSError as error:
            failures.append(str(error))


workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(sum(answered))
print(failures[:3], file=sys.stderr)
