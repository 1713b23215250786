"""The forward proxy in a pod: names looked up without holding anything up, addresses tried in turn, TLS on the wire."""

import concurrent.futures
import json
import sys
import time

import pytest
from conftest import needs_root
from kit.capture import Capture, assert_only_tls
from kit.names import NameServer
from kit.pod import APP_UID, KIT, MONITOR_PORT, PROXY_UID, ip, url
from kit.process import wait_until
from kit.transparent import HTTP, PodPair
from kit.wire import Connection

PROXY, ECHO = 3128, 7443
MARKER = b"forward-secret-77aa"


@pytest.fixture(scope="module")
def pods(binary, scratch):
    needs_root()
    pair = PodPair(scratch, binary)
    try:
        yield pair
    finally:
        pair.remove()


@pytest.fixture(scope="module")
def names(pods, scratch):
    server = NameServer(pods.a.namespace, {
        "web.test": list(pods.b.addresses),
        "dead-v6.test": [pods.stranger.ipv6, pods.b.ipv4], "dead-v4.test": [pods.stranger.ipv4, pods.b.ipv6],
        "nowhere.test": ["10.77.0.250"], "myself.test": list(pods.a.addresses), "silent.test": None,
    })
    pods.a.resolv_conf = NameServer.resolv_conf(scratch)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def curl(pods, names, binary):
    """Calls through the proxy of pod a, as an application there would; web.test is pod b, port 443."""
    everyone = ("web.test", "dead-v6.test", "dead-v4.test", "nowhere.test", "silent.test")
    pair = pods.identity(pods.b, dns=everyone)
    pods.b.start("servers", pods.b.command(
        sys.executable, str(KIT / "app.py"), "--tls", "443", "--tls-echo", str(ECHO),
        "--certificate", str(pair / "tls.crt"), "--key", str(pair / "tls.key"), "--client-ca", str(pods.ca_file),
    )).wait_for_line("tls")
    # Frames to it are lost on the wire.
    ip("-n", pods.a.namespace, "neigh", "add", "10.77.0.250", "lladdr", "02:00:00:00:00:99", "dev", "eth0")
    home = pods.identity(pods.a)
    pods.a.run_sidecar(binary, {
        "OUTBOUND_PROXY_PORT": str(PROXY), "TLS_LISTEN_PORT": "", "CLIENT_CERT_DIR": str(home),
        "SERVER_CERT_DIR": str(home), "CA_DIR": str(pods.ca_directory), "MONITOR_PORT": str(MONITOR_PORT),
        "CONNECT_TIMEOUT_SECS": "2", "WORKER_THREADS": "1"})

    def call(*arguments: str, proxy: str = "127.0.0.1", seconds: float = 10):
        environment = {"http_proxy": f"http://{proxy}:{PROXY}", "https_proxy": f"http://{proxy}:{PROXY}"}
        return pods.a.run(
            "curl", "-sS", "--max-time", str(seconds), "-w", "\n%{http_code}", *arguments, uid=APP_UID, **environment)

    return call


def served(done) -> dict:
    body, _, status = done.stdout.rpartition("\n")
    assert status == "200", done.stdout + done.stderr
    return json.loads(body)


def refused(done) -> int:
    """The status of the answer, to CONNECT too."""
    status = done.stdout.rpartition("\n")[2]
    if status == "000":
        assert "CONNECT tunnel failed, response" in done.stderr, done.stderr
        return int(done.stderr.split()[-1])
    return int(status)


@pytest.mark.parametrize("family", ["127.0.0.1", "[::1]"])
def test_a_name_without_port_is_port_443_and_only_tls_crosses_the_wire(curl, pods, family):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        answer = served(curl(f"http://web.test/echo/{MARKER.decode()}", proxy=family))
    assert_only_tls(capture, MARKER)
    assert answer["client"] == "a"
    assert ["host", "web.test"] in answer["headers"]
    assert answer["target"] == f"/echo/{MARKER.decode()}"


def test_plain_text_in_a_tunnel_crosses_as_tls(curl, pods):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        assert served(curl("-p", f"http://web.test:443/{MARKER.decode()}"))["client"] == "a"
    assert_only_tls(capture, MARKER)


def test_the_applications_own_tls_is_one_handshake_on_the_wire(curl, pods):
    own = pods.write("own-client", pods.authority.client("own"))
    with Capture(pods.network.namespace, pods.b.port) as capture:
        answer = served(curl(
            "--cacert", str(pods.ca_file), "--cert", str(own / "tls.crt"), "--key", str(own / "tls.key"),
            "https://web.test/x"))
    assert answer["client"] == "own"
    assert capture.client_hellos() == 1


@pytest.mark.parametrize("host", ["dead-v4.test", "dead-v6.test"])
def test_the_next_address_is_tried_when_one_refuses(curl, host):
    """Whichever family the resolver puts first, in one of the two cases the first address is dead."""
    assert served(curl(f"http://{host}/"))["client"] == "a"
    assert served(curl("-p", f"http://{host}:443/"))["client"] == "a"


