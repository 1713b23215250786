"""An error answer is about one stream: the connection goes on, and what is said is one plain line."""

import pytest
from h2.errors import ErrorCodes
from kit import h2wire
from kit.proxy import free_port


def assert_error(answer: h2wire.Stream, status: int) -> None:
    assert answer.status == status
    assert answer.body.strip() and answer.body.count(b"\n") <= 1, f"one line of text, not {bytes(answer.body)!r}"
    assert (answer.header("content-type") or "").startswith("text/plain")


def test_502_when_the_upstream_refuses(start_proxy):
    port = free_port()
    for url in (f"http://127.0.0.1:{port}", f"h2c://127.0.0.1:{port}"):
        with h2wire.connect(start_proxy(UPSTREAM_URL=url)) as client:
            for _ in range(3):
                assert_error(client.request("/"), 502)
            streams = [client.open("/", "POST", body=bytes(10_000)) for _ in range(20)]
            assert [client.wait_done(stream).status for stream in streams] == [502] * 20


@pytest.mark.parametrize("path", ["/reset", "/nonsense"])
def test_502_when_the_upstream_resets_or_speaks_nonsense(proxies, path):
    with h2wire.connect(proxies["http1"]) as client:
        neighbour = client.open("/slow/0.5")
        assert_error(client.request(path), 502)
        assert client.wait_done(neighbour).status == 200


@pytest.mark.parametrize("upstream", ["http1", "h2"])
def test_504_when_the_upstream_does_not_answer(start_proxy, app, h2app, upstream):
    url = {"http1": f"http://127.0.0.1:{app['http']}", "h2": f"h2c://127.0.0.1:{h2app}"}[upstream]
    with h2wire.connect(start_proxy(UPSTREAM_URL=url, RESPONSE_TIMEOUT_SECS="1")) as client:
        slow = client.open("/slow/5")
        assert client.request("/echo").status == 200
        assert_error(client.wait_done(slow), 504)
        assert client.request("/echo").status == 200


def test_431_for_too_many_header_bytes_and_the_tables_stay_the_same(start_proxy):
    with h2wire.connect(start_proxy(MAX_HEADER_BYTES="4096")) as client:
        assert client.request("/echo", headers=(("x-fits", "x" * 3000),)).status == 200
        answer = client.wait_done(client.open("/echo", headers=(("x-kept", "in the table"), ("x-big", "b" * 10_000))))
        assert answer.status == 431 or answer.reset is not None
        # The encoder now refers to fields of the refused head.
        report = client.request("/echo", headers=(("x-kept", "in the table"),)).json
        assert ["x-kept", "in the table"] in [[name.lower(), value] for name, value in report["headers"]]


def test_an_error_status_of_the_application_passes_through(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        for status in (400, 401, 403, 404, 500, 503):
            assert client.request(f"/status/{status}").status == status


def test_a_head_that_does_not_come_ends_the_connection(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        client.send(h2wire.frame(h2wire.Kind.HEADERS, 0, 1, h2wire.literal(":method", "GET")))
        client.wait_over(6)  # This proxy's HEADER_TIMEOUT_SECS is 2.


def test_a_preface_that_does_not_come_ends_the_connection(proxies):
    with h2wire.connect(proxies["http1"], greet=False) as client:
        client.send(h2wire.PREFACE[:10])
        client.wait_over(6)


def test_an_upload_that_stalls_is_ended(start_proxy):
    with h2wire.connect(start_proxy(IDLE_TIMEOUT_SECS="1")) as client:
        stream = client.open("/upload", "POST", headers=(("content-length", "10"),), end=False)
        client.send_body(stream, b"abc", end=False)
        client.wait(lambda: stream.is_done or client.is_over, "the upload is given up", 6)
        assert stream.status in (0, 408, 504)


def test_an_idle_connection_gets_a_goodbye_after_its_time(start_proxy):
    with h2wire.connect(start_proxy(IDLE_TIMEOUT_SECS="1")) as client:
        client.request("/echo")
        client.wait_over(6)
        assert [code for _, code in client.goaways] == [ErrorCodes.NO_ERROR] * len(client.goaways) != []
