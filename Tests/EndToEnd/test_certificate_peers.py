"""Connections end gently when their peer would be refused by now: its certificate expired, or its authority is gone."""

from __future__ import annotations

import contextlib
import socket
import time
from datetime import timedelta

import pytest
from kit import h2wire
from kit.monitor import metrics
from kit.pki import Authority
from kit.process import wait_until
from kit.proxy import free_port
from kit.reload import log_lines, wait_reloaded
from kit.volume import write
from kit.wire import client_context, connect_plain, connect_tls

ENDED = "connections ended whose peer would be refused by now"
#: The sweep's interval, and some.
SWEEP = 9


@pytest.fixture
def trust(directory):
    """CA_DIR, still empty."""
    home = directory / "trust"
    home.mkdir()
    home.chmod(0o755)
    return home


@pytest.fixture
def second(identities, directory, trust):
    """A second authority, trusted too, and the directory of a client of its own."""
    authority = Authority("Second CA")
    write(trust / "ca.crt", identities.authority.pem + authority.pem)
    return authority, authority.client("guest").write(directory / "guest")


def h2_as(proxy, caller) -> h2wire.Client:
    return h2wire.Client(proxy.connect(caller, alpn=("h2",)).stream)


def ended_by_reason(proxy) -> dict[str, float]:
    page = metrics(proxy)
    return {
        reason: page.value("sidecar_connections_ended_total", reason=reason)
        for reason in ("trust_anchor_removed", "expired", "cut")}


def remove_second(identities, trust, proxy) -> None:
    write(trust / "ca.crt", identities.authority.pem)
    wait_reloaded(proxy)


def test_an_idle_connection_of_a_removed_authority_is_closed(start_proxy, identities, trust, second):
    proxy = start_proxy(CA_DIR=str(trust), ENABLE_METRICS="true")
    _, guest = second
    with proxy.connect(guest) as ended, proxy.connect() as stays:
        assert ended.request("/echo").status == stays.request("/echo").status == 200
        remove_second(identities, trust, proxy)
        assert ended.is_closed()
        assert stays.request("/echo").status == 200
    line = wait_until(lambda: log_lines(proxy, ENDED), "the log counts it")[0]
    assert (line["trust_anchor_removed"], line["expired"]) == ("1", "0")
    assert ended_by_reason(proxy) == {"trust_anchor_removed": 1, "expired": 0, "cut": 0}


def test_a_running_request_of_a_removed_authority_is_answered_with_close(start_proxy, identities, trust, second):
    proxy = start_proxy(CA_DIR=str(trust))
    with proxy.connect(second[1]) as client:
        client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        remove_second(identities, trust, proxy)
        answer = client.response()
        assert answer.status == 200 and answer.closes
        assert client.is_closed()


def test_http2_of_a_removed_authority_gets_a_goodbye_and_finishes(start_proxy, identities, trust, second):
    proxy = start_proxy(CA_DIR=str(trust))
    with h2_as(proxy, second[1]) as ended, h2wire.connect(proxy) as stays:
        running = ended.open("/slow/1.5")
        stays.request("/echo")
        ended.settle(0.3)
        remove_second(identities, trust, proxy)
        ended.wait(lambda: ended.goaways, "GOAWAY")
        assert ended.wait_done(running).status == 200
        ended.wait_over()
        assert stays.request("/echo").status == 200 and not stays.goaways


