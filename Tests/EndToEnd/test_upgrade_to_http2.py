"""An upgrade toward an application that is known to speak HTTP/2: refused at once, in a sentence, by either way in."""

import pytest
from kit import h2wire
from kit.h2websocket import connect
from kit.proxy import Proxy

SENTENCE = b"the upstream speaks HTTP/2, where no other protocol can be switched to\n"
ASK = (
    b"GET /chat-%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def seen(proxy: Proxy) -> list[str]:
    with h2wire.connect(proxy) as client:
        return client.request("/seen").json["targets"]


def test_an_http1_upgrade_is_501_and_the_connection_goes_on(proxies):
    with proxies["h2"].connect() as client:
        for number in range(3):
            client.send(ASK % number)
            answer = client.response()
            assert (answer.status, answer.body, answer.closes) == (501, SENTENCE, False)
            assert client.request("/echo").json["version"] == "HTTP/2"
    assert not any(target.startswith("/chat-") for target in seen(proxies["h2"]))


def test_extended_connect_is_501_and_the_connection_goes_on(proxies):
    with h2wire.connect(proxies["h2"]) as client:
        for number in range(120):
            stream = connect(client, f"/stream-{number}")
            client.wait(lambda: stream.ended and stream.reset is not None, "the stream is over in both directions")
            assert (stream.status, bytes(stream.body), stream.reset) == (501, SENTENCE, 0)
        assert client.request("/echo").status == 200
    assert not any(target.startswith("/stream-") for target in seen(proxies["h2"]))


def test_what_is_sent_along_with_an_upgrade_that_is_refused_is_a_request_of_its_own(proxies):
    with proxies["h2"].connect() as client:
        client.send(ASK % 9 + b"GET /after HTTP/1.1\r\nHost: a\r\nX-Client-CN: admin\r\n\r\n")
        assert client.response().status == 501
        answer = client.response()
        assert answer.json["target"] == "/after" and "admin" not in answer.body.decode()


@pytest.mark.parametrize("protocol", ["h2c", "h2c, websocket"])
def test_an_offer_of_http2_itself_is_no_upgrade(proxies, protocol):
    with proxies["h2"].connect() as client:
        answer = client.request(
            "/echo", headers=(("Connection", "Upgrade"), ("Upgrade", protocol)))
        assert (answer.status, answer.json["version"]) == (200, "HTTP/2")
