"""The log as JSON and as text: the fields, what is never in it, and lines that nobody can forge."""

import json
import re

import pytest
from kit.process import wait_until
from kit.proxy import Proxy, free_port, run_once

#: docs/monitoring.md, named as Istio's.
FIELDS = {
    "timestamp", "level", "message", "start_time", "method", "path", "protocol", "response_code", "response_flags",
    "bytes_received", "bytes_sent", "duration", "upstream_host", "downstream_remote_address", "authority", "request_id",
    "peer_identity",
}
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (TRACE|DEBUG|INFO |NOTE |WARN |ERROR|FATAL) .+")


def lines(proxy: Proxy, marker: str) -> list[str]:
    wait_until(lambda: marker in proxy.process.stdout, f"{marker} is logged")
    return [line for line in proxy.process.stdout.splitlines() if marker in line]


def test_a_request_has_all_fields(start_proxy, app):
    proxy = start_proxy()
    with proxy.connect() as client:
        answer = client.request("/echo/fields", "POST", (("X-Request-Id", "an-id"),), b"12345", host="h.test")
    [line] = lines(proxy, "/echo/fields")
    entry = json.loads(line)
    assert FIELDS <= set(entry) and "reason" not in entry
    assert (entry["method"], entry["path"], entry["protocol"]) == ("POST", "/echo/fields", "HTTP/1.1")
    assert (entry["response_code"], entry["response_flags"]) == (200, "-")
    assert (entry["bytes_received"], entry["bytes_sent"]) == (5, len(answer.body))
    assert (entry["authority"], entry["request_id"]) == ("h.test", "an-id")
    assert entry["upstream_host"] == f"127.0.0.1:{app['http']}"
    assert entry["downstream_remote_address"].startswith("127.0.0.1:")
    assert entry["peer_identity"] == "spiffe://test/caller"
    assert entry["direction"] == "inbound"


def test_a_failed_request_names_the_upstream_that_failed(start_proxy):
    port = free_port()
    proxy = start_proxy(upstream_port=port)
    with proxy.connect() as client:
        client.request("/failing")
    [line] = lines(proxy, "/failing")
    entry = json.loads(line)
    assert (entry["response_code"], entry["response_flags"]) == (502, "UF")
    assert entry["upstream_host"] == f"127.0.0.1:{port}"
    assert "refused" in entry["reason"]


def test_as_text_each_line_has_time_level_and_words(start_proxy):
    proxy = start_proxy(LOG_FORMAT="text")
    with proxy.connect() as client:
        client.request("/echo/as-text?password=secret", headers=(("X-Request-Id", "an-id"),), host="h.test")
    [line] = lines(proxy, "/echo/as-text")
    assert all(LINE.fullmatch(other) for other in proxy.process.stdout.splitlines())
    for word in (
            " inbound GET /echo/as-text HTTP/1.1 200 - ", "ms in=0 ", "from=127.0.0.1:", "to=127.0.0.1:",
            "peer=spiffe://test/caller", "authority=h.test", "id=an-id"):
        assert word in line, word
    assert "secret" not in proxy.process.stdout


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_that_a_client_sends_makes_a_line_of_its_own(start_proxy, form):
    proxy = start_proxy(LOG_FORMAT=form)
    with proxy.connect() as client:
        client.request("/echo/start")
        client.request("/echo/%22x%0a", headers=(("X-Request-Id", 'a" b=c\t\xff'),))
        client.request("/echo/end")
    lines(proxy, "/echo/end")
    out = proxy.process.stdout_path.read_bytes()
    between = out[out.index(b"/echo/start"):].splitlines()[1:-1]
    assert len(between) == 1, between
    if form == "json":
        json.loads(between[0])
    else:
        assert between[0].isascii() and LINE.fullmatch(between[0].decode())


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_query_and_no_certificate_is_ever_logged(start_proxy, identities, directory, app, form):
    proxy = start_proxy(
        LOG_FORMAT=form, LOG_LEVEL="trace", UPSTREAM_READINESS_URL=f"http://127.0.0.1:{app['http']}/?token=hidden-1")
    proxy.process = proxy.process
    with proxy.connect() as client:
        client.request("/echo/x?token=hidden-2")
        client.request("/nonsense?token=hidden-3")
    try:
        with proxy.connect(identities.stranger.client("s").write(directory / "s")) as client:
            client.request("/?token=hidden-4")
    except OSError:
        pass
    proxy.monitor("/ready?token=hidden-5")
    wait_until(lambda: "handshake failed" in proxy.process.stdout and "/nonsense" in proxy.process.stdout, "all is logged")
    written = proxy.process.stdout + proxy.process.stderr
    assert "hidden-" not in written
    assert "BEGIN" not in written and "MII" not in written


def test_access_log_errors_as_text(start_proxy):
    proxy = start_proxy(LOG_FORMAT="text", ACCESS_LOG="errors")
    with proxy.connect() as client:
        client.request("/echo/fine")
        client.request("/status/500")
    lines(proxy, "/status/500")
    assert "/echo/fine" not in proxy.process.stdout


def test_fatal_errors_come_in_the_format_that_was_asked_for(binary, identities, directory):
    settings = {
        "LOG_FORMAT": "text", "SERVER_CERT_DIR": str(directory / "nowhere"), "CA_DIR": str(identities.ca_directory),
        "MONITOR_PORT": str(free_port()), "TLS_LISTEN_PORT": str(free_port()),
    }
    done = run_once(binary, ["run"], settings)
    assert done.returncode == 1
    assert all(LINE.fullmatch(line) for line in done.stdout.splitlines()) and "FATAL" in done.stdout
