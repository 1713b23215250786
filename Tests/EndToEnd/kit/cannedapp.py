#!/usr/bin/env python3
"""An HTTP/1.1 server that gives every request the same answer, in one thread, as cheaply as Python can.

For tests of how fast a proxy is under attack: an application that suffers itself would hide it. Prints its port as JSON.
"""

import json
import selectors
import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
listener.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
print(json.dumps({"http": listener.getsockname()[1]}), flush=True)
while True:
    for key, _ in selector.select():
        stream = key.fileobj
        try:
            if stream is listener:
                stream, _ = listener.accept()
                stream.setblocking(False)
                selector.register(stream, selectors.EVENT_READ)
                continue
            if received := stream.recv(65_536):
                stream.send(ANSWER * received.count(b"\r\n\r\n"))
                continue
        except BlockingIOError:
            continue
        except OSError:
            pass
        selector.unregister(stream)
        stream.close()
