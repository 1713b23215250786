"""Every limit is reached here: just below it all is well, just above it the answer is the one that is promised."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from kit.process import wait_until
from kit.proxy import Proxy
from kit.upstream import Recorder, RequestReader
from kit.wire import Closed, Connection, connect_plain

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.close()


@contextlib.contextmanager
def dripping(client: Connection, byte: bytes):
    """Sends a byte ten times a second, as long as the other side takes them."""
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.1):
                client.send(byte)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ends_within(client: Connection, seconds: float) -> float:
    """How long it took until the other side ended the connection; bytes on the way are dropped."""
    started = time.monotonic()
    client.stream.settimeout(seconds)
    with contextlib.suppress(ConnectionError, OSError):
        while client.stream.recv(65_536):
            pass
    took = time.monotonic() - started
    assert took < seconds, "the connection stands still"
    return took


# HANDSHAKE_TIMEOUT_SECS

@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
                         ids=["nothing", "one byte", "the beginning of a ClientHello"])
def test_a_handshake_that_does_not_come_is_ended(start_proxy, sent):
    proxy = start_proxy(HANDSHAKE_TIMEOUT_SECS="1")
    with connect_plain(proxy.address) as client:
        if sent:
            client.send(sent)
        assert 0.9 < ends_within(client, 10)
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


def test_a_handshake_that_drips_gets_no_more_time(start_proxy):
    proxy = start_proxy(HANDSHAKE_TIMEOUT_SECS="1")
    with connect_plain(proxy.address) as client:
        client.send(b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc\x03\x03")
        with dripping(client, b"\0"):
            ends_within(client, 10)


def test_an_upstream_that_does_not_shake_hands_is_504(start_proxy, start_upstream):
    silent = start_upstream(lambda stream: stream.recv(1 << 20) and time.sleep(10))
    proxy = start_proxy(UPSTREAM_URL=f"https://127.0.0.1:{silent.port}", HANDSHAKE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        started = time.monotonic()
        assert client.request("/").status == 504
        assert time.monotonic() - started > 0.9


# HEADER_TIMEOUT_SECS

def test_a_head_that_drips_gets_no_more_time(start_proxy):
    proxy = start_proxy(HEADER_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.request("/echo")
        client.send(HEAD + b"X-Slow: ")
        with dripping(client, b"x"):
            assert client.response().status == 408
        assert client.is_closed()


def test_first_bytes_that_drip_get_no_more_time(start_proxy):
    """What might still become a request line is waited for once, not once more with each byte."""
    proxy = start_proxy(HEADER_TIMEOUT_SECS="1")
    with proxy.connect(alpn=()) as client:
        client.send(b"A")
        with dripping(client, b"A"):
            assert ends_within(client, 10) < 3


def test_the_header_timeout_begins_with_the_first_byte_of_a_head(start_proxy):
    proxy = start_proxy(HEADER_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/echo").status == 200
        time.sleep(1.3)
        assert client.request("/echo").status == 200


# IDLE_TIMEOUT_SECS

@pytest.mark.parametrize("requests", [0, 1])
def test_an_idle_client_is_said_goodbye_to(start_proxy, requests):
    proxy = start_proxy(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        for _ in range(requests):
            assert client.request("/echo").status == 200
        started = time.monotonic()
        assert client.until_close() == b""
        assert time.monotonic() - started > 0.9


def test_an_idle_upstream_connection_is_closed(start_proxy, start_upstream):
    ended = threading.Event()

    def serve(stream):
        reader = RequestReader(stream)
        while reader.next():
            stream.sendall(Recorder.ANSWER)
        ended.set()

    upstream = start_upstream(serve)
    proxy = start_proxy(upstream_port=upstream.port, IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/").status == 200
        assert not ended.is_set()
    assert ended.wait(10), "the pooled connection stands still"
    with proxy.connect() as client:
        assert client.request("/").status == 200


def test_waiting_for_an_answer_is_not_idling(start_proxy):
    proxy = start_proxy(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/slow/1.5").json == {"slept": 1.5}
        assert client.request("/echo").status == 200


def test_an_answer_that_stalls_is_cut_and_never_completed(start_proxy, start_upstream):
    def serve(stream):
        RequestReader(stream).next()
        stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        stream.recv(1)

    proxy = start_proxy(upstream_port=start_upstream(serve).port, IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(HEAD + b"\r\n")
        with pytest.raises((Closed, OSError)) as failure:
            client.response()
        assert not isinstance(failure.value, TimeoutError)


def test_a_client_that_does_not_read_is_let_go(start_proxy, start_upstream):
    failed = threading.Event()

    def serve(stream):
        RequestReader(stream).next()
        try:
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                stream.sendall(bytes(1 << 20))
        except OSError:
            failed.set()
            raise

    proxy = start_proxy(upstream_port=start_upstream(serve).port, IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(HEAD + b"\r\n")
        assert failed.wait(15), "the upstream is still made to wait"


# CONNECT_TIMEOUT_SECS

@pytest.fixture
def black_hole():
    """A port whose connections are never completed: the queue of its listener is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    while len(waiting) < 50:
        stream = socket.socket()
        stream.settimeout(0.2)
        waiting.append(stream)
        try:
            stream.connect(listener.getsockname())
        except TimeoutError:
            break
    else:
        pytest.skip("runs on Linux kernels whose full listener queue drops the next SYN, as mainline does")
    yield listener.getsockname()[1]
    for stream in [*waiting, listener]:
        stream.close()


