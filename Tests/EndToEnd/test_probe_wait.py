"""`sidecar probe`, `wait`, `drain` and `quit`: the monitor port for containers without a shell or curl."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from kit.process import wait_until
from kit.proxy import bare_environment, free_port, run_once


def command(binary, *arguments: str, seconds: float = 15, **settings: str) -> subprocess.CompletedProcess:
    return run_once(binary, list(arguments), settings, seconds)


@pytest.mark.parametrize("question", [["ready"], ["live"], []], ids=["ready", "live", "default"])
def test_a_healthy_proxy_answers_every_probe(proxy, binary, question):
    done = command(binary, "probe", *question, MONITOR_PORT=str(proxy.monitor_port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_port_of_the_command_line_wins(proxy, binary):
    done = command(binary, "probe", "--port", str(proxy.monitor_port), MONITOR_PORT=str(free_port()))
    assert done.returncode == 0, done.stderr


def test_a_probe_says_why_the_proxy_is_not_ready(start_proxy, binary):
    proxy = start_proxy(wait=False, UPSTREAM_URL="http://no-such-host.invalid:80")
    port = {"MONITOR_PORT": str(proxy.monitor_port)}
    wait_until(lambda: command(binary, "probe", "live", **port).returncode == 0, "the proxy lives")
    done = command(binary, "probe", "ready", **port)
    assert done.returncode == 1
    assert done.stderr == "sidecar: UPSTREAM_URL has no address yet\n"


def test_a_probe_says_that_nobody_listens(binary):
    port = free_port()
    done = command(binary, "probe", "live", MONITOR_PORT=str(port))
    assert done.returncode == 1
    assert done.stderr == f"sidecar: nobody listens on the monitor port 127.0.0.1:{port}\n"


def test_wait_ends_when_the_proxy_is_ready(start_proxy, binary):
    port = free_port()
    waiting = subprocess.Popen(
        [str(binary), "wait", "--timeout", "20"], env=bare_environment() | {"MONITOR_PORT": str(port)})
    try:
        time.sleep(0.5)
        assert waiting.poll() is None, "wait ended before there was a proxy"
        start_proxy(MONITOR_PORT=str(port), wait=False)
        assert waiting.wait(15) == 0
    finally:
        waiting.kill()


def test_wait_gives_up_with_75_and_the_last_reasons(start_proxy, binary):
    proxy = start_proxy(wait=False, UPSTREAM_URL="http://no-such-host.invalid:80")
    port = {"MONITOR_PORT": str(proxy.monitor_port)}
    wait_until(lambda: command(binary, "probe", "live", **port).returncode == 0, "the proxy lives")
    began = time.monotonic()
    done = command(binary, "wait", "--timeout", "1", **port)
    assert done.returncode == 75
    assert 1 <= time.monotonic() - began < 5
    assert done.stderr.splitlines() == ["sidecar: not ready after 1 s", "sidecar: UPSTREAM_URL has no address yet"]


def test_wait_without_a_proxy_gives_up_with_75(binary):
    done = command(binary, "wait", "--timeout", "0", MONITOR_PORT=str(free_port()))
    assert done.returncode == 75
    assert "nobody listens" in done.stderr


@pytest.mark.parametrize("prefix", [[], ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]], ids=["child", "first process"])
def test_wait_ends_at_a_signal(binary, prefix):
    """In a pod that is being deleted; the first process of a container has no default for signals."""
    if prefix and os.geteuid() != 0:
        pytest.skip("a process namespace: runs as root")
    waiting = subprocess.Popen([*prefix, str(binary), "wait"], env=bare_environment() | {"MONITOR_PORT": str(free_port())})
    try:
        target = wait_until(lambda: child_of(waiting.pid) if prefix else waiting.pid, "it has started")
        time.sleep(0.3)
        os.kill(target, signal.SIGTERM)
        assert waiting.wait(5) == 128 + signal.SIGTERM
    finally:
        waiting.kill()


def child_of(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


@pytest.mark.parametrize("settings, said", [
    ({"MONITOR_PORT": "0"}, "MONITOR_PORT=0 disables"),
    ({"MONITOR_PORT": "http"}, "MONITOR_PORT=http is not valid"),
])
@pytest.mark.parametrize("name", ["probe", "wait", "drain", "quit"])
def test_a_monitor_port_that_is_none_is_said(binary, name, settings, said):
    done = command(binary, name, **settings)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize("arguments", [
    ["probe", "healthy"], ["probe", "--port", "0"], ["probe", "--port", "70000"], ["probe", "--timeout", "0"],
    ["wait", "--timeout", "-1"], ["wait", "--timeout", "soon"], ["quit", "now"],
    ["drain", "--hold", "-1"], ["drain", "--hold", "3601"],
])
def test_wrong_usage_is_2(binary, arguments):
    assert command(binary, *arguments).returncode == 2


# Other things than a sidecar at the port


class Impostor:
    """Takes one connection, keeps what it is sent, answers bytes, and closes or stays silent."""

    def __init__(self, answer: bytes | None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer, self.received = answer, b""
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.received:
                self.received += connection.recv(4096)
            if self.answer is None:
                connection.recv(1)  # until the client gives up
                return
            for start in range(0, len(self.answer), 7):
                connection.sendall(self.answer[start:start + 7])


def test_a_probe_of_something_that_never_answers_ends_in_time(binary):
    impostor = Impostor(None)
    began = time.monotonic()
    done = command(binary, "probe", "--timeout", "1", MONITOR_PORT=str(impostor.port))
    assert done.returncode == 1 and "no answer within 1 s" in done.stderr
    assert time.monotonic() - began < 4


class Dribbler:
    """Answers a byte at a time and never comes to an end."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.dribble, args=(connection,), daemon=True).start()

    def dribble(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4_096)
            for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_000:
                connection.sendall(bytes([byte]))
                time.sleep(0.2)


