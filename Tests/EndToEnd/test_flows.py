"""`/flows` tells live what has finished, and lets nobody down who does not listen fast enough."""

import json
import socket
import threading

import pytest
from kit.forward import ForwardProxy
from kit.monitor import metrics
from kit.process import wait_until
from kit.proxy import Proxy, free_port


class Listener:
    """A reader of `/flows`."""

    def __init__(self, proxy: Proxy, query: str = "", buffer: int = 0):
        self.stream = socket.socket()
        if buffer:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.stream.settimeout(10)
        self.stream.connect(("127.0.0.1", proxy.monitor_port))
        self.stream.sendall(f"GET /flows{query} HTTP/1.1\r\nHost: monitor\r\n\r\n".encode())
        self.file = self.stream.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def next(self) -> dict:
        return json.loads(self.file.readline())

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.stream.close()


def request(proxy: Proxy, *paths: str, method: str = "GET") -> None:
    with proxy.connect() as client:
        for path in paths:
            client.request(path, method)


def hears(proxy: Proxy, listener: Listener) -> None:
    """Waits until the workers know that somebody listens: a flow arrives."""
    stop = threading.Event()

    def knock() -> None:
        while not stop.is_set():
            request(proxy, "/echo/knock")

    knocking = threading.Thread(target=knock)
    knocking.start()
    assert listener.next()["path"] == "/echo/knock"
    stop.set()
    knocking.join()


def test_a_request_is_told_with_the_fields_of_the_access_log(start_proxy):
    proxy = start_proxy(ACCESS_LOG="off", WORKER_THREADS="1")
    with Listener(proxy) as listener:
        assert listener.status == 200
        hears(proxy, listener)
        request(proxy, "/echo/told?token=secret")
        while (flow := listener.next())["path"] == "/echo/knock":
            pass
    assert flow["path"] == "/echo/told"
    assert (flow["method"], flow["response_code"], flow["direction"]) == ("GET", 200, "inbound")
    assert flow["peer_identity"] == "spiffe://test/caller"
    assert "/echo/told" not in proxy.process.stdout, "ACCESS_LOG=off"


@pytest.mark.parametrize("query, told", [
    ("?status=404", ["/status/404"]), ("?status=4xx", ["/status/404", "/status/418"]),
    ("?path=/status/5", ["/status/500"]), ("?method=POST", ["/echo/last"]),
    ("?direction=outbound", []), ("?peer=127.0.0.1&status=404", ["/status/404"]),
    ("?peer=spiffe://test/*&status=500", ["/status/500"]), ("?peer=nobody", []),
    ("?min_duration_ms=200", ["/slow/0.3"]), ("?authority=localhost&status=418", ["/status/418"]),
    ("?path=%2Fstatus%2F404", ["/status/404"]),
])
def test_filters(start_proxy, query, told):
    proxy = start_proxy(WORKER_THREADS="1")
    with Listener(proxy) as all_of_them, Listener(proxy, query) as listener:
        hears(proxy, all_of_them)
        request(proxy, "/status/404", "/status/500", "/status/418", "/slow/0.3")
        request(proxy, "/echo/last", method="POST")
        while all_of_them.next()["path"] != "/echo/last":
            pass
        listener.stream.settimeout(0.3)
        heard = []
        try:
            while True:
                heard.append(listener.next()["path"])
        except TimeoutError:
            pass
    assert heard == told


@pytest.mark.parametrize("query", ["?direction=sideways", "?status=many", "?status=9xx", "?colour=red"])
def test_a_filter_that_is_none_is_refused_with_a_sentence(start_proxy, query):
    status, text = start_proxy().monitor(f"/flows{query}")
    assert status == 400 and len(text.split()) > 3


def test_a_tunnel_is_told_when_it_ends(start_proxy, app):
    forward = ForwardProxy(start_proxy, WORKER_THREADS="1")
    with Listener(forward.proxy, "?direction=outbound") as listener, Listener(forward.proxy) as first:
        hears(forward.proxy, first)
        with forward.connect() as client:
            refused = f"localhost:{free_port()}"
            client.send(f"CONNECT {refused} HTTP/1.1\r\nHost: {refused}\r\n\r\n".encode())
            client.response()
        flow = listener.next()
    assert (flow["method"], flow["response_code"], flow["response_flags"]) == ("CONNECT", 502, "UF")


def test_a_listener_that_does_not_read_loses_lines_and_nobody_waits(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true", WORKER_THREADS="1", ACCESS_LOG="off")
    with Listener(proxy) as quick, Listener(proxy, buffer=8_192) as slow:
        hears(proxy, quick)
        reading = threading.Thread(target=lambda: [None for _ in quick.file], daemon=True)
        reading.start()
        path = "/echo/" + "x" * 900
        dropped = 0
        with proxy.connect() as client:
            for _ in range(60):
                for _ in range(300):
                    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    client.response()
                dropped = metrics(proxy).value("sidecar_flow_lines_dropped_total")
                if dropped:
                    break
        assert dropped > 0, "the slow one has lost lines"
        # It reads on, and is told how many.
        missing = next(flow["dropped"] for flow in map(json.loads, slow.file) if "dropped" in flow)
        assert 0 < missing <= metrics(proxy).value("sidecar_flow_lines_dropped_total")
        quick.stream.shutdown(socket.SHUT_RDWR)


def test_what_a_worker_drops_is_told_too(start_proxy):
    """More in one turn than a worker may have under way: every line is heard, or counted in a line that is."""
    forward = ForwardProxy(start_proxy, ENABLE_METRICS="true", WORKER_THREADS="1", ACCESS_LOG="off")
    proxy, each, clients = forward.proxy, 4_000, 6
    heads = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * each  # 400: a proxy wants to be told where to

    def ask() -> None:
        with forward.connect() as client:
            client.send(heads[:28])
            client.response()  # the connection stands before the flood
            start.wait()
            sending = threading.Thread(target=client.send, args=(heads[28:],))
            sending.start()
            for _ in range(each - 1):
                client.response()
            sending.join()

    with Listener(proxy, "?direction=outbound") as listener, Listener(proxy) as first:
        hears(proxy, first)
        first.close()
        start = threading.Barrier(clients)
        flood = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in flood:
            thread.start()
        heard = dropped = 0
        while heard + dropped < each * clients:
            line = listener.next()
            if "dropped" in line:
                dropped += line["dropped"]
            else:
                heard += 1
        for thread in flood:
            thread.join()
    assert heard + dropped == each * clients
    assert dropped > 0 and heard > 0
    assert metrics(proxy).value("sidecar_flow_lines_dropped_total") >= dropped


def test_there_is_room_for_some_listeners_and_for_probes_always(start_proxy):
    proxy = start_proxy()
    listeners = [Listener(proxy) for _ in range(9)]
    assert [listener.status for listener in listeners] == [200] * 8 + [503]
    assert proxy.monitor("/live")[0] == 200
    for listener in listeners:
        listener.close()
    wait_until(lambda: status_of_a_new_one(proxy) == 200, "there is room again")


def status_of_a_new_one(proxy: Proxy) -> int:
    with Listener(proxy) as listener:
        return listener.status
