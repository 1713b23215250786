"""A request is sent again only if that is safe: a pooled connection died before any byte of the answer, and the
request is idempotent. What might charge a card twice is never repeated."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from kit.upstream import Recorder, Request, RequestReader

IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"]
NOT_IDEMPOTENT = ["POST", "PATCH", "PURGE"]


def answer(stream: socket.socket, request: Request) -> None:
    stream.sendall(Recorder.ANSWER.removesuffix(b"recorded") if request.method == "HEAD" else Recorder.ANSWER)


def close(stream: socket.socket) -> None:
    """FIN, as a server does that restarts."""


def reset(stream: socket.socket) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Mortal:
    """A server whose connections die of the request after the first `lives[n]`, n being the connection's number."""

    def __init__(self, die: Callable[[socket.socket], object], *lives: int, context: ssl.SSLContext | None = None):
        self.die, self.lives, self.context = die, list(lives), context
        #: Answers to /first wait for one another.
        self.together = threading.Barrier(1)
        #: Every whole request that came, answered or not.
        self.seen: list[tuple[str, str]] = []

    def __call__(self, plain: socket.socket) -> None:
        lives = self.lives.pop(0) if self.lives else 1_000
        with self.context.wrap_socket(plain, server_side=True) if self.context else plain as stream:
            reader = RequestReader(stream)
            while request := reader.next():
                self.seen.append((request.method, request.target))
                if not lives:
                    return self.die(stream)
                lives -= 1
                if request.target == "/first":
                    self.together.wait(timeout=30)
                answer(stream, request)


@pytest.fixture(params=["plain", "tls"])
def mortal(request, start_proxy, start_upstream, identities):
    """Starts a proxy before a `Mortal`, by a pool of plain connections or of TLS."""
    context = None
    if request.param == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        pair = identities.server_directory
        context.load_cert_chain(pair / "tls.crt", pair / "tls.key")

    def start(die: Callable[[socket.socket], object], *lives: int, **settings: str):
        serve = Mortal(die, *lives, context=context)
        upstream = start_upstream(serve)
        scheme = "https" if context else "http"
        # One worker has one pool, so the second request meets the connection of the first.
        settings = {"UPSTREAM_URL": f"{scheme}://127.0.0.1:{upstream.port}", "WORKER_THREADS": "1"} | settings
        return start_proxy(**settings), serve, upstream

    return start


def body_of(method: str) -> bytes:
    return b"content" if method in ("PUT", "POST", "PATCH") else b""


@pytest.mark.parametrize("die", [close, reset])
@pytest.mark.parametrize("method", IDEMPOTENT)
def test_an_idempotent_request_survives_the_death_of_a_pooled_connection(mortal, method, die):
    proxy, serve, upstream = mortal(die, 1)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert client.request("/again", method, body=body_of(method)).status == 200
    assert serve.seen.count((method, "/again")) == 2
    assert upstream.connections == 2


@pytest.mark.parametrize("die", [close, reset])
@pytest.mark.parametrize("method", NOT_IDEMPOTENT)
def test_any_other_request_is_never_sent_twice(mortal, method, die):
    proxy, serve, upstream = mortal(die, 1)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert client.request("/once", method, body=body_of(method)).status == 502
        assert client.request("/next", method, body=body_of(method)).status == 200, "the client's connection goes on"
    assert serve.seen.count((method, "/once")) == 1
    assert upstream.connections == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_fresh_connection_that_dies_is_502_at_once(mortal, method):
    proxy, serve, upstream = mortal(close, 0)
    with proxy.connect() as client:
        assert client.request("/once", method).status == 502
    assert serve.seen == [(method, "/once")]
    assert upstream.connections == 1


def test_a_request_is_sent_again_once_and_not_more(mortal):
    proxy, serve, upstream = mortal(close, 1, 0)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert client.request("/again").status == 502
    assert serve.seen.count(("GET", "/again")) == 2
    assert upstream.connections == 2


def test_a_pool_full_of_the_dead_costs_one_retry(mortal):
    """The second attempt takes a new connection, not the next corpse."""
    proxy, serve, upstream = mortal(close, *[1] * 8)
    serve.together = threading.Barrier(8)
    clients = [proxy.connect() for _ in range(8)]
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
            client.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.response().status for client in clients] == [200] * 8
        assert upstream.connections == 8
        assert clients[0].request("/again").status == 200
    assert serve.seen.count(("GET", "/again")) == 2


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
                         ids=["one byte", "a status line", "an interim answer"])
