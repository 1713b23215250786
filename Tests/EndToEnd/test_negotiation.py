"""While the upstream's version of HTTP is not known, requests wait for its handshake, and their bodies with them."""

import ssl
import time

import pytest
from kit import pattern
from kit.upstream import Recorder, RequestReader


@pytest.fixture
def slow_upstream(identities, start_upstream):
    """Takes its time with the handshake, and then speaks HTTP/1.1: gRPC is asked for by HTTP/2 where there is a choice."""
    pair = identities.write("slow-upstream", identities.authority.server("localhost", addresses=("127.0.0.1",)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    requests = []

    def serve(stream):
        time.sleep(0.5)
        with context.wrap_socket(stream, server_side=True) as session:
            reader = RequestReader(session)
            while request := reader.next():
                requests.append(request)
                session.sendall(Recorder.ANSWER)

    return start_upstream(serve), requests


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_a_body_waits_for_the_upstream(start_proxy, slow_upstream, size):
    """However much the client would send: the proxy takes what it can hold and lets it wait with the rest."""
    upstream, requests = slow_upstream
    proxy = start_proxy(UPSTREAM_URL=f"https://127.0.0.1:{upstream.port}")
    body = b"".join(pattern.pieces(size))
    with proxy.connect() as client:
        client.send(b"POST /call HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
                    b"Content-Length: %d\r\n\r\n" % size + body)
        assert client.response().status == 200
    [request] = requests
    assert request.body == body
