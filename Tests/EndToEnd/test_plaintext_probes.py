"""INBOUND_PLAINTEXT=probes: a listed probe may come without TLS, and nothing else."""

import json
import socket
import sys

import pytest
from conftest import needs_root
from kit import h2wire
from kit.monitor import metrics
from kit.pod import url
from kit.probing import GRPC, HTTP, HTTPS, KUBELET, PROBES, TCP, ProbedPod
from kit.process import wait_until
from kit.transparent import PodPair
from kit.wire import Connection, client_context

GOOD = b"GET /healthz?deep=1 HTTP/1.1\r\nHost: pod\r\nUser-Agent: kube-probe/1.34\r\nConnection: close\r\n\r\n"
DB = b"\x00\x00\x00\x00\x04\x0a\x02db"
CHECK = "/grpc.health.v1.Health/Check"


@pytest.fixture(scope="module")
def shared(binary, scratch):
    needs_root()
    pods = PodPair(scratch, binary)
    try:
        probed = ProbedPod(pods, INBOUND_PLAINTEXT="probes", HEADER_TIMEOUT_SECS="2")
        yield probed
        assert probed.sidecar.is_running, f"the sidecar died:\n{probed.sidecar.output_tail()}"
    finally:
        pods.remove()


@pytest.fixture
def probed(shared):
    for kind in ("http", "https", "tcp", "grpc"):
        shared.set(kind, "open")
    return shared


def connect(probed, port, family="ipv4") -> Connection:
    return Connection(probed.kubelet.connect(getattr(probed.pod, family), port))


def refused(probed) -> float:
    return metrics(probed.pod).value("sidecar_plaintext_requests_total", verdict="refused")


def answered(probed) -> float:
    return metrics(probed.pod).value("sidecar_plaintext_requests_total", verdict="probe")


def checked(probed, family="ipv4", service=b"\x0a\x02db", **options) -> bytes:
    """A gRPC health check as grpc-go and grpcio make it."""
    address = getattr(probed.pod, family)
    target = f"[{address}]:{GRPC}" if ":" in address else f"{address}:{GRPC}"
    program = (
        "import grpc, sys\n"
        f"with grpc.insecure_channel({target!r}) as channel:\n"
        f"    try: print('answer', channel.unary_unary({CHECK!r})({service!r}, timeout=5).hex())\n"
        "    except grpc.RpcError as error: print('status', error.code().name, error.details())\n")
    done = probed.kubelet.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What is let through

@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_listed_http_probe_passes_and_fails_with_the_application(probed, family):
    for state, expected in (("200", 200), ("500", 503), ("302", 200), ("hang", 503), ("closed", 503), ("open", 200)):
        probed.set("http", state)
        with connect(probed, HTTP, family) as client:
            client.send(GOOD)
            answer = client.response()
            assert answer.status == expected, state
            assert answer.closes and client.is_closed()
            assert b"health" not in answer.body, "what the application says is not a stranger's business"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_listed_grpc_probe_passes_and_fails_with_the_application(probed, family):
    assert checked(probed, family) == "answer 0801"
    for state in ("2", "hang", "closed"):
        probed.set("grpc", state)
        assert checked(probed, family).startswith("status UNAVAILABLE"), state
    probed.set("grpc", "open")
    assert checked(probed, family) == "answer 0801"


def test_the_application_sees_the_listed_request_and_nothing_of_the_strangers(probed):
    with connect(probed, HTTP) as client:
        client.send(
            b"GET /healthz?deep=1 HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: evil\r\nX-HTTP-Method-Override: DELETE\r\n"
            b"Cookie: session=1\r\nX-Client-CN: admin\r\nX-Forwarded-For: 127.0.0.1\r\nX-Probe: no\r\n"
            b"X-Forwarded-Client-Cert: URI=spiffe://x\r\nConnection: keep-alive\r\n\r\n")
        assert client.response().status == 200
        assert client.is_closed()
    seen = probed.seen("http")[-1]
    assert seen["line"] == "GET /healthz?deep=1 HTTP/1.1" and seen["rest"] == ""
    assert seen["fields"] == [
        ["Host", f"{probed.pod.ipv4}:{HTTP}"], ["User-Agent", "kube-probe/sidecar"], ["Accept", "*/*"],
        ["X-Probe", "yes"], ["Connection", "close"]]


def test_metadata_of_a_stranger_does_not_reach_the_application(probed):
    address = (probed.pod.ipv4, GRPC)
    stream = probed.kubelet.connect(*address)
    with h2wire.Client(stream) as client:
        answer = client.request(
            CHECK, "POST", body=DB, scheme="http",
            headers=[("content-type", "application/grpc"), ("te", "trailers"), ("x-client-cn", "admin"), ("x-own", "1")])
        assert answer.status == 200 and dict(answer.trailers)["grpc-status"] == "0"
        assert bytes(answer.body) == b"\x00\x00\x00\x00\x02\x08\x01"
        client.wait_over()
    keys = [name for name, _ in probed.seen("grpc")[-1]["metadata"]]
    assert "x-client-cn" not in keys and "x-own" not in keys


