"""The monitor port beyond health: what it shows, what it changes, and who may."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from datetime import timedelta

import pytest
from kit.monitor import metrics
from kit.process import wait_until
from kit.proxy import REPOSITORY, Proxy, free_port, run_once
from kit.wire import Closed, Connection, connect_plain


def answer(proxy: Proxy, method: str, path: str, body: str = "", address: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, proxy.monitor_port, timeout=5)
    connection.request(method, path, body or None)
    response = connection.getresponse()
    with contextlib.closing(connection):
        return response.status, response.read().decode()


def document(proxy: Proxy, path: str) -> dict:
    status, text = proxy.monitor(path)
    assert status == 200, text
    return json.loads(text)


def own_address() -> str | None:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return None


# What it shows


def test_config_has_the_values_in_force_and_no_secret(start_proxy, app):
    proxy = start_proxy(
        IDLE_TIMEOUT_SECS="77", INJECT_CLIENT_HEADERS="cn,xfcc", OUTBOUND_VERIFY="san:a,b*",
        UPSTREAM_READINESS_URL=f"http://127.0.0.1:{app['http']}/echo?token=hidden", EXCLUDE_OUTBOUND_CIDRS="10.1.0.0/16")
    status, text = proxy.monitor("/config")
    assert status == 200 and "hidden" not in text
    config = json.loads(text)
    expected = {
        "IDLE_TIMEOUT_SECS": "77", "INJECT_CLIENT_HEADERS": "cn,xfcc", "OUTBOUND_VERIFY": "san:a,b*",
        "EXCLUDE_OUTBOUND_CIDRS": "10.1.0.0/16", "TLS_LISTEN_PORT": str(proxy.port), "OUTBOUND_PROXY_PORT": "",
        "UPSTREAM_URL": f"http://127.0.0.1:{app['http']}", "LOG_FORMAT": "json", "MAX_CONNECTIONS": "10000",
        "UPSTREAM_READINESS_URL": f"http://127.0.0.1:{app['http']}/echo?[redacted]", "EXCLUDE_OUTBOUND_PORTS": "53",
    }
    assert {name: config[name] for name in expected} == expected


def test_config_shows_every_variable_that_is_documented(start_proxy):
    rows = re.findall(r"^\| (`[A-Z].*?) \|", (REPOSITORY / "docs" / "configuration.md").read_text(), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", re.sub(r"\(.*?\)", "", row))}
    assert len(documented) > 40
    shown = set(document(start_proxy(), "/config"))
    assert documented == shown


def test_what_config_shows_starts_the_same_proxy(start_proxy):
    """Each value is in the form that the variable takes."""
    first = document(start_proxy(MAX_HEADER_BYTES="9999"), "/config")
    settings = {name: value for name, value in first.items() if value != "unset"}
    ports = {"TLS_LISTEN_PORT": str(free_port()), "MONITOR_PORT": str(free_port())}
    proxy = start_proxy(wait=False, **settings | ports)
    proxy.port, proxy.monitor_port = int(ports["TLS_LISTEN_PORT"]), int(ports["MONITOR_PORT"])
    assert document(proxy.wait_ready(), "/config") == first | ports


def test_certs_shows_what_is_presented_and_trusted(start_proxy, identities):
    status, text = start_proxy().monitor("/certs")
    assert status == 200 and "PRIVATE" not in text
    certs = json.loads(text)
    server, authority = certs["server"], identities.authority.pair.certificate
    assert server["subject"] == "CN=server" and server["issuer"] == "CN=Test CA"
    assert server["dns_sans"] == ["localhost"] and "127.0.0.1" in server["ip_sans"]
    assert certs["client"]["subject"] == "CN=sidecar-client"
    [anchor] = certs["verifies_clients"]
    assert anchor["serial"] == hex(authority.serial_number)
    assert 89 * 86_400 < server["expires_in_seconds"] <= 90 * 86_400
    assert certs["reloads"] == {"successes": 0, "failures": 0, "problems": []}


def test_connections_shows_both_sides(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.request("/echo")
        open_now = document(proxy, "/connections")["connections"]
        down = [one for one in open_now if one["side"] == "downstream"]
        up = [one for one in open_now if one["side"] == "upstream"]
        assert len(down) == len(up) == 1
        assert down[0]["peer_identity"] == "spiffe://test/caller"
        assert (down[0]["carries"], down[0]["tls_version"], down[0]["state"]) == ("http/1.1", "TLSv1.3", "open")
        assert down[0]["server_name"] == "localhost" and down[0]["direction"] == "inbound"
        assert (up[0]["carries"], up[0]["tls_version"]) == ("http/1.1 idle", None)
    wait_until(
        lambda: all(one["side"] == "upstream" for one in document(proxy, "/connections")["connections"]), "it is gone")


def test_head_has_no_body_and_other_methods_are_refused(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true")
    for path in ("/live", "/ready", "/metrics", "/config", "/certs", "/handshakes", "/connections", "/sandbox"):
        assert answer(proxy, "HEAD", path) == (200, "")
        assert answer(proxy, "DELETE", path)[0] == 405
    assert answer(proxy, "GET", "/drain")[0] == 405
    for method, path, allowed in (
        ("DELETE", "/live", "GET, HEAD"), ("GET", "/drain", "POST"), ("POST", "/loglevel", "PUT"),
    ):
        with connect_plain(("127.0.0.1", proxy.monitor_port)) as client:
            assert client.request(path, method).header("allow") == allowed, "RFC 9110 section 15.5.6"
    assert answer(proxy, "POST", "/loglevel", "debug")[0] == 405
    assert proxy.monitor("/ready")[0] == 200


def test_requests_in_one_go_are_answered_in_order(start_proxy):
    """Those that are answered later too."""
    proxy = start_proxy(ENABLE_METRICS="true")
    with connect_plain(("127.0.0.1", proxy.monitor_port)) as client:
        client.send(b"".join(b"GET %s HTTP/1.1\r\nHost: m\r\n\r\n" % path for path in (
            b"/metrics", b"/live", b"/connections", b"/metrics", b"/nothing")))
        answers = [client.response() for _ in range(5)]
    assert [one.status for one in answers] == [200, 200, 200, 200, 404]
    assert b"requests_total" in answers[0].body and answers[1].body == b"ok\n" and b"requests_total" in answers[3].body


def test_a_client_that_closed_its_side_still_gets_its_answer(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true")
    with socket.create_connection(("127.0.0.1", proxy.monitor_port), timeout=5) as stream:
        stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n")
        stream.shutdown(socket.SHUT_WR)
        assert b"requests_total" in Connection(stream).until_close()


def test_who_asks_and_does_not_read_costs_little(start_proxy):
    """A question of forty bytes has an answer of forty thousand."""
    proxy = start_proxy(ENABLE_METRICS="true")
    memory = proxy.process.rss_bytes()
    clients = [socket.socket() for _ in range(8)]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", proxy.monitor_port))
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                client.send(b"GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n" * 100)
    time.sleep(1)
    assert proxy.process.rss_bytes() < memory + (12 << 20)
    assert proxy.monitor("/ready")[0] == 200
    for client in clients:
        client.close()


@pytest.mark.parametrize("garbage", [
    b"\x16\x03\x01\x02\x00\x01\x00", b"GET /live HTTP/1.1\r\n\r\n", b"POST /loglevel HTTP/1.1\r\nHost: m\r\nContent-Length: 99999\r\n\r\n",
    b"PUT /loglevel HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndebug\r\n0\r\n\r\n", b"GET /" + b"x" * 20_000,
])
def test_garbage_is_answered_with_an_error_and_nothing_else_suffers(start_proxy, garbage):
    proxy = start_proxy()
    with connect_plain(("127.0.0.1", proxy.monitor_port)) as client, contextlib.suppress(OSError, Closed):
        client.send(garbage)
        assert 400 <= client.response().status < 500
    assert proxy.monitor("/ready")[0] == 200


# What it changes


def test_the_log_level_changes_at_once(start_proxy):
    proxy = start_proxy(LOG_LEVEL="error", WORKER_THREADS="2")

    def refusals() -> int:
        for _ in range(4):  # both workers get some
            with contextlib.suppress(OSError, Closed), proxy.connect_without_certificate() as client:
                client.request("/")
        return proxy.process.stdout.count('"handshake failed"')

    assert refusals() == 0
    assert answer(proxy, "PUT", "/loglevel", "info\n") == (200, "info\n")
    wait_until(lambda: refusals() > 0, "failed handshakes are logged")
    assert answer(proxy, "PUT", "/loglevel", "error")[0] == 200
    status, text = answer(proxy, "PUT", "/loglevel", "loud")
    assert status == 400 and "debug" in text
    assert answer(proxy, "PUT", "/loglevel", "d e b u g")[0] == 400
    assert answer(proxy, "PUT", "/loglevel", "")[0] == 400
    assert answer(proxy, "PUT", "/loglevel", " \r\n\tdebug\r\n ") == (200, "debug\n")


def test_drain_asks_clients_to_go_and_serves_those_that_come(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as standing:
        assert not standing.request("/echo").closes
        assert answer(proxy, "POST", "/drain")[0] == 200
        status, text = proxy.monitor("/ready")
        assert status == 503 and "draining" in text
        assert proxy.monitor("/live")[0] == 200
        wait_until(lambda: asks_to_go(proxy), "new clients are served and asked to go")
        with contextlib.suppress(OSError, Closed):
            assert standing.request("/echo").closes
    time.sleep(1.0)
    assert proxy.process.is_running
    assert asks_to_go(proxy)
    # The signal that follows is the first, not the second that would end it at once.
    with proxy.connect() as late:
        late.send(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        proxy.process.terminate()
        assert late.response().status == 200
    assert proxy.process.wait(5) == 0


def asks_to_go(proxy: Proxy) -> bool:
    with proxy.connect() as client:
        response = client.request("/echo")
        assert response.status == 200
        return response.closes


def test_quit_drains_and_ends_with_0(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        assert answer(proxy, "POST", "/quit")[0] == 200
        assert client.response().status == 200, "what runs is finished"
    assert proxy.process.wait(5) == 0


def test_a_listener_to_flows_does_not_hold_the_end(start_proxy):
    proxy = start_proxy()
    with socket.create_connection(("127.0.0.1", proxy.monitor_port)) as listener:
        listener.sendall(b"GET /flows HTTP/1.1\r\nHost: m\r\n\r\n")
        assert listener.recv(15).startswith(b"HTTP/1.1 200")
        proxy.process.terminate()
        assert proxy.process.wait(5) == 0


@pytest.mark.parametrize("method, path", [("POST", "/drain"), ("POST", "/quit"), ("PUT", "/loglevel")])
def test_only_loopback_may_change_anything(start_proxy, method, path):
    if not (address := own_address()):
        pytest.skip("runs on machines with an address beside loopback")
    proxy = start_proxy()
    status, text = answer(proxy, method, path, "debug" if method == "PUT" else "", address)
    assert status == 403 and "loopback" in text
    assert answer(proxy, "GET", "/ready", address=address)[0] == 200, "looking is free"
    assert proxy.process.is_running


@pytest.mark.parametrize("fields", [
    (("Origin", "http://evil.example"),), (("Origin", "null"),), (("Sec-Fetch-Site", "cross-site"),),
    (("Sec-Fetch-Site", "same-site"),),
], ids=lambda fields: ": ".join(fields[0]))
@pytest.mark.parametrize("method, path", [("POST", "/drain"), ("POST", "/quit"), ("PUT", "/loglevel")])
def test_a_page_in_a_browser_may_not_change_anything(proxy, method, path, fields):
    """Through `kubectl port-forward` any page that is open beside it reaches the port from loopback."""
    refused = change(proxy, method, path, fields)
    assert refused.status == 403 and refused.body.count(b"\n") == 1 and b"browser" in refused.body
    assert proxy.monitor("/ready")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "10.0.0.1", "localhost.evil.example"])
@pytest.mark.parametrize("method, path", [("POST", "/drain"), ("POST", "/quit"), ("PUT", "/loglevel")])
def test_a_page_whose_name_leads_to_loopback_may_not_change_anything(proxy, method, path, host):
    """DNS rebinding: for the browser such a page is of the same origin."""
    assert change(proxy, method, path, host=host).status == 403
    assert proxy.monitor("/ready")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:18081", "127.0.0.1:8081", "[::1]:8081"])
def test_who_asks_by_hand_may(proxy, host):
    fields = (("Sec-Fetch-Site", "none"),)
    assert change(proxy, "PUT", "/loglevel", fields, host).status == 200


def test_looking_is_free_under_any_name(proxy):
    """The kubelet and Prometheus ask by address or by a name of the cluster."""
    with connect_plain(("127.0.0.1", proxy.monitor_port)) as client:
        assert client.request("/ready", host="10.0.0.1:8081").status == 200
        assert client.request("/metrics", host="pod.demo.svc:8081").status == 200


def change(proxy: Proxy, method: str, path: str, fields=(), host: str = "localhost"):
    with connect_plain(("127.0.0.1", proxy.monitor_port)) as client:
        return client.request(path, method, fields, b"info" if method == "PUT" else b"", host)


# Readiness


def readiness_app(start_upstream, status: list[int], seconds: float = 0):
    asked: list[bytes] = []

    def serve(stream: socket.socket) -> None:
        asked.append(stream.recv(65_536))
        time.sleep(seconds)
        stream.sendall(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status[0])

    upstream = start_upstream(serve)
    upstream.asked = asked
    return upstream


def test_the_application_has_its_say(start_proxy, start_upstream):
    status = [503]
    upstream = readiness_app(start_upstream, status)
    proxy = start_proxy(wait=False, UPSTREAM_READINESS_URL=f"http://localhost:{upstream.port}/up?deep=1")
    wait_until(lambda: proxy.monitor("/live")[0] == 200, "it lives")
    code, text = proxy.monitor("/ready")
    assert code == 503 and "UPSTREAM_READINESS_URL" in text and "503" in text and "deep" not in text
    assert upstream.asked[0].startswith(b"GET /up?deep=1 HTTP/1.1\r\n")
    status[0] = 204
    wait_until(lambda: proxy.monitor("/ready")[0] == 200, "the application is ready", seconds=3)
    status[0] = 404
    wait_until(lambda: proxy.monitor("/ready")[0] == 503, "not any more", seconds=3)


def test_an_application_that_is_slow_or_away_is_not_ready(start_proxy, start_upstream):
    upstream = readiness_app(start_upstream, [200], seconds=3)
    slow = start_proxy(
        wait=False, UPSTREAM_READINESS_URL=f"http://127.0.0.1:{upstream.port}/", READINESS_TIMEOUT_SECS="1")
    wait_until(lambda: slow.monitor("/live")[0] == 200, "it lives")
    started = time.monotonic()
    code, text = slow.monitor("/ready")
    assert code == 503 and "READINESS_TIMEOUT_SECS" in text
    assert 0.9 < time.monotonic() - started < 2
    away = start_proxy(wait=False, UPSTREAM_READINESS_URL=f"http://127.0.0.1:{free_port()}/")
    wait_until(lambda: away.monitor("/live")[0] == 200, "it lives")
    assert away.monitor("/ready")[0] == 503


def test_a_readiness_timeout_may_be_longer_than_other_requests_take(start_proxy, start_upstream):
    upstream = readiness_app(start_upstream, [200], seconds=11.5)
    proxy = start_proxy(
        wait=False, UPSTREAM_READINESS_URL=f"http://127.0.0.1:{upstream.port}/", READINESS_TIMEOUT_SECS="15")
    wait_until(lambda: proxy.monitor("/live")[0] == 200, "it lives")
    with connect_plain(("127.0.0.1", proxy.monitor_port), seconds=20) as client:
        answer = client.request("/ready")
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_many_probes_ask_the_application_once_a_second(start_proxy, start_upstream):
    upstream = readiness_app(start_upstream, [200])
    proxy = start_proxy(UPSTREAM_READINESS_URL=f"http://127.0.0.1:{upstream.port}/")
    started = time.monotonic()
    threads = [threading.Thread(target=lambda: [proxy.monitor("/ready") for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(upstream.asked) <= 3 + (time.monotonic() - started)


def test_an_expired_certificate_in_force_is_not_ready(start_proxy, identities, directory):
    pair = identities.authority.server(not_after=timedelta(seconds=4))
    proxy = start_proxy(SERVER_CERT_DIR=str(pair.write(directory / "short")))
    wait_until(lambda: proxy.monitor("/ready")[0] == 503, "the certificate expires", seconds=8)
    code, text = proxy.monitor("/ready")
    assert code == 503 and "server certificate" in text and "expired at" in text
    assert proxy.monitor("/live")[0] == 200


@pytest.mark.parametrize("url", ["https://localhost/", "ftp://x/", "localhost:80", "http://", "http://h/#x"])
def test_a_readiness_url_that_is_none_is_refused(binary, identities, url):
    done = run_once(binary, ["run"], {"UPSTREAM_READINESS_URL": url, "CA_DIR": str(identities.ca_directory)})
    assert done.returncode == 1 and "UPSTREAM_READINESS_URL" in done.stderr


def test_metrics_and_ready_agree(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true")
    assert metrics(proxy).value("sidecar_ready") == 1
    answer(proxy, "POST", "/drain")
    page = metrics(proxy)
    assert (page.value("sidecar_ready"), page.value("sidecar_draining")) == (0, 1)
