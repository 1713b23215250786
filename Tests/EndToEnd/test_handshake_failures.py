"""`/handshakes` says of each failed handshake who it was, what was wrong, and what to do about it."""

import contextlib
import json
import socket
import ssl

import pytest
from kit.forward import ForwardProxy, Servers
from kit.monitor import metrics
from kit.pki import Authority
from kit.process import wait_until
from kit.wire import Closed, client_context, connect_tls


def failures(proxy) -> list[dict]:
    status, text = proxy.monitor("/handshakes")
    assert status == 200
    return json.loads(text)["handshakes"]


def the_failure(proxy) -> dict:
    wait_until(lambda: failures(proxy), "a failure is told")
    [failure] = failures(proxy)
    return failure


def refused(proxy, pair, **how) -> None:
    with contextlib.suppress(OSError, Closed):
        with proxy.connect(pair, **how) as client:
            client.request("/")


def test_there_are_none_at_first(start_proxy):
    assert failures(start_proxy()) == []


def test_a_stranger_is_described(start_proxy, identities, directory):
    proxy = start_proxy()
    refused(proxy, identities.stranger.client("mallory").write(directory / "mallory"))
    failure = the_failure(proxy)
    assert (failure["side"], failure["direction"], failure["reason"]) == ("server", "inbound", "unknown_ca")
    assert failure["peer"].startswith("127.0.0.1:")
    assert failure["server_name"] == "localhost"
    assert failure["versions_offered"] == ["TLSv1.2", "TLSv1.3"]
    certificate = failure["peer_certificate"]
    assert (certificate["subject"], certificate["issuer"]) == ("CN=mallory", "CN=Stranger CA")
    assert certificate["not_after"] > certificate["not_before"]
    assert "CA_DIR" in failure["fix"]
    assert failure["time"].endswith("Z")


def test_an_expired_certificate_is_described_with_its_date(start_proxy, identities, directory):
    proxy = start_proxy()
    pair = identities.authority.expired("old")
    refused(proxy, pair.write(directory / "old"))
    failure = the_failure(proxy)
    assert failure["reason"] == "expired"
    expected = pair.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert failure["peer_certificate"]["not_after"] == expected
    assert "renew" in failure["fix"]


def test_without_certificate_there_is_none_to_describe(start_proxy):
    proxy = start_proxy()
    with contextlib.suppress(OSError, Closed):
        with proxy.connect_without_certificate() as client:
            client.request("/")
    failure = the_failure(proxy)
    assert failure["reason"] == "no_certificate" and "peer_certificate" not in failure
    assert "CLIENT_CERT_DIR" in failure["fix"]


def test_an_old_version_is_told_as_offered(start_proxy, identities):
    proxy = start_proxy(TLS_MIN_VERSION="1.3")
    context = client_context(identities.ca_file, identities.caller_directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        connect_tls(proxy.address, context)
    failure = the_failure(proxy)
    assert failure["reason"] == "no_shared_version"
    assert failure["versions_offered"] == ["TLSv1.2"]
    assert "TLS_MIN_VERSION" in failure["fix"]


def test_plain_http_is_told_as_such(start_proxy):
    proxy = start_proxy()
    with contextlib.suppress(OSError, Closed), proxy.connect_plain() as client:
        client.request("/")
    failure = the_failure(proxy)
    assert failure["reason"] == "not_tls" and failure["versions_offered"] == []
    assert "https" in failure["fix"]


def test_a_server_that_is_not_trusted(start_proxy, scratch):
    forward = ForwardProxy(start_proxy)
    servers = Servers(scratch / "handshake-foreign", Authority("Nobody's CA").server("nobody"))
    try:
        with forward.connect() as client:
            host = f"localhost:{servers.http}"
            assert client.request(f"http://{host}/", host=host).status == 502
    finally:
        servers.stop()
    failure = the_failure(forward.proxy)
    assert (failure["side"], failure["direction"], failure["reason"]) == ("client", "outbound", "unknown_ca")
    assert failure["server_name"] == "localhost"
    assert failure["peer"].endswith(f":{servers.http}")
    assert failure["peer_certificate"]["subject"] == "CN=nobody"


def test_a_server_that_refuses_our_certificate(start_proxy, scratch, identities):
    """Under TLS 1.3 the refusal comes when this side's handshake is done, with the request on its way. A server that
    closes then resets the connection, and the alert may be lost: of some requests one will hear it."""
    forward = ForwardProxy(start_proxy)
    other = Authority("Other clients' CA").write(scratch / "other-clients")
    servers = Servers(scratch / "refusing", identities.authority.server(), other / "ca.crt")
    try:
        host = f"localhost:{servers.http}"

        def refused_aloud() -> list[dict]:
            with forward.connect() as client:
                assert client.request(f"http://{host}/", host=host).status == 502
            return failures(forward.proxy)

        failure = wait_until(refused_aloud, "a refusal is heard")[0]
    finally:
        servers.stop()
    assert (failure["side"], failure["reason"]) == ("client", "peer_alert")
    assert "CLIENT_CERT_DIR" in failure["fix"]


def test_the_latest_come_first_and_old_ones_leave(start_proxy):
    """A flood is counted whole, and described as far as the ring and the rate go."""
    proxy = start_proxy(ENABLE_METRICS="true", WORKER_THREADS="1")
    for _ in range(300):
        with socket.create_connection(proxy.address) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.recv(100)
    page = metrics(proxy)
    assert page.value("mtls_failures_total") == 300
    told = failures(proxy)
    dropped = page.value("sidecar_handshake_reports_dropped_total")
    assert 0 < len(told) <= 128
    assert len(told) == min(128, 300 - dropped)
    times = [failure["time"] for failure in told]
    assert times == sorted(times, reverse=True)
    assert proxy.process.stdout.count('"handshake failed"') == 300 - dropped


def hello_for(name: bytes) -> bytes:
    """A ClientHello that asks for exactly this name, which libraries would not send, and for keys of another kind."""
    server_name = b"\0" + len(name).to_bytes(2, "big") + name
    extension = b"\0\0" + (len(server_name) + 2).to_bytes(2, "big") + len(server_name).to_bytes(2, "big") + server_name
    body = (b"\3\3" + bytes(32) + b"\0" + b"\0\2\xc0\x2f" + b"\1\0" + len(extension).to_bytes(2, "big") + extension)
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("name", [
    b'a"\\<script>', b"line\r\nbreak", b"tab\t\x1b[31m", "caf\u00e9.test".encode(), b"\xff\xfe",
], ids=["quotes", "line break", "escape", "not ASCII", "not UTF-8"])
def test_a_name_with_control_characters_cannot_break_the_page(start_proxy, name):
    """The name comes back in one entry, what is no printable ASCII of it as question marks, the rest escaped."""
    proxy = start_proxy()
    with socket.create_connection(proxy.address) as plain:
        plain.sendall(hello_for(name))
        plain.recv(100)
    failure = the_failure(proxy)
    assert (failure["side"], failure["reason"]) == ("server", "no_shared_cipher")
    shown = bytes(byte if 0x20 <= byte < 0x7f else ord("?") for byte in name.decode(errors="replace").encode())
    assert failure["server_name"] == shown.decode()
    status, text = proxy.monitor("/handshakes")
    assert status == 200 and not any(ord(character) < 32 for character in text.strip())
