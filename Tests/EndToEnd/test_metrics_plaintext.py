"""What comes without TLS on captured ports, by port and by what became of it."""

from conftest import needs_root
from kit.moves import Cases
from kit.pod import url
from kit.probing import HTTP as PROBED
from kit.probing import ProbedPod
from kit.transparent import HTTP
from kit.wire import Connection

CASES = Cases()


@CASES.parametrize()
def test_it_moves(case, bench):
    case.run(bench)


def plaintext(port: int | str, verdict: str) -> str:
    return f'sidecar_plaintext_requests_total{{port="{port}",verdict="{verdict}"}}'


@CASES.moves({plaintext(HTTP, "refused"): 2, plaintext("other", "refused"): 1})
def plaintext_that_is_refused(bench):
    """A port has a row once its application has answered; nothing listens on the last one."""
    needs_root()
    pods = bench.get("fresh_pods")
    pods.start(pods.a)
    pods.start(pods.b, ENABLE_METRICS="true")
    yield pods.b
    assert pods.a.curl(url(pods.b.ipv4, HTTP, "/echo")).returncode == 0
    for port in (HTTP, HTTP, 8123):
        assert pods.stranger.curl(url(pods.b.ipv4, port), seconds=5).returncode != 0


@CASES.moves({plaintext(HTTP, "allowed"): 3, plaintext("other", "allowed"): 0, "requests_total": 3})
def plaintext_that_is_allowed(bench):
    needs_root()
    pods = bench.get("fresh_pods")
    pods.start(pods.b, ENABLE_METRICS="true", INBOUND_PLAINTEXT="allow")
    yield pods.b
    for _ in range(3):
        assert pods.stranger.curl(url(pods.b.ipv4, HTTP, "/echo")).returncode == 0


@CASES.moves({plaintext("other", "allowed"): 1})
def plaintext_to_where_nobody_answers(bench):
    """It is let through, and finds no application."""
    needs_root()
    pods = bench.get("fresh_pods")
    pods.start(pods.b, ENABLE_METRICS="true", INBOUND_PLAINTEXT="allow")
    yield pods.b
    pods.stranger.curl(url(pods.b.ipv4, 8123), seconds=5)


@CASES.moves({plaintext(PROBED, "probe"): 2, plaintext("other", "probe"): 1, "requests_total": 0})
def probes_in_plaintext(bench):
    """Answered in the application's place, which is not there at first: only when it has answered has its port a row."""
    needs_root()
    probed = ProbedPod(bench.get("fresh_pods"), INBOUND_PLAINTEXT="probes")
    yield probed.pod

    def ask() -> int:
        with Connection(probed.kubelet.connect(probed.pod.ipv4, PROBED)) as client:
            client.send(b"GET /healthz?deep=1 HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
            return client.response().status

    probed.set("http", "500")
    assert ask() == 503
    probed.set("http", "200")
    assert [ask(), ask()] == [200, 200]
