"""Expect: 100-continue: the client waits for a word before it sends the body."""


def ask(client, target: bytes) -> None:
    client.send(b"POST " + target + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")


def test_the_client_is_told_to_go_on(proxy):
    with proxy.connect() as client:
        ask(client, b"/upload")
        assert client.head().status == 100
        client.send(b"hello")
        report = client.response().json
    assert report["body_length"] == 5


def test_a_final_answer_instead_of_100_comes_through_without_the_body(proxy):
    with proxy.connect() as client:
        ask(client, b"/refuse")
        answer = client.response()
        assert answer.status == 417
        assert 100 not in answer.informational


def test_a_client_that_does_not_wait_is_served_too(proxy):
    with proxy.connect() as client:
        ask(client, b"/upload")
        client.send(b"hello")
        answer = client.response()
        assert answer.json["body_length"] == 5
        assert client.request("/echo").status == 200