def test_it_is_counted_and_logged(probed):
    before = answered(probed)
    with connect(probed, HTTP) as client:
        client.send(GOOD)
        assert client.response().status == 200
    assert checked(probed) == "answer 0801"
    assert answered(probed) == before + 2
    assert any('"application probed"' in line and "livez" in line for line in probed.sidecar.stdout.splitlines())


def test_a_request_in_pieces_is_read(probed):
    with connect(probed, HTTP) as client:
        client.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(GOOD)):
            client.send(GOOD[index:index + 1])
        assert client.response().status == 200


def test_mtls_works_beside_it(probed):
    pair = probed.pods.write("peer", probed.pods.authority.client("peer"))
    context = client_context(probed.pods.ca_file, pair)
    plain = probed.kubelet.connect(probed.pod.ipv4, HTTP)
    with Connection(context.wrap_socket(plain, server_hostname=probed.pod.ipv4)) as client:
        assert client.request("/anything").status == 200


def test_a_tcp_probe_passes_whatever_the_application_does(probed):
    """The kernel has accepted before anyone can be asked: docs/probes.md says so."""
    before = refused(probed)
    for state in ("open", "closed"):
        probed.set("tcp", state)
        probed.kubelet.connect(probed.pod.ipv4, TCP).close()
    assert refused(probed) == before
    assert any("APP_PROBES" in line and "tcpSocket" in line for line in probed.sidecar.stdout.splitlines())


# What is not