@pytest.mark.parametrize("arguments", [["probe"], ["drain"], ["quit"]])
def test_an_answer_that_dribbles_is_not_waited_for_longer(binary, arguments):
    began = time.monotonic()
    done = command(binary, *arguments, "--timeout", "2", MONITOR_PORT=str(Dribbler().port))
    assert done.returncode == 1 and "no answer within 2 s" in done.stderr
    assert 1.9 < time.monotonic() - began < 4


@pytest.mark.parametrize("timeout", [1, 6])
def test_wait_ends_when_its_time_is_over_whatever_the_port_does(binary, timeout):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        done = command(binary, "wait", "--timeout", str(timeout), MONITOR_PORT=str(silent.getsockname()[1]))
        took = time.monotonic() - began
    assert done.returncode == 75 and "no answer within" in done.stderr
    assert timeout <= took < timeout + 1.5


def test_a_probe_of_something_else_is_said(binary):
    done = command(binary, "probe", MONITOR_PORT=str(Impostor(b"220 mail.example ESMTP\r\n\r\n").port))
    assert done.returncode == 1 and "does not speak HTTP" in done.stderr


@pytest.mark.parametrize("answer, code, said", [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n", 0, ""),
    (b"HTTP/1.1 503 Unavailable\r\ncontent-length: 8\r\n\r\none\ntwo\n", 1, "sidecar: one\nsidecar: two\n"),
    (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 1, "sidecar: /ready answers 404\n"),
])
def test_an_answer_in_pieces_is_read_whole(binary, answer, code, said):
    done = command(binary, "probe", MONITOR_PORT=str(Impostor(answer).port))
    assert (done.returncode, done.stderr) == (code, said)


def test_quit_ends_a_proxy_after_what_runs(start_proxy, binary):
    """As the last step of a Job would."""
    proxy = start_proxy()
    port = {"MONITOR_PORT": str(proxy.monitor_port)}
    with proxy.connect() as client:
        client.send(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        done = command(binary, "quit", **port)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert proxy.process.is_running
        answer = client.response()
        assert answer.status == 200 and answer.closes
    assert proxy.process.wait(3) == 0
    assert command(binary, "quit", **port).stderr == (
        f"sidecar: nobody listens on the monitor port 127.0.0.1:{proxy.monitor_port}\n")


def test_drain_asks_clients_to_go_and_serves_on(start_proxy, binary):
    """As a preStop hook would: a connection at rest is ended, a new one is served and asked to go."""
    proxy = start_proxy()
    port = {"MONITOR_PORT": str(proxy.monitor_port)}
    with proxy.connect() as client:
        assert not client.request("/").closes
        began = time.monotonic()
        done = command(binary, "drain", "--hold", "1", **port)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert time.monotonic() - began >= 1
        assert client.is_closed()
    with proxy.connect() as late:
        answer = late.request("/")
        assert answer.status == 200 and answer.closes
    assert proxy.process.is_running
    assert command(binary, "probe", **port).stderr == "sidecar: draining\n"


@pytest.mark.parametrize("status, code", [(b"200 OK", 0), (b"202 Accepted", 0), (b"403 Forbidden", 1)])
@pytest.mark.parametrize("name", ["drain", "quit"])
def test_a_refusal_is_said(binary, name, status, code):
    impostor = Impostor(b"HTTP/1.1 " + status + b"\r\ncontent-length: 4\r\n\r\nwhy\n")
    done = command(binary, name, MONITOR_PORT=str(impostor.port))
    assert done.returncode == code
    assert impostor.received.startswith(f"POST /{name} HTTP/1.1\r\n".encode())
    assert done.stderr == ("" if code == 0 else f"sidecar: POST /{name} is answered 403: why\n")