def test_a_connect_that_does_not_come_to_stand_is_504(start_proxy, black_hole):
    proxy = start_proxy(upstream_port=black_hole, CONNECT_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        started = time.monotonic()
        assert client.request("/").status == 504
        assert 0.9 < time.monotonic() - started


# RESPONSE_TIMEOUT_SECS

def test_an_answers_head_that_drips_gets_no_more_time(start_proxy, start_upstream):
    def serve(stream):
        RequestReader(stream).next()
        stream.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            stream.sendall(b"x")
            time.sleep(0.1)

    proxy = start_proxy(upstream_port=start_upstream(serve).port, RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/").status == 504


def test_a_slow_request_does_not_count_as_a_slow_answer(start_proxy):
    proxy = start_proxy(RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for byte in b"hello":
            time.sleep(0.3)
            client.send(bytes([byte]))
        assert client.response().json["body_length"] == 5


def test_an_answer_that_has_begun_may_take_its_time(start_proxy):
    proxy = start_proxy(RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/drip/6/0.25").body.count(b"line") == 6


# MAX_HEADER_BYTES and the limits that are not settings

def request_of(size: int, head: bytes = HEAD) -> bytes:
    """A head of exactly this many bytes, none of whose fields is long."""
    lines = []
    missing = size - len(head) - 2
    while missing > 0:
        length = missing if missing <= 1000 else min(1000, missing - 100)
        lines.append(b"X-Fill: " + b"x" * (length - 10) + b"\r\n")
        missing -= length
    content = head + b"".join(lines) + b"\r\n"
    assert len(content) == size
    return content


@pytest.mark.parametrize("limit", [1_024, 4_096, 32_768, 200_000])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_head_may_be_as_large_as_the_setting_and_no_larger(start_proxy, recorder, limit, parts):
    proxy = start_proxy(upstream_port=recorder.port, MAX_HEADER_BYTES=str(limit))

    def send(client: Connection, content: bytes) -> None:
        for part in range(parts):
            client.send(content[len(content) * part // parts:len(content) * (part + 1) // parts])
            time.sleep(0.05 if parts > 1 else 0)

    with proxy.connect() as client:
        send(client, request_of(limit))
        assert client.response().status == 200
        send(client, request_of(limit + 1))
        assert client.response().status == 431
        assert client.is_closed()
    [request] = recorder.requests
    assert sum(len(value) + 10 for value in request.all("x-fill")) == limit - len(HEAD) - 2


@pytest.fixture(scope="module")
def bounded(binary, identities, scratch):
    """A proxy with default limits before a recorder."""
    from kit.proxy import Proxy
    recorder = Recorder()
    proxy = Proxy(binary, identities, scratch, recorder.port)
    try:
        proxy.wait_ready().recorder = recorder
        yield proxy
        assert proxy.process.is_running, f"the proxy died:\n{proxy.process.output_tail()}"
    finally:
        proxy.stop()
        recorder.close()


def target_of(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def fields_of(count: int) -> bytes:
    return HEAD + b"X-A: b\r\n" * (count - 1) + b"\r\n"


def connection_names_of(count: int) -> bytes:
    return HEAD + b"Connection: " + b", ".join(b"X-%d" % number for number in range(count)) + b"\r\n\r\n"


def method_of(size: int) -> bytes:
    return b"M" * size + b" / HTTP/1.1\r\nHost: a\r\n\r\n"


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk_line_of(size: int) -> bytes:
    return CHUNKED + b"5;" + b"x" * (size - 2) + b"\r\nhello\r\n0\r\n\r\n"


def trailers_of(size: int) -> bytes:
    line = b"X-Sum: " + b"x" * (size // 8 - 9) + b"\r\n"
    last = b"X-Sum: " + b"x" * (size - 7 * len(line) - 11) + b"\r\n"
    assert len(line * 7 + last) + 2 == size
    return CHUNKED + b"0\r\n" + line * 7 + last + b"\r\n"


def trailer_fields_of(count: int) -> bytes:
    return CHUNKED + b"0\r\n" + b"X-Sum: 1\r\n" * count + b"\r\n"


@pytest.mark.parametrize("make, limit, status", [
    (target_of, 16_384, 414), (fields_of, 256, 431), (connection_names_of, 32, 400), (method_of, 32, 400),
    (chunk_line_of, 1_024, 400), (trailers_of, 8_192, 400), (trailer_fields_of, 64, 400),
])
def test_a_bound_that_is_no_setting_is_exact(bounded, make, limit, status):
    bounded.recorder.forget()
    with bounded.connect() as client:
        client.send(make(limit))
        assert client.response().status == 200
        client.send(make(limit + 1))
        assert client.response().status == status
        assert client.is_closed()
    assert len(bounded.recorder.requests) == 1
    assert bounded.recorder.malformed == []


def test_a_request_line_without_end_is_414(bounded):
    with bounded.connect() as client:
        client.send(b"GET /" + b"a" * 40_000)
        assert client.response().status == 414


@pytest.mark.parametrize("fields", [b"X-A: " + b"x" * 70_000 + b"\r\n", b"X-A: b\r\n" * 300],
                         ids=["too many bytes", "too many fields"])
def test_an_upstreams_head_is_bounded_too(start_proxy, start_upstream, fields):
    def serve(stream):
        reader = RequestReader(stream)
        while reader.next():
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with proxy.connect() as client:
        assert client.request("/").status == 502


@pytest.mark.parametrize("size, status", [(65_536, 200), (65_537, 502)])
@pytest.mark.parametrize("body", [b"", b"x" * 20_000], ids=["alone", "with a body behind it"])
def test_an_upstreams_head_may_have_64_kib_and_no_more(start_proxy, start_upstream, size, status, body):
    """However much of it, or of what follows it, comes in one read."""
    def serve(stream):
        reader = RequestReader(stream)
        while reader.next():
            stream.sendall(request_of(size, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)) + body)

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with proxy.connect() as client:
        assert client.request("/").status == status


# MAX_CONNECTIONS

class Crowd:
    """Clients that connect all at once and keep their connections."""

    def __init__(self, proxy, count: int):
        self.proxy = proxy
        self.served: list[Connection] = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.join) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        # A client that has to wait does so in the handshake.
        client = self.proxy.connect(seconds=30)
        assert client.request("/echo").status == 200
        with self.lock:
            self.served.append(client)

    def leave(self, count: int) -> None:
        with self.lock:
            leaving, self.served = self.served[:count], self.served[count:]
        for client in leaving:
            client.close()


@pytest.mark.parametrize("workers, limit", [(1, 2), (2, 4), (2, 3), (2, 1)])
def test_connections_above_the_limit_wait_until_others_leave(start_proxy, workers, limit):
    proxy = start_proxy(WORKER_THREADS=str(workers), MAX_CONNECTIONS=str(limit))
    crowd = Crowd(proxy, limit + 3)
    wait_until(lambda: len(crowd.served) >= limit, f"{limit} clients are served", 5)
    time.sleep(0.5)
    assert len(crowd.served) == limit, "more than MAX_CONNECTIONS at once"
    assert proxy.monitor("/live")[0] == 200, "the monitor port is not counted"
    crowd.leave(1)
    wait_until(lambda: len(crowd.served) == limit, "one waits no longer")
    while any(thread.is_alive() for thread in crowd.threads) or crowd.served:
        crowd.leave(1)
        time.sleep(0.02)
    for thread in crowd.threads:
        thread.join()
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


# SHUTDOWN_TIMEOUT_SECS

def open_tunnel(proxy) -> Connection:
    client = proxy.connect()
    client.send(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert client.response().status == 101
    return client


def echoes(client: Connection, content: bytes) -> bool:
    client.send(content)
    return client.exactly(len(content)) == content


def test_a_drain_waits_for_tunnels_up_to_its_limit(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="1")
    with open_tunnel(proxy) as client:
        proxy.process.terminate()
        started = time.monotonic()
        wait_until(lambda: proxy.monitor("/ready")[0] != 200, "the drain has begun")
        assert echoes(client, b"still here")
        ends_within(client, 10)
        assert time.monotonic() - started > 0.9
    assert proxy.process.wait(5) == 0


def test_a_drain_ends_with_the_last_tunnel(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="60")
    with open_tunnel(proxy) as client:
        proxy.process.terminate()
        assert echoes(client, b"still here")
    assert proxy.process.wait(10) == 0


def test_a_drain_without_time_ends_at_once(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="0")
    with proxy.connect() as client:
        client.send(b"GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        assert proxy.process.wait(5) == 0