def test_a_name_is_asked_for_once_in_a_while(curl, names):
    served(curl("http://web.test/"))
    before = names.asked("web.test")
    for _ in range(5):
        served(curl("-p", "http://web.test:443/"))
    # Answers serve for 30 seconds, which may have just passed.
    assert names.asked("web.test") - before <= 1


@pytest.mark.parametrize("tunnel", [(), ("-p",)])
def test_502_for_a_name_that_does_not_exist(curl, tunnel):
    assert refused(curl(*tunnel, "http://no-such-name.test:443/")) == 502


def test_a_name_that_comes_to_exist_is_found(curl, names, pods):
    url = "http://late.test/"
    assert refused(curl(url)) == 502
    names.addresses["late.test"] = [pods.b.ipv4]
    deadline = time.monotonic() + 10
    while names.asked("late.test") < 2 and time.monotonic() < deadline:
        assert refused(curl(url)) == 502, "late.test is not among the server's names"
        time.sleep(0.1)
    assert names.asked("late.test") >= 2, "a failure is not remembered for long"


def test_504_for_a_name_server_that_is_silent_and_others_are_served_meanwhile(curl, names):
    with concurrent.futures.ThreadPoolExecutor(3) as several:
        silent = [several.submit(curl, "http://silent.test/") for _ in range(3)]
        served(curl("http://web.test/"))
        assert [refused(done.result()) for done in silent] == [504] * 3
    assert names.asked("silent.test") <= 2, "one question at a time, which the resolver may repeat"


@pytest.mark.parametrize("tunnel", [(), ("-p",)])
def test_504_for_an_address_that_does_not_answer(curl, tunnel):
    assert refused(curl(*tunnel, "http://nowhere.test:443/")) == 504


@pytest.mark.parametrize("port", [PROXY, MONITOR_PORT])
def test_403_for_the_pods_own_addresses(curl, pods, port):
    for host in (pods.a.ipv4, f"[{pods.a.ipv6}]", "myself.test"):
        assert refused(curl(f"http://{host}:{port}/")) == 403
        assert refused(curl("-p", f"http://{host}:{port}/")) == 403


def test_the_same_port_elsewhere_is_no_loop(curl, pods):
    assert refused(curl(f"http://{pods.b.ipv4}:{PROXY}/")) == 502


def test_nobody_outside_the_pod_reaches_it(curl, pods):
    for address in pods.a.addresses:
        with pytest.raises(ConnectionRefusedError):
            pods.b.connect(address, PROXY)


def test_a_tunnel_by_name_carries_bytes(curl, pods):
    with Connection(pods.a.connect("127.0.0.1", PROXY)) as client:
        client.send(f"CONNECT web.test:{ECHO} HTTP/1.1\r\nHost: web.test:{ECHO}\r\n\r\n".encode() + b"\x00")
        assert client.head().status == 200
        assert client.exactly(1) == b"\x00"


def test_clients_that_leave_leave_nothing_behind(curl, pods):
    """In every phase of a tunnel: connecting, looking up, before and after the first bytes."""
    served(curl("http://web.test/"))
    before = pods.a.sidecar.open_descriptors()
    for authority, early in (("nowhere.test:443", b""), ("silent.test:443", b"\x00"), (f"web.test:{ECHO}", b""),
                             (f"web.test:{ECHO}", b"\x00"), (f"web.test:{ECHO}", b"\x16")):
        for waits in (0, 0.05, 0.3):
            with Connection(pods.a.connect("127.0.0.1", PROXY)) as client:
                client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode() + early)
                time.sleep(waits)
    # Pooled connections may have closed meanwhile, so less is right too.
    wait_until(lambda: pods.a.sidecar.open_descriptors() <= before, "descriptors are closed", 20)


def test_the_sidecar_has_no_privilege(curl, pods):
    line = json.loads(pods.a.sidecar.wait_for_line('"started"'))
    assert (line["uid"], line["capabilities"]) == (str(PROXY_UID), "0x0")


# Beside capture


@pytest.fixture
def captured(fresh_pods):
    """Both pods transparent, with forward proxies besides."""
    for pod in (fresh_pods.a, fresh_pods.b):
        fresh_pods.start(pod, OUTBOUND_PROXY_PORT=str(PROXY))
    return fresh_pods


def test_it_reaches_captured_ports_of_other_pods(captured):
    proxy = f"http://127.0.0.1:{PROXY}"
    with Capture(captured.network.namespace, captured.b.port) as capture:
        done = captured.a.run(
            "curl", "-sS", "--max-time", "10", "-x", proxy, f"http://{captured.b.ipv4}:{HTTP}/{MARKER.decode()}",
            uid=APP_UID)
    assert json.loads(done.stdout)["target"] == f"/{MARKER.decode()}", done.stderr
    assert_only_tls(capture, MARKER)


def test_peers_do_not_reach_it_through_capture(captured):
    """The inbound side connects to the application on loopback, where the forward proxy listens too."""
    for address in captured.b.addresses:
        done = captured.a.curl(url(address, PROXY, "/"))
        assert "whole URL" not in done.stdout
        assert done.stdout in ("", "upstream failed\n"), done.stdout
