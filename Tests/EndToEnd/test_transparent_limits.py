"""The timeouts hold for captured connections too, whatever is spoken on them."""

from __future__ import annotations

import socket
import time

import pytest
from kit.namespace import inside
from kit.transparent import ECHO, HTTP, PodPair
from kit.wire import Connection

SILENT = 7900


@pytest.fixture(scope="module")
def hasty(binary, scratch):
    """Two pods whose sidecars do not wait long for anything."""
    from conftest import needs_root
    needs_root()
    pair = PodPair(scratch, binary)
    one_second = {f"{name}_TIMEOUT_SECS": "1" for name in ("HANDSHAKE", "HEADER", "CONNECT")}
    try:
        for pod in (pair.a, pair.b):
            pair.start(pod, **one_second, IDLE_TIMEOUT_SECS="2")
        yield pair
        for pod in (pair.a, pair.b):
            assert pod.sidecar.is_running, f"a sidecar died:\n{pod.sidecar.output_tail()}"
    finally:
        pair.remove()


@pytest.fixture
def silent(hasty):
    """A server in the stranger's pod that takes connections and says nothing."""
    with inside(hasty.stranger.namespace, lambda: socket.create_server(("0.0.0.0", SILENT))) as listener:
        yield listener


def assert_ended_in_time(client: Connection, started: float) -> None:
    assert client.is_closed(), "it stands still"
    assert time.monotonic() - started > 0.9


def test_a_captured_peer_that_says_nothing_is_ended(hasty):
    started = time.monotonic()
    with Connection(hasty.stranger.connect(hasty.b.ipv4, HTTP)) as client:
        assert_ended_in_time(client, started)


def test_half_a_request_line_is_neither_sent_on_nor_kept(hasty, silent):
    started = time.monotonic()
    with Connection(hasty.a.connect(hasty.stranger.ipv4, SILENT)) as client:
        client.send(b"GET /secret")
        assert_ended_in_time(client, started)


def test_half_a_head_is_answered_408(hasty):
    with Connection(hasty.a.connect(hasty.b.ipv4, HTTP)) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: ")
        assert client.response().status == 408


def test_an_address_that_nobody_has_is_504(hasty):
    """Longer than CONNECT_TIMEOUT_SECS would be for the kernel to say that there is no such neighbour."""
    with Connection(hasty.a.connect("10.77.0.250", HTTP)) as client:
        assert client.request("/", host="10.77.0.250").status == 504


def test_an_opaque_connection_to_an_address_that_nobody_has_is_ended(hasty):
    with Connection(hasty.a.connect("10.77.0.250", ECHO)) as client:
        client.send(b"\0opaque")
        assert client.is_closed()


def test_a_destination_that_does_not_shake_hands_is_504(hasty, silent):
    with Connection(hasty.a.connect(hasty.stranger.ipv4, SILENT)) as client:
        assert client.request("/", host=hasty.stranger.ipv4).status == 504


def test_a_silent_opaque_connection_is_ended_and_a_busy_one_is_not(hasty):
    with Connection(hasty.a.connect(hasty.b.ipv4, ECHO)) as client:
        for _ in range(12):
            time.sleep(0.2)
            client.send(b"\0opaque")
            assert client.exactly(7) == b"\0opaque"
        started = time.monotonic()
        assert_ended_in_time(client, started)
