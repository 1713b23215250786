"""Who has no good certificate does not get to the application of a pod."""

import json
import socket
import ssl

import pytest
from kit.pod import url
from kit.transparent import ECHO, HTTP
from kit.wire import Connection, client_context

FAMILIES = pytest.mark.parametrize("family", ["ipv4", "ipv6"])


def seen_by_application(pod) -> list[str]:
    return json.loads(pod.curl(url("127.0.0.1", HTTP, "/seen")).stdout)["targets"]


@FAMILIES
def test_plain_http_is_refused(pods, family):
    done = pods.stranger.curl(url(getattr(pods.b, family), HTTP, f"/plain-{family}"), seconds=5)
    assert done.returncode != 0
    assert f"/plain-{family}" not in seen_by_application(pods.b)


@FAMILIES
def test_plain_tcp_is_refused(pods, family):
    with Connection(pods.stranger.connect(getattr(pods.b, family), ECHO)) as client:
        try:
            client.send(b"hello")
            assert client.until_close() == b""
        except ConnectionError:
            pass


@FAMILIES
@pytest.mark.parametrize("kind", ["none", "other CA", "expired"])
def test_a_stranger_is_refused_by_an_alert(pods, family, kind):
    pair = {
        "none": lambda: None,
        "other CA": lambda: pods.write("other", pods.other_authority.client("a")),
        "expired": lambda: pods.write("expired", pods.authority.expired("a")),
    }[kind]()
    context = client_context(pods.ca_file, pair)
    address = getattr(pods.b, family)
    with pytest.raises(ssl.SSLError, match="(?i)alert"):
        with context.wrap_socket(pods.stranger.connect(address, HTTP), server_hostname=address) as client:
            # With TLS 1.3 the client is done before the server has looked: the alert comes on reading.
            client.recv(100)


def test_a_request_sent_along_with_a_bad_certificate_is_not_served(pods):
    context = client_context(pods.ca_file, pods.write("hasty", pods.other_authority.client("a")))
    for address in pods.b.addresses:
        with pytest.raises(OSError):
            with context.wrap_socket(pods.stranger.connect(address, HTTP), server_hostname=address) as client:
                client.sendall(b"GET /steal HTTP/1.1\r\nHost: b\r\n\r\n")
                client.recv(100)
    assert "/steal" not in seen_by_application(pods.b)


def test_a_pod_without_sidecar_but_with_a_good_certificate_is_served(pods):
    pair = pods.write("guest", pods.authority.client("guest"))
    context = client_context(pods.ca_file, pair)
    plain = pods.stranger.connect(pods.b.ipv4, HTTP)
    with Connection(context.wrap_socket(plain, server_hostname=pods.b.ipv4)) as client:
        assert client.request("/echo/guest").json["target"] == "/echo/guest"


@FAMILIES
def test_inbound_plaintext_allow_lets_both_in(fresh_pods, family):
    pods = fresh_pods
    pods.start(pods.a)
    pods.start(pods.b, INBOUND_PLAINTEXT="allow")
    address = getattr(pods.b, family)
    for pod in (pods.a, pods.stranger):
        done = pod.curl(url(address, HTTP, "/echo/any"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["target"] == "/echo/any"
    with Connection(pods.stranger.connect(address, ECHO)) as client:
        client.send(b"hello")
        client.stream.shutdown(socket.SHUT_WR)
        assert client.until_close() == b"hello"
