"""Connections are kept and reused on both sides, and closed when either side asks for it."""

import json
import sys

from conftest import KIT
from kit.process import Process


def test_requests_follow_each_other_on_one_connection(proxy):
    with proxy.connect() as client:
        answers = [client.request(f"/echo/{number}") for number in range(20)]
    assert [answer.json["target"] for answer in answers] == [f"/echo/{number}" for number in range(20)]
    assert not any(answer.closes for answer in answers)


def test_upstream_connections_are_shared_by_new_clients(proxy):
    seen = set()
    for _ in range(10):
        with proxy.connect() as client:
            seen.add(client.request("/echo").json["connection"])
    assert len(seen) <= 3, f"10 requests one after the other took {len(seen)} upstream connections"


def test_connection_close_of_the_client_is_answered_and_done(proxy):
    with proxy.connect() as client:
        answer = client.request("/echo", headers=(("Connection", "close"),))
        assert answer.status == 200
        assert answer.closes
        assert client.is_closed()


def test_connection_close_of_the_upstream_does_not_reach_the_client(proxy):
    with proxy.connect() as client:
        assert client.request("/close").json == {"closing": True}
        assert client.request("/echo").status == 200


def test_pipelined_requests_are_answered_in_order(proxy):
    with proxy.connect() as client:
        client.send(b"".join(b"GET /echo/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(10)))
        targets = [client.response().json["target"] for _ in range(10)]
    assert targets == [f"/echo/{number}" for number in range(10)]


def test_a_slow_request_does_not_let_the_next_pipelined_one_overtake(proxy):
    with proxy.connect() as client:
        client.send(b"GET /slow/0.5 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/second HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().json == {"slept": 0.5}
        assert client.response().json["target"] == "/echo/second"


def test_a_request_that_arrives_byte_by_byte_is_understood(proxy):
    with proxy.connect() as client:
        for byte in b"POST /echo/drip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody":
            client.send(bytes([byte]))
        report = client.response().json
    assert (report["target"], report["body_length"]) == ("/echo/drip", 4)


def test_an_upstream_that_died_while_idle_costs_no_request(start_proxy, directory):
    def start_app(port: int) -> Process:
        return Process([sys.executable, str(KIT / "app.py"), "--http", str(port)], directory / "mortal-app")

    first = start_app(0)
    second = None
    try:
        port = json.loads(first.wait_for_line("http"))["http"]
        proxy = start_proxy(upstream_port=port)
        with proxy.connect() as client:
            assert client.request("/echo").status == 200
            first.kill()
            second = start_app(port)
            second.wait_for_line("http")
            assert client.request("/echo").status == 200, "the pooled connection was dead, a new one had to be made"
    finally:
        first.stop()
        if second:
            second.stop()