def get(target: bytes, *fields: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1", rest: bytes = b"") -> bytes:
    return b"\r\n".join([method + b" " + target + b" " + version, b"Host: pod", *fields]) + b"\r\n\r\n" + rest


HOSTILE = {
    "another path": get(b"/admin"),
    "without the query": get(b"/healthz"),
    "another query": get(b"/healthz?deep=2"),
    "a longer path": get(b"/healthz?deep=1&x=1"),
    "a slash more": get(b"//healthz?deep=1"),
    "an encoded letter": get(b"/health%7A?deep=1"),
    "dots": get(b"/x/../healthz?deep=1"),
    "a dot": get(b"/./healthz?deep=1"),
    "a backslash": get(b"\\healthz?deep=1"),
    "in capitals": get(b"/HEALTHZ?deep=1"),
    "a parameter": get(b"/healthz;x?deep=1"),
    "a fragment": get(b"/healthz?deep=1#x"),
    "absolute-form": get(b"http://pod/healthz?deep=1"),
    "absolute-form of another host": get(b"http://other/healthz?deep=1"),
    "authority-form": get(b"pod:80", method=b"CONNECT"),
    "HEAD": get(b"/healthz?deep=1", method=b"HEAD"),
    "POST": get(b"/healthz?deep=1", method=b"POST"),
    "get": get(b"/healthz?deep=1", method=b"get"),
    "a body": get(b"/healthz?deep=1", b"Content-Length: 5", rest=b"hello"),
    "a body that does not come": get(b"/healthz?deep=1", b"Content-Length: 5"),
    "an empty body": get(b"/healthz?deep=1", b"Content-Length: 0"),
    "chunks": get(b"/healthz?deep=1", b"Transfer-Encoding: chunked", rest=b"0\r\n\r\n"),
    "an upgrade": get(b"/healthz?deep=1", b"Connection: Upgrade", b"Upgrade: websocket"),
    "an upgrade to h2c": get(b"/healthz?deep=1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "an expectation": get(b"/healthz?deep=1", b"Expect: 100-continue"),
    "a second request": GOOD + get(b"/admin"),
    "the same again": GOOD + GOOD,
    "a byte more": GOOD + b"x",
    "two hosts": get(b"/healthz?deep=1", b"Host: other"),
    "no host": b"GET /healthz?deep=1 HTTP/1.1\r\n\r\n",
    "bare line feeds": b"GET /healthz?deep=1 HTTP/1.1\nHost: pod\n\n",
    "a space before the colon": get(b"/healthz?deep=1", b"X : y"),
    "HTTP/0.9": b"GET /healthz?deep=1\r\n\r\n",
    "HTTP/2.0 in text": get(b"/healthz?deep=1", version=b"HTTP/2.0"),
    "a long head": get(b"/healthz?deep=1", b"X: " + b"x" * 9_000),
    "a long line": b"GET /" + b"x" * 20_000,
    "no protocol": b"hello\r\n",
    "the beginning, then nothing": GOOD[:20],
    "HTTP/2 on a port without gRPC": h2wire.PREFACE + h2wire.settings({}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused_and_counted(probed, name):
    before, heard = refused(probed), len(probed.seen("http"))
    with connect(probed, HTTP) as client:
        try:
            client.send(HOSTILE[name])
            if "nothing" in name:
                client.stream.shutdown(socket.SHUT_WR)
            assert client.until_close() == b""
        except ConnectionError:
            pass
    wait_until(lambda: refused(probed) == before + 1, "it is counted")
    assert len(probed.seen("http")) == heard


def test_a_second_request_that_comes_later_is_not_served(probed):
    probed.set("http", "hang")
    heard = len(probed.seen("http"))
    with connect(probed, HTTP) as client:
        client.send(GOOD)
        wait_until(lambda: len(probed.seen("http")) == heard + 1, "the first is asked")
        client.send(get(b"/admin") + GOOD)
        assert client.response().status == 503
        try:
            client.send(get(b"/admin"))
            assert client.until_close() == b""
        except ConnectionError:
            pass
    assert [seen["line"] for seen in probed.seen("http")[heard:]] == ["GET /healthz?deep=1 HTTP/1.1"]


def test_a_silent_client_is_let_go(probed):
    with connect(probed, HTTP) as client:
        client.send(GOOD[:20])
        try:
            assert client.until_close() == b""
        except ConnectionError:
            pass


def test_a_probe_is_for_its_own_port(probed):
    before = refused(probed)
    for port in (TCP, GRPC, HTTPS, 7777):
        with connect(probed, port) as client:
            try:
                client.send(GOOD)
                assert client.until_close() == b""
            except ConnectionError:
                pass
    assert refused(probed) == before + 4


GRPC_FIELDS = [("content-type", "application/grpc"), ("te", "trailers")]
HOSTILE_GRPC = {
    "another method": {"path": "/grpc.health.v1.Health/Watch", "body": DB},
    "another service's method": {"path": "/admin.v1.Admin/Delete", "body": DB},
    "a query": {"path": CHECK + "?x", "body": DB},
    "GET": {"method": "GET"},
    "without gRPC's content type": {"headers": [("content-type", "application/json")], "body": DB},
    "another service": {"body": b"\x00\x00\x00\x00\x07\x0a\x05admin"},
    "the whole server": {"body": b"\x00\x00\x00\x00\x00"},
    "compressed": {"body": b"\x01" + DB[1:]},
    "two messages": {"body": DB + DB},
    "more": {"body": DB + b"x"},
    "no body": {"body": b""},
    "no end of body": {"body": b"x" * 9_000},
    "trailers": {"body": DB, "trailers": [("x", "y")]},
}


@pytest.mark.parametrize("name", HOSTILE_GRPC)
def test_any_other_call_is_refused_and_counted(probed, name):
    before, heard = refused(probed), len(probed.seen("grpc"))
    options = {"path": CHECK, "method": "POST", "headers": GRPC_FIELDS, "scheme": "http"} | HOSTILE_GRPC[name]
    with h2wire.Client(probed.kubelet.connect(probed.pod.ipv4, GRPC)) as client:
        try:
            stream = client.open(**options)
            client.wait_over()
            assert not stream.headers
        except ConnectionError:
            pass
    wait_until(lambda: refused(probed) == before + 1, "it is counted")
    assert len(probed.seen("grpc")) == heard


def test_a_second_stream_is_not_served(probed):
    before, heard = refused(probed), len(probed.seen("grpc"))
    with h2wire.Client(probed.kubelet.connect(probed.pod.ipv4, GRPC)) as client:
        try:
            client.open(CHECK, "POST", headers=GRPC_FIELDS, scheme="http", end=False)
            client.open(CHECK, "POST", headers=GRPC_FIELDS, scheme="http", body=DB)
            client.wait_over()
        except ConnectionError:
            pass
    wait_until(lambda: refused(probed) == before + 1, "it is counted")
    assert len(probed.seen("grpc")) == heard


@pytest.mark.parametrize("mode", ["deny", "probes"])
def test_without_a_list_nothing_is_let_through(fresh_pods, mode):
    probed = ProbedPod(fresh_pods, probes={} if mode == "probes" else PROBES, INBOUND_PLAINTEXT=mode)
    done = probed.kubelet.curl("-A", KUBELET, url(probed.pod.ipv4, HTTP, "/healthz?deep=1"), seconds=5)
    assert done.returncode != 0
    assert probed.seen("http") == []
    probed.set("tcp", "closed")
    probed.kubelet.connect(probed.pod.ipv4, TCP).close()  # the kernel accepts, whatever the mode
    said = [json.loads(line) for line in probed.sidecar.stdout.splitlines() if "plaintext refused" in line]
    assert said and said[-1]["peer"]
