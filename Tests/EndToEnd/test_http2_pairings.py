"""Every pairing of HTTP/1.1 and HTTP/2 on the two sides carries the same request and the same answer."""

import hashlib
import time

import pytest
from kit import h2wire, pairing, pattern
from kit.pairing import VERSIONS, lower, seen

SIZES = [0, 1, 16_384, 65_536, 3_000_000]


@pytest.fixture(params=VERSIONS)
def upstream(request):
    return request.param


@pytest.fixture(params=VERSIONS)
def caller(request, proxies, upstream):
    with pairing.connect(proxies[upstream], request.param) as caller:
        yield caller
    if upstream == "h2":
        # The application speaks HTTP/2 strictly: it remembers whatever the proxy gets wrong.
        with pairing.connect(proxies["h2"], "http1") as caller:
            assert caller.ask("/seen").json["violations"] == []


def test_a_get_arrives_as_one_in_the_applications_version(caller, upstream):
    report = caller.ask("/echo/path?q=1&r=%20", headers=(("x-custom", "kept"),)).json
    assert (report["method"], report["target"]) == ("GET", "/echo/path?q=1&r=%20")
    assert report["version"] == {"http1": "HTTP/1.1", "h2": "HTTP/2"}[upstream]
    assert seen(report)["x-custom"] == ["kept"]
    assert report["body_length"] == 0
    assert "content-length" not in seen(report) and "transfer-encoding" not in seen(report)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_other_methods_arrive_as_they_are(caller, method):
    assert caller.ask("/echo", method).json["method"] == method


def test_a_post_without_a_body_stays_without_one(caller):
    report = caller.ask("/echo", "POST", body=b"").json
    assert (report["method"], report["body_length"]) == ("POST", 0)
    assert seen(report).get("content-length") == ["0"]


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_with_a_length_is_the_same_bytes_and_keeps_its_length(caller, size):
    report = caller.ask("/upload", "POST", body=b"".join(pattern.pieces(size))).json
    assert (report["body_length"], report["body_sha256"]) == (size, pattern.checksum(size))
    assert seen(report)["content-length"] == [str(size)]


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_without_a_length_is_the_same_bytes(caller, upstream, size):
    report = caller.ask("/upload", "POST", body=b"".join(pattern.pieces(size)), length=False).json
    assert (report["body_length"], report["body_sha256"]) == (size, pattern.checksum(size))
    if size and upstream == "http1":
        assert seen(report)["transfer-encoding"] == ["chunked"]


@pytest.mark.parametrize("size", SIZES)
def test_a_download_with_a_length_is_the_same_bytes_and_keeps_its_length(caller, size):
    answer = caller.ask(f"/bytes/{size}")
    assert answer.header("content-length") == str(size)
    assert hashlib.sha256(answer.body).hexdigest() == pattern.checksum(size)


@pytest.mark.parametrize("size", SIZES)
def test_a_download_without_a_length_is_the_same_bytes_and_keeps_its_trailer(caller, size):
    answer = caller.ask(f"/chunked/{size}", headers=(("te", "trailers"),))
    assert hashlib.sha256(answer.body).hexdigest() == pattern.checksum(size)
    assert lower(answer.trailers) == [("x-checksum", pattern.checksum(size))]
    assert caller.ask().status == 200, "the connection goes on after the trailer"


def test_trailers_of_a_request_arrive_as_trailers(caller):
    report = caller.ask(
        "/upload", "POST", headers=(("trailer", "x-sum"),), body=b"content", length=False,
        trailers=(("x-sum", "42"),)).json
    assert report["body_length"] == 7
    assert lower(report["trailers"]) == [("x-sum", "42")]
    assert "x-sum" not in seen(report)


def test_an_identity_in_the_trailers_is_dropped(caller):
    report = caller.ask(
        "/upload", "POST", body=b"content", length=False, trailers=(("x-client-cn", "admin"), ("x-sum", "42"))).json
    assert not any(name == "x-client-cn" for name, _ in lower(report["trailers"]))
    assert "admin" not in seen(report)["x-client-cn"]


def test_head_has_the_length_but_no_body(caller):
    answer = caller.ask("/bytes/1234", "HEAD")
    assert (answer.status, answer.header("content-length"), bytes(answer.body)) == (200, "1234", b"")
    assert caller.ask().status == 200


