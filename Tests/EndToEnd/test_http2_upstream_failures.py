"""What an HTTP/2 application does wrong, or ends in good order, costs no request that could be saved."""

import json
import sys

import pytest
from conftest import KIT
from kit import h2wire, pairing
from kit.pairing import VERSIONS
from kit.process import Process
from kit.wire import Closed


@pytest.fixture(params=VERSIONS)
def caller(request, proxies):
    with pairing.connect(proxies["h2"], request.param) as caller:
        yield caller


@pytest.fixture
def start_h2app(directory):
    """Starts applications of the test's own: port and process."""
    started: list[Process] = []

    def start(port: int = 0, *options: str) -> tuple[int, Process]:
        process = Process([sys.executable, str(KIT / "h2app.py"), str(port), *options], directory / f"h2app-{len(started)}")
        started.append(process)
        return json.loads(process.wait_for_line("h2"))["h2"], process

    yield start
    for process in started:
        process.stop()


def times_seen(caller, target: str) -> int:
    return caller.ask("/seen").json["targets"].count(target)


# REFUSED_STREAM (RFC 9113, 8.7): not processed, so it may be sent again

def test_a_refused_stream_is_tried_again(caller):
    report = caller.ask(f"/refused/{caller.version}")
    assert report.status == 200
    assert times_seen(caller, f"/refused/{caller.version}") == 2


def test_a_refused_upload_is_tried_again_or_reported_but_never_cut(caller):
    answer = caller.ask(f"/refused/{caller.version}-upload", "POST", body=b"content")
    assert answer.status in (200, 502, 503)
    if answer.status == 200:
        assert answer.json["body_length"] == 7


def test_a_stream_that_is_always_refused_is_not_tried_for_ever(caller):
    target = f"/refused/{caller.version}-always/always"
    assert caller.ask(target).status in (502, 503)
    assert times_seen(caller, target) <= 5


# GOAWAY (RFC 9113, 6.8)

def test_a_request_that_the_goodbye_counts_in_is_answered_and_the_next_takes_a_new_connection(caller):
    first = caller.ask(f"/goaway/processed/{caller.version}").json["connection"]
    assert caller.ask("/echo").json["connection"] != first


def test_a_request_that_the_goodbye_does_not_count_in_is_tried_again_elsewhere(caller):
    target = f"/goaway/unprocessed/{caller.version}"
    assert caller.ask(target).status == 200
    assert times_seen(caller, target) == 2


def test_a_goodbye_does_not_disturb_the_other_requests(proxies):
    with h2wire.connect(proxies["h2"]) as client:
        running = [client.open("/slow/0.6") for _ in range(5)]
        client.settle(0.2)
        assert client.request("/goaway/processed/among-others").status == 200
        assert all(client.wait_done(stream).status == 200 for stream in running)


# Connections that die

@pytest.mark.parametrize("path", ["/drop", "/garbage"])
def test_a_connection_that_breaks_is_502_for_a_request_that_may_have_been_seen(proxies, caller, path):
    target = f"{path}?{caller.version}"
    assert caller.ask(target, "POST", body=b"pay").status == 502
    with pairing.connect(proxies["h2"], "h2") as other:
        assert times_seen(other, target) == 1


def test_an_application_that_died_while_idle_costs_no_request(start_proxy, start_h2app):
    port, process = start_h2app()
    with h2wire.connect(start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{port}")) as client:
        assert client.request("/echo").status == 200
        process.kill()
        start_h2app(port)
        assert client.request("/echo").status == 200


def test_an_application_that_speaks_http1_only_is_502(start_proxy, app):
    with h2wire.connect(start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{app['http']}")) as client:
        for _ in range(2):
            assert client.request("/echo").status == 502


# Answers that are malformed (RFC 9113, 8.1.1)

@pytest.mark.parametrize("kind", ["no-status", "upper-case", "line-break", "request-field", "empty"])
def test_a_malformed_answer_is_502_and_nothing_of_it_passes(caller, kind):
    answer = caller.ask(f"/malformed/{kind}")
    assert answer.status == 502
    assert answer.all("x-answer") == [] and answer.all("x-injected") == []
    assert caller.ask("/echo").status == 200


def test_a_connection_field_in_an_answer_is_refused_or_dropped(caller):
    answer = caller.ask("/malformed/connection")
    assert answer.status == 502 or answer.all("connection") == []


def test_an_answer_shorter_than_its_length_is_never_taken_for_whole(proxies):
    with h2wire.connect(proxies["h2"]) as client:
        stream = client.wait_done(client.open("/malformed/short"))
        assert stream.reset is not None or stream.status == 502
    with proxies["h2"].connect() as client:
        client.send(b"GET /malformed/short HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            assert client.response().status == 502
        except (Closed, ConnectionError):
            pass


# Its limit of streams

def test_more_requests_than_the_application_takes_at_a_time_are_all_served(start_proxy, start_h2app):
    port, _ = start_h2app(0, "--streams", "5")
    with h2wire.connect(start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{port}")) as client:
        assert client.request("/echo").status == 200
        streams = [client.open("/slow/0.2") for _ in range(30)]
        assert [client.wait_done(stream).status for stream in streams] == [200] * 30
        assert client.request("/seen").json["violations"] == []
