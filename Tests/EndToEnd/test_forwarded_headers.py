"""What the application is told about the connection, and what never crosses it."""

import pytest


def headers_seen(proxy, *headers: tuple[str, str], host: str = "localhost") -> dict[str, list[str]]:
    with proxy.connect() as client:
        report = client.request("/echo", headers=headers, host=host).json
    seen: dict[str, list[str]] = {}
    for name, value in report["headers"]:
        seen.setdefault(name.lower(), []).append(value)
    return seen


def test_forwarded_headers_come_from_the_connection(proxy):
    seen = headers_seen(proxy, host="shop.example")
    assert seen["x-forwarded-for"] == ["127.0.0.1"]
    assert seen["x-real-ip"] == ["127.0.0.1"]
    assert seen["x-forwarded-proto"] == ["https"]
    assert seen["x-forwarded-host"] == ["shop.example"]


@pytest.mark.parametrize("name, spoof", [
    ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "evil.example"),
    ("X-Real-IP", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7"),
])
def test_forwarded_headers_of_the_client_are_dropped(proxy, name, spoof):
    assert not any(spoof in value for value in headers_seen(proxy, (name, spoof))[name.lower()])


def test_explicit_mode_sends_the_upstream_its_own_host(proxy, app):
    assert headers_seen(proxy, host="shop.example")["host"] == [f"127.0.0.1:{app['http']}"]


def test_preserve_host_keeps_the_clients_host(start_proxy):
    assert headers_seen(start_proxy(PRESERVE_HOST="true"), host="shop.example")["host"] == ["shop.example"]


def test_hop_by_hop_headers_of_the_client_stay_at_the_proxy(proxy):
    seen = headers_seen(
        proxy, ("Connection", "X-Private, keep-alive"), ("X-Private", "secret"), ("Keep-Alive", "timeout=9"),
        ("Proxy-Connection", "keep-alive"), ("Proxy-Authorization", "Basic eA=="), ("TE", "gzip"), ("X-Public", "kept"))
    assert seen["x-public"] == ["kept"]
    for name in ("x-private", "keep-alive", "proxy-connection", "proxy-authorization"):
        assert name not in seen, name
    assert "gzip" not in "".join(seen.get("te", []))


def test_hop_by_hop_headers_of_the_upstream_stay_at_the_proxy(proxy):
    with proxy.connect() as client:
        answer = client.request("/hop")
    assert answer.header("x-end") == "kept"
    assert answer.all("x-hop") == []
    assert answer.all("keep-alive") == []


def test_repeated_headers_keep_their_number_and_order(proxy):
    seen = headers_seen(proxy, ("X-Many", "one"), ("X-Other", "o"), ("X-Many", "two"), ("Cookie", "a=1"))
    assert seen["x-many"] == ["one", "two"]


def test_the_base_path_of_the_upstream_is_put_before_the_target(start_proxy, app):
    proxy = start_proxy(UPSTREAM_URL=f"http://127.0.0.1:{app['http']}/base")
    with proxy.connect() as client:
        assert client.request("/echo?q=1").json["target"] == "/base/echo?q=1"
