"""An application that speaks HTTP/2 in plain text: its peers may speak either version, and the wire is TLS only."""

import json
import sys

import pytest
from conftest import KIT
from kit import h2wire
from kit.capture import Capture, assert_only_tls
from kit.pairing import seen
from kit.pod import APP_UID, url
from kit.transparent import HTTP, TLS

MARKER = "plain-secret-h2"
H2 = 9000


@pytest.fixture(scope="module")
def h2_in_b(pods):
    """An application in pod b that knows nothing but HTTP/2."""
    process = pods.b.start("h2app", pods.b.command(
        sys.executable, str(KIT / "h2app.py"), str(H2), "--uid", str(APP_UID)))
    process.wait_for_line("h2")
    return H2


def connect(pods, address: str, port: int) -> h2wire.Client:
    """As an application in pod a."""
    return h2wire.Client(pods.a.connect(address, port))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_call_in_http2_is_answered_and_the_wire_is_tls_only(pods, family):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        with connect(pods, getattr(pods.b, family), HTTP) as client:
            report = client.request(
                f"/echo/{MARKER}", "POST", body=MARKER.encode(), authority=f"b.test:{HTTP}", scheme="http")
    # Verification goes by the authority's name; b's certificate has it.
    assert report.status == 200, bytes(report.body)
    assert report.json["target"] == f"/echo/{MARKER}"
    fields = seen(report.json)
    assert fields["host"] == [f"b.test:{HTTP}"] and fields["x-client-cn"] == ["a"]
    assert_only_tls(capture, MARKER.encode())


def test_grpc_content_reaches_an_http2_application_by_http2(pods, h2_in_b):
    with connect(pods, pods.b.ipv4, h2_in_b) as client:
        answer = client.request(
            "/echo", "POST", headers=(("content-type", "application/grpc"), ("te", "trailers")), body=bytes(5),
            authority=f"b.test:{H2}", scheme="http")
    assert answer.json["version"] == "HTTP/2"
    assert seen(answer.json)["x-client-cn"] == ["a"]


def test_many_streams_of_one_application_connection_share_few_handshakes(pods):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        with connect(pods, pods.b.ipv4, HTTP) as client:
            streams = [client.open(f"/bytes/{size}", authority="b.test", scheme="http") for size in range(60)]
            for size, stream in enumerate(streams):
                assert len(client.wait_done(stream).body) == size
    assert capture.client_hellos() <= 2, "HTTP/2 between the sidecars needs one connection"


def test_a_peer_that_speaks_http1_only_is_called_in_http1(pods):
    """No sidecar there, but a TLS server of the same authority that offers no ALPN."""
    home = pods.identity(pods.stranger)
    pods.stranger.start_app("--tls", str(TLS), "--certificate", str(home / "tls.crt"), "--key", str(home / "tls.key"))
    with connect(pods, pods.stranger.ipv4, TLS) as client:
        for number in range(3):
            answer = client.request(f"/echo/{number}", authority=f"stranger.test:{TLS}", scheme="http")
            assert answer.status == 200, bytes(answer.body)
            assert (answer.json["version"], answer.json["target"]) == ("HTTP/1.1", f"/echo/{number}")
        streams = [client.open("/slow/0.3", authority=f"stranger.test:{TLS}", scheme="http") for _ in range(10)]
        assert [client.wait_done(stream).status for stream in streams] == [200] * 10


def test_an_application_in_http1_and_one_in_http2_call_the_same_peer(pods):
    plain = json.loads(pods.a.curl(url(pods.b.ipv4, HTTP, "/echo/first")).stdout)
    framed = json.loads(pods.a.curl("--http2-prior-knowledge", url(pods.b.ipv4, HTTP, "/echo/second")).stdout)
    for report, target in ((plain, "/echo/first"), (framed, "/echo/second")):
        assert report["target"] == target and seen(report)["x-client-cn"] == ["a"]


def test_a_server_that_is_not_there_is_an_error_answer_on_a_connection_that_goes_on(pods):
    with connect(pods, pods.b.ipv4, 9999) as client:
        for _ in range(2):
            assert client.request("/", authority="b.test:9999", scheme="http").status in (502, 503, 504)


def test_a_peer_without_a_certificate_is_never_called(pods):
    """The authority must not choose whom the proxy trusts: a server whose certificate does not fit is refused."""
    with connect(pods, pods.b.ipv4, HTTP) as client:
        assert client.request("/echo", authority="other.test", scheme="http").status in (502, 503)