@pytest.mark.parametrize("status", [204, 304])
def test_no_content_and_not_modified_end_with_their_head(caller, status):
    answer = caller.ask(f"/status/{status}")
    assert (answer.status, answer.header("x-answer"), bytes(answer.body)) == (status, "yes", b"")
    assert caller.ask().status == 200


@pytest.mark.parametrize("status", [200, 201, 301, 404, 418, 500, 503])
def test_other_statuses_pass_through_with_their_body(caller, status):
    answer = caller.ask(f"/status/{status}")
    assert (answer.status, bytes(answer.body)) == (status, b"status\n")


def test_early_hints_pass_through_before_the_final_answer(caller):
    answer = caller.ask("/early")
    assert answer.informational == [103]
    assert answer.json == {"early": True}


def test_a_client_that_waits_for_100_is_told_to_go_on(caller):
    expect = (("expect", "100-continue"), ("content-length", "5"))
    if caller.version == "h2":
        client = caller.client
        stream = client.open("/upload", "POST", headers=expect, end=False)
        client.wait(lambda: stream.informational, "100 Continue")
        client.send_body(stream, b"hello")
        answer = client.wait_done(stream)
        assert answer.informational == [100]
    else:
        client = caller.client
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head().status == 100
        client.send(b"hello")
        answer = client.response()
    assert answer.json["body_length"] == 5


def test_a_final_answer_instead_of_100_comes_through(caller):
    expect = (("expect", "100-continue"), ("content-length", "5"))
    if caller.version == "h2":
        stream = caller.client.wait_done(caller.client.open("/refuse", "POST", headers=expect, end=False))
        assert (stream.status, stream.informational, stream.ended) == (417, [], True)
        assert caller.ask().status == 200
    else:
        caller.client.send(b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answer = caller.client.response()
        assert (answer.status, answer.informational) == (417, [])


def test_an_answer_streams_while_the_application_still_writes(caller):
    started = time.monotonic()
    if caller.version == "h2":
        stream = caller.client.open("/drip/3/0.6")
        caller.client.wait(lambda: stream.body, "the first line")
        assert bytes(stream.body) == b"line 0\n"
    else:
        caller.client.send(b"GET /drip/3/0.6 HTTP/1.1\r\nHost: a\r\n\r\n")
        caller.client.head()
        assert caller.client.line() == "7" and caller.client.exactly(7) == b"line 0\n"
    assert time.monotonic() - started < 1.5, "the first piece came with the last one"


def test_a_request_streams_while_the_client_still_writes(proxies, upstream):
    """The application sees the head, and answers, while the body is not there yet."""
    with h2wire.connect(proxies[upstream]) as client:
        before = client.request("/seen").json["targets"].count("/upload?unended")
        stream = client.open("/upload?unended", "POST", end=False)
        client.send_body(stream, b"first", end=False)
        for _ in range(100):
            if client.request("/seen").json["targets"].count("/upload?unended") > before:
                break
            time.sleep(0.02)
        else:
            pytest.fail("the application did not see the request before its end")
        client.send_body(stream, b" and last")
        assert client.wait_done(stream).json["body_length"] == 14


def test_chunked_framing_never_shows_in_http2(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        answer = client.request("/chunked/1000", headers=(("te", "trailers"),))
    # h2wire refuses transfer-encoding in any answer; that there is no length shows that the body had none.
    assert answer.all("content-length") == []
    assert len(answer.body) == 1000


def test_one_connection_to_an_http2_application_serves_many_callers(proxies):
    numbers = set()
    for version in VERSIONS * 5:
        with pairing.connect(proxies["h2"], version) as caller:
            numbers.add(caller.ask().json["connection"])
    assert len(numbers) <= 4, f"10 requests one after the other took {len(numbers)} connections"


@pytest.mark.parametrize("setting, content_type, version", [
    ("auto", "application/json", "HTTP/1.1"), ("http1", "application/grpc", "HTTP/1.1"),
    ("auto", "application/grpc", "HTTP/2"), ("auto", "application/grpc+proto", "HTTP/2"), ("h2c", "text/plain", "HTTP/2"),
])
def test_the_setting_chooses_the_applications_version(start_proxy, app, h2app, setting, content_type, version):
    port = h2app if version == "HTTP/2" else app["http"]
    proxy = start_proxy(upstream_port=port, UPSTREAM_PROTOCOL=setting)
    with h2wire.connect(proxy) as client:
        report = client.request("/echo", "POST", headers=(("content-type", content_type), ("te", "trailers")), body=b"x")
    assert report.json["version"] == version
