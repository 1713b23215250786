"""HTTP/1.0 clients and upstreams."""


def test_a_1_0_client_gets_an_answer_that_ends_with_the_connection(proxy):
    with proxy.connect() as client:
        client.send(b"GET /echo HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = client.response()
        assert answer.status == 200
        assert client.is_closed()


def test_a_1_0_client_never_gets_chunks(proxy):
    with proxy.connect() as client:
        client.send(b"GET /chunked/100000 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = client.response()
    assert answer.all("transfer-encoding") == []
    assert len(answer.body) == 100_000


def test_an_upstream_body_that_ends_with_the_connection_arrives_whole(proxy):
    with proxy.connect() as client:
        answer = client.request("/until-close")
    assert answer.body == b"until the end\n" * 1000


def test_a_1_0_keep_alive_client_keeps_its_connection(proxy):
    with proxy.connect() as client:
        for _ in range(2):
            client.send(b"GET /echo HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            assert answer.status == 200
            if (answer.header("connection") or "").lower() != "keep-alive":
                assert client.is_closed(), "without keep-alive in the answer a 1.0 connection is over"
                break
