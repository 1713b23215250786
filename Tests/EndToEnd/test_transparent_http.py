"""An application calls another with plain HTTP; both sidecars make it mutual TLS and nobody notices."""

import json
import time

import pytest
from kit.capture import Capture, assert_only_tls
from kit.pod import url
from kit.transparent import HTTP
from kit.wire import Connection

MARKER = "plain-secret-7f3a"
FAMILIES = pytest.mark.parametrize("family", ["ipv4", "ipv6"])


@FAMILIES
def test_a_plain_call_is_answered_and_the_wire_is_tls_only(pods, family):
    address = getattr(pods.b, family)
    with Capture(pods.network.namespace, pods.b.port) as capture:
        done = pods.a.curl("-d", MARKER, url(address, HTTP, f"/echo/{MARKER}"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["method"], report["target"], report["body_length"]) == ("POST", f"/echo/{MARKER}", len(MARKER))
    assert_only_tls(capture, MARKER.encode())


@FAMILIES
def test_the_other_direction_works_too(pods, family):
    address = getattr(pods.a, family)
    with Capture(pods.network.namespace, pods.a.port) as capture:
        done = pods.b.curl(url(address, HTTP, f"/echo/{MARKER}"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == f"/echo/{MARKER}"
    assert_only_tls(capture, MARKER.encode())


@FAMILIES
def test_the_application_learns_the_caller_and_gets_its_own_host(pods, family):
    address = getattr(pods.b, family)
    report = json.loads(pods.a.curl(url(address, HTTP, "/echo"), "-H", "X-Client-CN: admin").stdout)
    headers = {}
    for name, value in report["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    assert headers["x-client-cn"] == ["a"]
    assert headers["host"] == [url(address, HTTP)[len("http://"):-1]]
    assert headers["x-forwarded-for"] == [getattr(pods.a, family)]


def test_a_server_is_verified_by_the_name_that_the_application_called(pods):
    done = pods.a.curl("--resolve", f"b.test:{HTTP}:{pods.b.ipv4}", f"http://b.test:{HTTP}/echo")
    assert json.loads(done.stdout)["target"] == "/echo"


def test_many_requests_on_one_connection(pods):
    with Connection(pods.a.connect(pods.b.ipv4, HTTP)) as client:
        for number in range(50):
            assert client.request(f"/echo/{number}", host=pods.b.ipv4).json["target"] == f"/echo/{number}"


def test_chunks_trailers_and_100_continue_cross_both_sidecars(pods):
    with Connection(pods.a.connect(pods.b.ipv6, HTTP)) as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: [%s]\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                    % pods.b.ipv6.encode())
        assert client.head().status == 100
        client.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert client.response().json["body_length"] == 5
        answer = client.request("/chunked/100000", headers=(("TE", "trailers"),), host=f"[{pods.b.ipv6}]")
    assert len(answer.body) == 100_000
    assert [name for name, _ in answer.trailers] == ["X-Checksum"]


def test_a_server_that_is_not_there_is_an_error_answer(pods):
    started = time.monotonic()
    done = pods.a.curl("-w", "%{http_code}", url(pods.b.ipv4, 9999))
    assert done.stdout[-3:] in ("502", "503", "504")
    assert time.monotonic() - started < 8


@FAMILIES
def test_a_pod_may_call_itself(pods, family):
    address = getattr(pods.a, family)
    for _ in range(3):
        done = pods.a.curl(url(address, HTTP, "/echo/self"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["target"] == "/echo/self"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_is_left_alone(pods, address):
    report = json.loads(pods.a.curl(url(address, HTTP, "/echo")).stdout)
    assert not any(name.lower().startswith("x-forwarded") for name, _ in report["headers"])


@FAMILIES
@pytest.mark.parametrize("port", [15001, 15006])
def test_the_capture_port_itself_is_closed_and_never_loops(pods, family, port):
    address = getattr(pods.b, family)
    before = pods.b.sidecar.open_descriptors()
    for pod in (pods.stranger, pods.a):
        try:
            with Connection(pod.connect(address, port, seconds=3), seconds=5) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = b"" if client.is_closed() else b"something"
            assert answer == b"" or pod is pods.a, "the listener answered a direct call"
        except (ConnectionError, TimeoutError):
            pass
    time.sleep(0.5)
    assert pods.b.sidecar.open_descriptors() < before + 20, "the proxy dials itself"