def test_an_upstream_that_has_said_anything_is_not_asked_again(mortal, said):
    proxy, serve, upstream = mortal(lambda stream: stream.sendall(said), 1)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert client.request("/once").status == 502
    assert serve.seen.count(("GET", "/once")) == 1
    assert upstream.connections == 1


def test_an_answer_that_was_cut_off_is_not_asked_for_again(mortal):
    proxy, serve, upstream = mortal(lambda stream: stream.sendall(Recorder.ANSWER[:-3]), 1)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        client.send(b"GET /once HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head().status == 200
        with contextlib.suppress(ConnectionError):
            assert len(client.until_close()) < 8
    assert serve.seen.count(("GET", "/once")) == 1


def test_a_slow_upstream_is_not_a_dead_one(mortal):
    """A request that timed out is being worked on: to send it again would double the load that made it slow."""
    proxy, serve, upstream = mortal(lambda stream: stream.recv(1), 1, 0, RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert client.request("/slow").status == 504
    assert serve.seen.count(("GET", "/slow")) == 1


def test_a_request_that_is_still_being_sent_is_never_whole_twice(mortal):
    """Its first half went to a connection that died; what is left of it is not another request."""
    proxy, serve, upstream = mortal(close, 1)
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        client.send(b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        time.sleep(0.1)
        client.send(b"world")
        assert client.response().status == 502
    assert serve.seen.count(("POST", "/half")) == 1


def test_a_request_whose_upstream_dies_in_the_middle_of_it_becomes_whole_once_or_never(start_proxy, start_upstream):
    """Not sent whole it may be sent again; then all of it, not only what was left."""
    whole, connections = [], iter(range(10))

    def serve(stream):
        number, reader = next(connections), RequestReader(stream)
        while request := reader.head():
            if number == 0 and request.target == "/cut":
                return
            if reader.read_body(request):
                whole.append((request.target, request.body))
                answer(stream, request)

    proxy = start_proxy(upstream_port=start_upstream(serve).port, WORKER_THREADS="1")
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        client.send(b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        time.sleep(0.1)
        with contextlib.suppress(ConnectionError):
            client.send(b"world")
        status = client.response().status
    assert (status, whole[1:]) in ((200, [("/cut", b"helloworld")]), (502, []))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_ended_while_idle_is_not_used(start_proxy, start_upstream, method):
    noticed, seen = threading.Event(), Counter()

    def serve(stream):
        reader = RequestReader(stream)
        request = reader.next()
        seen[request.target] += 1
        answer(stream, request)
        stream.shutdown(socket.SHUT_WR)
        if stream.recv(1) == b"":
            noticed.set()

    upstream = start_upstream(serve)
    proxy = start_proxy(upstream_port=upstream.port, WORKER_THREADS="1")
    with proxy.connect() as client:
        assert client.request("/first").status == 200
        assert noticed.wait(10), "the proxy has not closed what its upstream closed"
        assert client.request("/second", method).status == 200
    assert seen == {"/first": 1, "/second": 1}


def test_in_many_rounds_of_random_deaths_nothing_is_done_twice(start_proxy, start_upstream):
    """No connection dies of its first request, so what may be repeated always succeeds."""
    chance = random.Random(4)
    seen: Counter[str] = Counter()

    def serve(stream):
        reader, first = RequestReader(stream), True
        while request := reader.next():
            seen[request.target] += 1
            fate = chance.choice(["answer", "answer", "answer and close", "close", "reset"])
            if fate == "reset" and not first:
                return reset(stream)
            if fate == "close" and not first:
                return None
            answer(stream, request)
            if fate == "answer and close":
                return None
            first = False

    proxy = start_proxy(upstream_port=start_upstream(serve).port, WORKER_THREADS="1")
    outcomes = Counter()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect()) for _ in range(2)]
        for number in range(200):
            method = chance.choice(IDEMPOTENT + NOT_IDEMPOTENT * 2)
            status = clients[number % 2].request(f"/round/{number}", method, body=body_of(method)).status
            outcomes[method in IDEMPOTENT, status] += 1
            if method in IDEMPOTENT:
                assert status == 200, f"round {number}: {method}"
                assert seen[f"/round/{number}"] in (1, 2)
            else:
                assert status in (200, 502), f"round {number}: {method}"
                assert seen[f"/round/{number}"] <= 1
                assert status != 200 or seen[f"/round/{number}"] == 1
    assert outcomes[False, 502] > 0, "no request met a dying connection: the test has tested nothing"
