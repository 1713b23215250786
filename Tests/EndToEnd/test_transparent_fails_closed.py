"""With the proxy gone, what it would have protected does not flow: never in plain text, in neither direction."""

import json

import pytest
from kit.capture import Capture
from kit.pod import url
from kit.transparent import HTTP
from kit.wire import Closed, Connection

MARKER = "closed-secret-0b6e"


@pytest.fixture
def pods(fresh_pods):
    fresh_pods.start(fresh_pods.a, CONNECT_TIMEOUT_SECS="1")
    fresh_pods.start(fresh_pods.b)
    return fresh_pods


def expect_silence(pods, caller, target) -> None:
    for address in target.addresses:
        with Capture(pods.network.namespace, target.port) as capture:
            done = caller.curl(url(address, HTTP, f"/echo/{MARKER}"), seconds=2)
        assert done.returncode != 0, f"answered without a proxy: {done.stdout}"
        assert not capture.holds(MARKER.encode())


def test_a_dead_proxy_of_the_caller(pods):
    pods.a.sidecar.kill()
    expect_silence(pods, pods.a, pods.b)


def test_a_dead_proxy_of_the_server(pods):
    pods.b.sidecar.kill()
    expect_silence(pods, pods.stranger, pods.b)
    for address in pods.b.addresses:
        # The SYN is dropped, not refused: only the connect timeout of one second ends the wait.
        done = pods.a.curl("-w", "%{http_code}", url(address, HTTP, f"/echo/{MARKER}"), seconds=5)
        assert done.stdout[-3:] in ("502", "503", "504"), done.stderr
    seen = json.loads(pods.b.curl(url("127.0.0.1", HTTP, "/seen")).stdout)["targets"]
    assert not any(MARKER in target for target in seen)


def test_both_proxies_dead(pods):
    pods.a.sidecar.kill()
    pods.b.sidecar.kill()
    expect_silence(pods, pods.a, pods.b)
    expect_silence(pods, pods.b, pods.a)


def test_established_connections_break_and_send_nothing_more(pods):
    with Connection(pods.a.connect(pods.b.ipv4, HTTP), seconds=3) as client:
        assert client.request("/echo", host=pods.b.ipv4).status == 200
        pods.a.sidecar.kill()
        with Capture(pods.network.namespace, pods.b.port) as capture:
            with pytest.raises((OSError, Closed)):
                client.request(f"/echo/{MARKER}", host=pods.b.ipv4)
        assert not capture.holds(MARKER.encode())


def test_a_restarted_proxy_serves_again(pods):
    settings = {
        "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "MONITOR_PORT": "8081", "CA_DIR": str(pods.ca_directory),
        "SERVER_CERT_DIR": str(pods.identity(pods.a)), "CLIENT_CERT_DIR": str(pods.identity(pods.a)),
    }
    pods.a.sidecar.kill()
    pods.a.run_sidecar(pods.binary, settings)
    for address in pods.b.addresses:
        assert pods.a.curl(url(address, HTTP, "/echo")).returncode == 0
