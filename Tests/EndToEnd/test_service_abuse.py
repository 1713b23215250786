"""The monitor port and the webhook's port under clients that want to harm: nobody has to show a certificate there."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.pki import Authority
from kit.process import wait_until
from kit.webhook import NAME, Webhook, pod, review

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Webhook CA")


@pytest.fixture
def webhook(binary: Path, directory: Path, authority: Authority) -> Iterator[Webhook]:
    pair = authority.server(dns=(NAME,)).write(directory / "pair")
    running = Webhook(binary, directory, tls=pair).wait_ready()
    yield running
    assert running.process.is_running, running.process.output_tail()
    running.stop()


@contextlib.contextmanager
def held(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


def flood(port: int, request: bytes, limit: int) -> int:
    """Asks again and again, and never reads; how many bytes were taken within some seconds."""
    sent = 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", port))
        client.settimeout(2)
        with contextlib.suppress(OSError):
            while sent < limit:
                sent += client.send(request * 1_000)
    return sent


@pytest.mark.parametrize("path", ["/live", "/metrics", "/config", "/connections"])
def test_who_asks_and_never_reads_costs_little_memory(proxy, path):
    before = proxy.process.rss_bytes()
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    sent = flood(proxy.monitor_port, request, 200 * MEBIBYTE)
    assert sent < 100 * MEBIBYTE, "the monitor port reads what it cannot answer"
    assert proxy.process.rss_bytes() - before < 16 * MEBIBYTE
    assert proxy.monitor("/live")[0] == 200


def test_all_that_was_asked_ahead_is_answered(proxy):
    """More requests at once than the service holds: they wait, and none is lost."""
    count = 5_000
    with socket.create_connection(("127.0.0.1", proxy.monitor_port), timeout=10) as client:
        request = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
        last = b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        client.setblocking(False)
        waiting, answers = request * count + last, b""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                if waiting:
                    waiting = waiting[client.send(waiting):]
            with contextlib.suppress(BlockingIOError):
                piece = client.recv(65_536)
                if not piece:
                    break
                answers += piece
    assert answers.count(b"HTTP/1.1 404") == count
    assert answers.count(b"HTTP/1.1 200") == 1


def test_silent_connections_do_not_keep_the_kubelet_out(proxy):
    with held(proxy.monitor_port, 200):
        for _ in range(3):
            start = time.monotonic()
            assert proxy.monitor("/live")[0] == 200
            assert time.monotonic() - start < 2


def test_who_waits_for_an_answer_is_not_sent_away_for_a_newcomer(proxy):
    """A stream of flows is older than all the silent ones, and goes on."""
    with socket.create_connection(("127.0.0.1", proxy.monitor_port), timeout=5) as reader:
        reader.sendall(b"GET /flows HTTP/1.1\r\nhost: x\r\n\r\n")
        assert reader.recv(4_096).startswith(b"HTTP/1.1 200")
        with held(proxy.monitor_port, 200):
            assert proxy.monitor("/live")[0] == 200
            with proxy.connect() as client:
                client.request("/echo/seen")
            assert b"/echo/seen" in reader.recv(65_536)


def test_those_who_wait_for_the_application_do_not_keep_the_kubelet_out(start_proxy, start_upstream):
    """A hundred ask /ready again and again while the application hangs; /live is answered every time."""
    upstream = start_upstream(lambda stream: time.sleep(30))
    proxy = start_proxy(wait=False, UPSTREAM_READINESS_URL=f"http://127.0.0.1:{upstream.port}/")
    wait_until(lambda: proxy.monitor("/live")[0] == 200, "it lives")
    stopping = threading.Event()
    answers: list[bytes] = []

    def ask_again_and_again() -> None:
        while not stopping.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.monitor_port), 3) as client:
                client.settimeout(3)
                piece = b"x"
                while piece and not stopping.is_set():
                    client.sendall(b"GET /ready HTTP/1.1\r\nHost: m\r\n\r\n")
                    piece = client.recv(1_000)
                    answers.append(piece)

    threads = [threading.Thread(target=ask_again_and_again) for _ in range(100)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        live = []
        for _ in range(25):
            started = time.monotonic()
            live.append((proxy.monitor("/live")[0], time.monotonic() - started < 2))
            time.sleep(0.1)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert live == [(200, True)] * 25
    told = [answer for answer in answers if answer]
    assert told and all(answer.startswith(b"HTTP/1.1 503 ") for answer in told)


def test_silent_connections_do_not_send_those_away_who_wait_for_the_application(start_proxy, start_upstream):
    def late(stream: socket.socket) -> None:
        stream.recv(4_096)
        time.sleep(2)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream = start_upstream(late)
    proxy = start_proxy(
        wait=False, UPSTREAM_READINESS_URL=f"http://127.0.0.1:{upstream.port}/", READINESS_TIMEOUT_SECS="5")
    wait_until(lambda: proxy.monitor("/live")[0] == 200, "it lives")
    with socket.create_connection(("127.0.0.1", proxy.monitor_port), timeout=8) as waiting:
        waiting.sendall(b"GET /ready HTTP/1.1\r\nHost: m\r\n\r\n")
        time.sleep(0.3)
        with held(proxy.monitor_port, 200):
            assert proxy.monitor("/live")[0] == 200
            assert waiting.recv(4_096).startswith(b"HTTP/1.1 200 ")


def test_silent_connections_do_not_keep_the_api_server_out(webhook, authority):
    with held(webhook.port, 1_100), webhook.connect(authority.pem) as caller:
        assert caller.ask(review(pod()))["allowed"] is True


# Reviews by a stranger, which the API server has not looked at


FLAG = "\U0001f1e6"


def seconds(caller, of: dict) -> tuple[float, dict, int]:
    """How long a review takes, its response, and how long the answer is."""
    start = time.monotonic()
    status, body = caller.send(json.dumps(review(of), ensure_ascii=False).encode())
    assert status == 200, body[:200]
    return time.monotonic() - start, json.loads(body)["response"], len(body)


def deployment(annotations: dict) -> dict:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "annotations": annotations},
        "spec": {"template": {"metadata": {}, "spec": pod()["spec"]}},
    }


def test_a_name_of_a_hundred_thousand_flags_is_cut_at_once(webhook, authority):
    """Where one flag of a row ends and the next begins can only be counted from the first."""
    with webhook.connect(authority.pem) as caller:
        took, response, _ = seconds(caller, deployment({"sidecar.mtls.dev/" + FLAG * 100_000: ""}))
    assert took < 5
    warning = response["warnings"][0]
    assert FLAG in warning and warning.endswith("...") and len(warning.encode()) <= 256


@pytest.mark.parametrize("kind", ["containers", "volumes"])
def test_the_remains_of_ten_thousand_sidecars_are_taken_out_in_time(webhook, authority, kind):
    ours = {"containers": "sidecar", "volumes": "sidecar-tls"}[kind]
    items = [{"name": ours if index % 2 else f"x{index}"} for index in range(80_000)]
    of = pod(annotations={"sidecar.mtls.dev/status": "{}"}, **{kind: items})
    with webhook.connect(authority.pem) as caller:
        took, _, _ = seconds(caller, of)
    assert took < 5


@pytest.mark.parametrize("of", [
    pod(annotations={f"sidecar.mtls.dev/x{index}": "" for index in range(50_000)}),
    deployment({f"sidecar.mtls.dev/x{index}": "" for index in range(50_000)}),
    pod("n" * 1_000_000),
], ids=["faults", "warnings", "name"])
def test_of_many_faults_the_first_are_told(webhook, authority, of):
    logged = len(webhook.process.stdout)
    with webhook.connect(authority.pem) as caller:
        _, response, count = seconds(caller, of)
    assert count < 16_384
    assert sum(len(one.encode()) for one in response.get("warnings", [])) <= 4_096
    assert len(response.get("status", {}).get("message", "").encode()) <= 4_096 + len("sidecar: ")
    wait_until(lambda: len(webhook.log) > 0 and webhook.log[-1]["message"] == "review", "the review is in the log")
    assert len(webhook.process.stdout) - logged < 32_768


def test_a_name_that_comes_twice_is_repeated_in_part(webhook, authority):
    name = b"a" * 1_000_000
    with webhook.connect(authority.pem) as caller:
        status, body = caller.send(b'{"' + name + b'":1,"' + name + b'":2}')
    assert status == 400 and b"is there twice" in body and len(body) < 1_024


def test_answers_that_nobody_takes_hold_bounded_memory(webhook, authority):
    """A long list of ports is a good one, and its answer is longer than the question."""
    ports = ",".join(str(20_000 + index % 30_000) for index in range(400_000))
    body = json.dumps(review(pod(annotations={"sidecar.mtls.dev/exclude-inbound-ports": ports}))).encode()
    head = f"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            caller = stack.enter_context(webhook.connect(authority.pem))
            caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            with contextlib.suppress(OSError):
                caller.socket.sendall(head.encode() + body)
        assert webhook.monitor("/live")[0] == 200
        assert webhook.process.rss_bytes() < 160 * MEBIBYTE
        with webhook.connect(authority.pem) as caller:
            assert caller.ask(review(pod()))["allowed"] is True