def test_what_does_not_end_is_cut_after_the_drain_limit(start_proxy, identities, trust, second):
    proxy = start_proxy(CA_DIR=str(trust), SHUTDOWN_TIMEOUT_SECS="1", ENABLE_METRICS="true")
    with proxy.connect(second[1], seconds=15) as client:
        client.send(b"GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        remove_second(identities, trust, proxy)
        started = time.monotonic()
        assert client.is_closed()
        assert 0.9 < time.monotonic() - started < 2.5, "not at the next sweep, but when its time is over"
    wait_until(lambda: any(line["cut_after_grace"] == "1" for line in log_lines(proxy, ENDED)), "the cut is counted")
    assert ended_by_reason(proxy)["cut"] == 1


def test_a_resumed_connection_is_judged_too(start_proxy, identities, trust, second):
    """After a resumed handshake there is no chain to look at, only the peer's certificate."""
    proxy = start_proxy(CA_DIR=str(trust), WORKER_THREADS="1")
    contexts = [client_context(identities.ca_file, caller) for caller in (second[1], identities.caller_directory)]
    streams = []
    for context in contexts:
        with connect_tls(proxy.address, context) as first:
            first.request("/echo")
            session = first.stream.session
        plain = socket.create_connection(proxy.address, timeout=5)
        stream = context.wrap_socket(plain, server_hostname="localhost", session=session)
        assert stream.session_reused
        streams.append(stream)
    ended, stays = streams
    with ended, stays:
        for stream in streams:
            stream.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.recv(65_536).startswith(b"HTTP/1.1 200")
        remove_second(identities, trust, proxy)
        assert ended.recv(1) == b""
        stays.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stays.recv(65_536).startswith(b"HTTP/1.1 200")


def test_an_authority_that_is_renewed_with_its_key_keeps_its_clients(start_proxy, identities, trust, second):
    authority, guest = second
    proxy = start_proxy(CA_DIR=str(trust))
    with proxy.connect(guest) as client:
        assert client.request("/echo").status == 200
        write(trust / "ca.crt", identities.authority.pem + authority.renewed().pem)
        line = wait_reloaded(proxy)
        assert "CN=Second CA" in line["trust_for_clients_removed"]
        time.sleep(1)
        answer = client.request("/echo")
        assert answer.status == 200 and not answer.closes


def test_connections_end_when_the_certificate_of_their_peer_expires(start_proxy, identities, directory):
    proxy = start_proxy(ENABLE_METRICS="true")
    brief = identities.authority.client("brief", not_after=timedelta(seconds=3)).write(directory / "brief")
    with proxy.connect(brief, seconds=20) as first, h2_as(proxy, brief) as second, proxy.connect() as stays:
        assert first.request("/echo").status == second.request("/echo").status == 200
        second.seconds = 3 + SWEEP
        second.wait(lambda: second.goaways, "GOAWAY")
        assert first.is_closed()
        assert stays.request("/echo").status == 200
    ended = wait_until(lambda: log_lines(proxy, ENDED), "the log counts them")
    assert sum(int(line["expired"]) for line in ended) == 2
    assert ended_by_reason(proxy) == {"trust_anchor_removed": 0, "expired": 2, "cut": 0}


def test_a_client_that_never_rests_is_told_with_its_next_answer(start_proxy, identities, directory):
    proxy = start_proxy()
    brief = identities.authority.client("brief", not_after=timedelta(seconds=3)).write(directory / "brief")
    with proxy.connect(brief) as client:
        deadline = time.monotonic() + 3 + SWEEP
        while not client.request("/echo").closes:
            assert time.monotonic() < deadline, "no answer said close"
            time.sleep(0.02)
        assert client.is_closed()


def test_many_connections_end_in_slices_and_none_is_forgotten(start_proxy, identities, trust, second):
    proxy = start_proxy(CA_DIR=str(trust), WORKER_THREADS="1")
    with contextlib.ExitStack() as stack:
        ended = [stack.enter_context(proxy.connect(second[1])) for _ in range(150)]
        stay = [stack.enter_context(proxy.connect()) for _ in range(20)]
        for client in ended + stay:
            assert client.request("/status/200").status == 200
        remove_second(identities, trust, proxy)
        for client in ended:
            client.stream.settimeout(5)
            assert client.is_closed()
        assert all(client.request("/status/200").status == 200 for client in stay)
    line = wait_until(lambda: log_lines(proxy, ENDED), "the log counts them")[0]
    assert line["trust_anchor_removed"] == "150"


def test_a_tunnel_gets_time_and_is_cut_then(start_proxy, identities, trust, second):
    """What speaks no HTTP any more cannot be told to go."""
    proxy = start_proxy(CA_DIR=str(trust), SHUTDOWN_TIMEOUT_SECS="2")
    with proxy.connect(second[1], seconds=15) as client:
        client.send(
            b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert client.head().status == 101
        remove_second(identities, trust, proxy)
        removed = time.monotonic()
        client.send(b"still here")
        assert client.exactly(10) == b"still here"
        assert client.is_closed()
        assert 1.5 < time.monotonic() - removed < 3.5
    wait_until(lambda: "trust anchor was removed" in proxy.process.stdout, "the log says why")


def test_a_pooled_connection_to_a_server_that_expires_is_ended(start_proxy, identities, directory):
    brief = identities.authority.server("brief", not_after=timedelta(seconds=4)).write(directory / "brief")
    far = start_proxy(SERVER_CERT_DIR=str(brief))
    port = free_port()
    near = start_proxy(OUTBOUND_PROXY_PORT=str(port), WORKER_THREADS="1")
    authority = f"localhost:{far.port}"
    with connect_plain(("127.0.0.1", port), seconds=20) as client:
        assert client.request(f"http://{authority}/echo", host=authority).status == 200
        line = wait_until(lambda: log_lines(near, ENDED), "the sweep ends it", 4 + SWEEP)[0]
        assert line["expired"] == "1"
        identities.authority.server("renewed").write(brief)
        wait_reloaded(far)
        assert client.request(f"http://{authority}/echo", host=authority).status == 200


def test_the_setting_turns_it_off(start_proxy, identities, directory, trust, second):
    proxy = start_proxy(CA_DIR=str(trust), PEER_EXPIRY_CHECK="false")
    brief = identities.authority.client("brief", not_after=timedelta(seconds=2)).write(directory / "brief")
    with proxy.connect(brief) as expired, proxy.connect(second[1]) as removed:
        remove_second(identities, trust, proxy)
        time.sleep(SWEEP)
        for client in (expired, removed):
            answer = client.request("/echo")
            assert answer.status == 200 and not answer.closes
    assert not log_lines(proxy, ENDED)
