"""Fields keep their meaning from one version to the other, and none comes with a request that the proxy should have made."""

import pytest
from kit import h2wire, pairing
from kit.pairing import VERSIONS, seen
from kit.upstream import RequestReader


@pytest.fixture(params=VERSIONS)
def upstream(request):
    return request.param


@pytest.fixture(params=VERSIONS)
def caller(request, proxies, upstream):
    with pairing.connect(proxies[upstream], request.param) as caller:
        yield caller


def ask_seen(caller, *headers: tuple[str, str], **options) -> dict[str, list[str]]:
    return seen(caller.ask("/echo", headers=headers, **options).json)


# Cookies (RFC 9113, 8.2.3)

def test_cookies_that_http2_splits_are_one_field_in_http1(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        report = client.request("/echo", headers=(("cookie", "a=1"), ("x-between", "yes"), ("cookie", "b=2; c=3"))).json
    assert seen(report)["cookie"] == ["a=1; b=2; c=3"]


def test_cookies_mean_the_same_in_every_pairing(caller):
    assert "; ".join(ask_seen(caller, ("cookie", "a=1; b=2"))["cookie"]) == "a=1; b=2"


def test_cookies_that_are_set_are_never_joined(caller):
    assert caller.ask("/cookies").all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


# Host and :authority (RFC 9113, 8.3.1)

def test_explicit_mode_sends_the_application_its_own_host(caller, upstream, app, h2app):
    port = {"http1": app["http"], "h2": h2app}[upstream]
    assert ask_seen(caller, host="shop.example")["host"] == [f"127.0.0.1:{port}"]


@pytest.mark.parametrize("version", VERSIONS)
def test_preserve_host_keeps_the_authority(start_proxy, h2app, app, upstream, version):
    url = {"http1": f"http://127.0.0.1:{app['http']}", "h2": f"h2c://127.0.0.1:{h2app}"}[upstream]
    with pairing.connect(start_proxy(PRESERVE_HOST="true", UPSTREAM_URL=url), version) as caller:
        assert ask_seen(caller, host="shop.example:8443")["host"] == ["shop.example:8443"]


def test_http2_upstream_gets_no_host_field_beside_its_authority(caller, upstream):
    report = caller.ask("/echo").json
    if upstream == "h2":
        assert not any(name == "host" for name, _ in report["headers"])
        assert report["pseudo"][":scheme"] in ("http", "https")
        assert sorted(report["pseudo"]) == [":authority", ":method", ":path", ":scheme"]


def test_a_host_instead_of_the_authority_counts(start_proxy):
    with h2wire.connect(start_proxy(PRESERVE_HOST="true")) as client:
        stream = client.start([(":method", "GET"), (":scheme", "https"), (":path", "/echo"), ("host", "shop.example")])
        assert seen(client.wait_done(stream).json)["host"] == ["shop.example"]


def test_a_host_that_differs_from_the_authority_never_wins(start_proxy):
    with h2wire.connect(start_proxy(PRESERVE_HOST="true")) as client:
        stream = client.wait_done(client.open("/echo", headers=(("host", "evil.example"),), authority="shop.example"))
        assert stream.reset is not None or stream.status == 400 or seen(stream.json)["host"] == ["shop.example"]


# Fields of one connection only

def test_names_are_lower_case_in_http2_however_they_were_written(proxies):
    with pairing.connect(proxies["h2"], "http1") as caller:
        report = caller.ask("/echo", headers=(("X-UPPER-Case", "Value"),)).json
    assert ["x-upper-case", "Value"] in report["headers"]
    with pairing.connect(proxies["http1"], "h2") as caller:
        assert caller.ask("/status/200").header("x-answer") == "yes"


@pytest.mark.parametrize("version, headers", [
    ("http1", (("Connection", "X-Private, keep-alive"), ("X-Private", "secret"), ("Keep-Alive", "timeout=9"),
               ("Proxy-Connection", "keep-alive"), ("Proxy-Authorization", "Basic eA=="), ("TE", "gzip"))),
    ("h2", (("proxy-authorization", "Basic eA=="),)),
])
def test_hop_by_hop_fields_of_the_client_stay_at_the_proxy(proxies, upstream, version, headers):
    with pairing.connect(proxies[upstream], version) as caller:
        fields = ask_seen(caller, *headers, ("x-public", "kept"))
    assert fields["x-public"] == ["kept"]
    for name in ("x-private", "keep-alive", "proxy-connection", "proxy-authorization"):
        assert name not in fields, name
    assert "gzip" not in "".join(fields.get("te", []))


def test_hop_by_hop_fields_of_an_http1_application_never_reach_http2(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        answer = client.request("/hop")
    assert answer.header("x-end") == "kept"
    for name in ("x-hop", "keep-alive", "connection"):
        assert answer.all(name) == [], name


def test_te_trailers_reaches_an_http2_application(proxies):
    """gRPC servers insist on it."""
    with pairing.connect(proxies["h2"], "h2") as caller:
        assert ask_seen(caller, ("te", "trailers"))["te"] == ["trailers"]


def test_an_upgrade_to_h2c_is_not_offered_to_the_application(proxies, upstream):
    with pairing.connect(proxies[upstream], "http1") as caller:
        answer = caller.ask("/echo", headers=(
            ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")))
    assert answer.status == 200
    fields = seen(answer.json)
    assert "http2-settings" not in fields and "h2c" not in fields.get("upgrade", [])


def test_repeated_fields_keep_their_number_and_order(caller):
    fields = ask_seen(caller, ("x-many", "one"), ("x-other", "o"), ("x-many", "two"), ("x-many", ""))
    assert fields["x-many"] == ["one", "two", ""]


# What the proxy says about the caller

def test_forwarded_fields_come_from_the_connection(caller):
    fields = ask_seen(caller, host="shop.example")
    assert fields["x-forwarded-for"] == ["127.0.0.1"]
    assert fields["x-real-ip"] == ["127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["https"]
    assert fields["x-forwarded-host"] == ["shop.example"]


@pytest.mark.parametrize("name", ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"])
def test_forwarded_fields_of_the_client_are_dropped(caller, name):
    assert not any("spoofed" in value for value in ask_seen(caller, (name, "spoofed"))[name])


@pytest.mark.parametrize("name", [
    "x-client-tls-info", "x-client-cn", "x-client-subject", "x-forwarded-client-cert", "client-cert",
    "client-cert-chain", "x-client-anything",
])
def test_a_spoofed_identity_never_reaches_the_application(caller, name):
    fields = ask_seen(caller, (name, "spoofed"), (name, "spoofed again"))
    assert not any("spoofed" in value for values in fields.values() for value in values)
    assert len(fields.get(name, [])) <= 1


def test_the_identity_is_the_same_in_every_pairing(caller, proxies):
    with pairing.connect(proxies["http1"], "http1") as reference:
        expected = ask_seen(reference)
    fields = ask_seen(caller)
    for name in ("x-client-tls-info", "x-client-cn", "x-client-subject", "x-forwarded-client-cert", "client-cert"):
        assert fields[name] == expected[name], name


def test_callers_of_one_upstream_connection_are_told_apart(proxies, identities):
    other = identities.write("other-caller", identities.authority.client("other"))
    shared = proxies["h2"]
    with shared.connect(alpn=("h2",)) as first, shared.connect(other, alpn=("h2",)) as second:
        clients = [(h2wire.Client(first.stream), "caller"), (h2wire.Client(second.stream), "other")]
        for _ in range(3):
            for client, name in clients:
                assert seen(client.request("/echo").json)["x-client-cn"] == [name]


def test_a_request_id_is_kept_or_made(caller):
    assert ask_seen(caller, ("x-request-id", "abc-123"))["x-request-id"] == ["abc-123"]
    first, second = (ask_seen(caller)["x-request-id"] for _ in range(2))
    assert len(first) == len(second) == 1 and first != second


def test_traceparent_passes_through(caller):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert ask_seen(caller, ("traceparent", trace))["traceparent"] == [trace]


@pytest.mark.parametrize("size", [60_000, 65_000, 65_536])
def test_an_answers_head_as_large_as_is_read_is_sent_on(start_proxy, start_upstream, size):
    """The library for HTTP/2 drops larger ones unless it is told otherwise, and their streams stand still."""
    def serve_connection(stream):
        reader = RequestReader(stream)
        while reader.next():
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            while size - len(head) > 1_000:
                head += b"X-Part: %s\r\n" % (b"v" * 640)
            head += b"X-Last: %s\r\n\r\n" % (b"v" * (size - len(head) - 12))
            stream.sendall(head + b"ok")

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with h2wire.connect(proxy) as client:
        client.decoder.max_header_list_size = 1 << 20
        for _ in range(2):
            answer = client.request("/")
            assert (answer.status, bytes(answer.body)) == (200, b"ok")
            assert sum(len(name) + len(value) + 4 for name, value in answer.headers) > size - 200
