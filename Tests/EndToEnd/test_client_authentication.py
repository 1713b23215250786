"""Who may not in: refused by a TLS alert, while the next good client is served."""

import socket
import ssl

import pytest
from kit.pki import SERVER
from kit.wire import client_context


def bad_pairs(identities):
    authority = identities.authority
    return {
        "no certificate": None,
        "other CA": identities.write("other-ca", identities.stranger.client("stranger")),
        "expired": identities.write("expired", authority.expired()),
        "not yet valid": identities.write("early", authority.not_yet_valid()),
        "server only": identities.write("server-only", authority.issue("server-only", usages=(SERVER,))),
    }


@pytest.mark.parametrize("kind", ["no certificate", "other CA", "expired", "not yet valid", "server only"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_bad_certificate_is_refused_by_an_alert(proxy, identities, app, kind, version):
    context = client_context(identities.ca_file, bad_pairs(identities)[kind])
    context.maximum_version = context.minimum_version = version
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with pytest.raises(ssl.SSLError, match="(?i)alert"):
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                # With TLS 1.3 the client is done before the server has looked: the alert comes on reading.
                client.recv(100)
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


@pytest.mark.parametrize("kind", ["no certificate", "other CA", "expired", "not yet valid", "server only"])
def test_a_request_sent_along_with_a_bad_certificate_is_not_served(proxy, identities, kind):
    context = client_context(identities.ca_file, bad_pairs(identities)[kind])
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with pytest.raises(OSError):
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(b"GET /forbidden HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.recv(100)
    with proxy.connect() as client:
        assert "/forbidden" not in client.request("/seen").json["targets"]


def test_plaintext_is_refused_and_never_reaches_the_application(proxy):
    with proxy.connect_plain() as client:
        client.send(b"GET /plaintext-was-here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in client.until_close()
    with proxy.connect() as client:
        assert "/plaintext-was-here" not in client.request("/seen").json["targets"]


@pytest.mark.parametrize("garbage", [
    b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x80\x2e\x01\x00\x02", b"\0" * 1000, b"SSH-2.0-x\r\n",
])
def test_garbage_is_closed_and_others_are_served(proxy, garbage):
    with proxy.connect_plain() as client:
        client.send(garbage)
        client.stream.shutdown(socket.SHUT_WR)
        client.until_close()
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


def test_a_client_that_never_ends_its_handshake_is_closed(start_proxy):
    proxy = start_proxy(HANDSHAKE_TIMEOUT_SECS="1")
    with proxy.connect_plain() as client:
        client.send(b"\x16\x03\x01")
        assert client.is_closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_versions_are_refused(proxy, identities, version):
    context = client_context(identities.ca_file, identities.caller_directory)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost")


def test_minimum_version_1_3_refuses_1_2(start_proxy, identities):
    proxy = start_proxy(TLS_MIN_VERSION="1.3")
    context = client_context(identities.ca_file, identities.caller_directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="localhost")
    with proxy.connect() as client:
        assert client.stream.version() == "TLSv1.3"


def test_a_session_resumes(proxy, identities):
    context = client_context(identities.ca_file, identities.caller_directory)
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as first:
            first.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while first.recv(65536):
                pass
            session = first.session
    with socket.create_connection(proxy.address, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as second:
            assert second.session_reused


def test_alpn_offers_http_1_1(proxy):
    with proxy.connect() as client:
        assert client.stream.selected_alpn_protocol() == "http/1.1"


def test_the_listener_is_dual_stack(proxy, identities):
    context = client_context(identities.ca_file, identities.caller_directory)
    with socket.create_connection(("::1", proxy.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
