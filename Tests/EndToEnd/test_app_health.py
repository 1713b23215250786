"""The kubelet's probes of the application, made through the monitor port, while only mTLS is let in."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import needs_root
from kit.monitor import metrics
from kit.pod import url
from kit.probing import GRPC, HTTP, HTTPS, KUBELET, TCP, ProbedPod
from kit.process import wait_until
from kit.transparent import PodPair

HTTP_LIVE, HTTPS_READY, HTTP_START = "/app-health/web/livez", "/app-health/web/readyz", "/app-health/web/startupz"
TCP_LIVE, GRPC_READY, GRPC_STRANGE = "/app-health/db/livez", "/app-health/db/readyz", "/app-health/db/startupz"
KINDS = {"http": HTTP_LIVE, "https": HTTPS_READY, "tcp": TCP_LIVE, "grpc": GRPC_READY}


@pytest.fixture(scope="module")
def shared(binary, scratch):
    """A strict pod that many tests share; its sidecar must survive them."""
    needs_root()
    pods = PodPair(scratch, binary)
    try:
        probed = ProbedPod(pods)
        yield probed
        assert probed.sidecar.is_running, f"the sidecar died:\n{probed.sidecar.output_tail()}"
    finally:
        pods.remove()


@pytest.fixture
def probed(shared):
    """With everything in health."""
    for kind in KINDS:
        shared.set(kind, "open")
    return shared


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_application_passes(probed, kind, family):
    status, text = probed.probe(KINDS[kind], getattr(probed.pod, family))
    assert status == 200, text
    assert text.count("\n") == 1 and str({"http": HTTP, "https": HTTPS, "tcp": TCP, "grpc": GRPC}[kind]) in text


def test_the_applications_own_ports_are_closed_to_the_kubelet(probed):
    """Or these tests would prove nothing."""
    done = probed.kubelet.curl(url(probed.pod.ipv4, HTTP, "/healthz"), seconds=5)
    assert done.returncode != 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_port_fails_and_passes_again(probed, kind):
    probed.set(kind, "closed")
    wait_until(lambda: probed.probe(KINDS[kind])[0] == 503, f"the {kind} probe fails")
    status, text = probed.probe(KINDS[kind])
    assert status == 503 and "refused" in text, text
    probed.set(kind, "open")
    wait_until(lambda: probed.probe(KINDS[kind])[0] == 200, f"the {kind} probe passes again")


@pytest.mark.parametrize("kind", ["http", "https"])
@pytest.mark.parametrize("answer, expected", [
    ("200", 200), ("204", 200), ("302", 200), ("399", 200), ("400", 503), ("404", 503), ("500", 503), ("503", 503),
])
def test_the_status_tells(probed, kind, answer, expected):
    probed.set(kind, answer)
    status, text = probed.probe(KINDS[kind])
    assert status == expected and f"status {answer}" in text, text


@pytest.mark.parametrize("answer, name", [("0", "UNKNOWN"), ("2", "NOT_SERVING"), ("3", "SERVICE_UNKNOWN")])
def test_grpc_must_be_serving(probed, answer, name):
    probed.set("grpc", answer)
    status, text = probed.probe(GRPC_READY)
    assert status == 503 and name in text, text


def test_a_grpc_service_that_is_not_known_fails(probed):
    status, text = probed.probe(GRPC_STRANGE)
    assert status == 503 and "grpc-status 5 (unknown service)" in text, text


@pytest.mark.parametrize("kind", ["http", "https", "grpc"])
def test_an_application_that_hangs_fails_in_time(probed, kind):
    probed.set(kind, "hang")
    begun = time.monotonic()
    status, text = probed.probe(KINDS[kind])
    assert status == 503 and "timeoutSeconds (1)" in text, text
    assert 0.9 < time.monotonic() - begun < 3


def test_an_answer_that_is_no_http_fails(probed):
    probed.set("http", "nonsense")
    status, text = probed.probe(HTTP_LIVE)
    assert status == 503 and "HTTP" in text, text


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_an_answer_that_is_too_large_fails(probed, kind):
    probed.set(kind, "large")
    status, text = probed.probe(KINDS[kind])
    assert status == 503 and "larg" in text, text


def test_a_redirect_within_the_pod_is_followed(probed):
    before = len(probed.seen("http"))
    probed.set("http", "302=/there")  # where the application fails
    status, text = probed.probe(HTTP_LIVE)
    assert status == 503 and "status 500" in text
    assert [seen["line"].split(" ")[1] for seen in probed.seen("http")[before:]] == ["/healthz?deep=1", "/there"]
    probed.set("http", f"307=https://{probed.pod.ipv4}:{HTTPS}/secure")
    assert probed.probe(HTTP_LIVE) == (200, f"status 200 from 127.0.0.1:{HTTPS}\n")
    assert probed.seen("https")[-1]["fields"][0] == ["Host", f"{probed.pod.ipv4}:{HTTPS}"]
    probed.set("https", "500")
    assert probed.probe(HTTP_LIVE)[0] == 503


@pytest.mark.parametrize("location", ["http://elsewhere.invalid/", "//192.0.2.1:8000/x", "https://web.example:1/"])
def test_a_redirect_to_another_host_passes(probed, location):
    before = len(probed.seen("http"))
    probed.set("http", f"301={location}")
    status, text = probed.probe(HTTP_LIVE)
    assert status == 200 and "status 301" in text
    assert len(probed.seen("http")) == before + 1


def test_redirects_without_end_fail(probed):
    before = len(probed.seen("http"))
    probed.set("http", "302=/round/x")
    status, text = probed.probe(HTTP_LIVE)
    assert status == 503 and "more than 10 redirects" in text
    assert len(probed.seen("http")) == before + 11


def test_the_request_is_the_kubelets(probed):
    assert probed.probe(HTTP_LIVE)[0] == 200
    seen = probed.seen("http")[-1]
    assert seen["line"] == "GET /healthz?deep=1 HTTP/1.1"
    assert seen["fields"] == [
        ["Host", f"{probed.pod.ipv4}:{HTTP}"], ["User-Agent", KUBELET], ["Accept", "*/*"], ["X-Probe", "yes"],
        ["Connection", "close"]]
    assert seen["peer"] == "127.0.0.1"


def test_a_host_of_the_manifest_wins(probed):
    assert probed.probe(HTTP_START)[0] == 200
    seen = probed.seen("http")[-1]
    assert seen["line"] == "GET /start HTTP/1.1" and seen["fields"][0] == ["Host", "web.example"]


@pytest.mark.parametrize("agent", ["curl/8", "kube-probe/1.34 (x)", "kube-probe/" + "1" * 64])
def test_what_is_no_kubelet_is_not_passed_on(probed, agent):
    assert probed.probe(HTTP_LIVE, agent=agent)[0] == 200
    assert ["User-Agent", "kube-probe/sidecar"] in probed.seen("http")[-1]["fields"]


def test_the_grpc_request_is_the_kubelets(probed):
    assert probed.probe(GRPC_READY)[0] == 200
    seen = probed.seen("grpc")[-1]
    assert seen["request"] == "0a026462"
    assert ["user-agent", KUBELET] in seen["metadata"]


def test_head_is_answered_without_a_body(probed):
    assert probed.probe(HTTP_LIVE, method="HEAD") == (200, "")
    probed.set("http", "500")
    assert probed.probe(HTTP_LIVE, method="HEAD") == (503, "")


def test_other_methods_are_refused(probed):
    before = len(probed.seen("http"))
    assert probed.probe(HTTP_LIVE, method="POST")[0] == 405
    assert len(probed.seen("http")) == before


@pytest.mark.parametrize("path", [
    "/app-health/", "/app-health/web", "/app-health/other/livez", "/app-health/web/livez/", "/app-health/web/healthz",
    "/app-health/web/%6civez", "/app-health//web/livez", "/app-health/web/LIVEZ",
])
def test_a_path_that_is_not_listed_is_unknown(probed, path):
    status, text = probed.probe(path)
    assert status == 404 and "APP_PROBES" in text


def test_askers_at_the_same_time_share_a_question(probed):
    probed.set("http", "hang")
    before = len(probed.seen("http"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: probed.probe(HTTP_LIVE)[0], range(8)))
    assert answers == [503] * 8
    assert len(probed.seen("http")) - before <= 3  # one, or two where a thread came late


def test_the_outcome_is_in_the_log_without_what_may_be_secret(probed):
    assert probed.probe(HTTP_LIVE)[0] == 200
    line = next(line for line in reversed(probed.sidecar.stdout.splitlines()) if '"application probed"' in line)
    assert "/app-health/web/livez" in line and "/healthz?[redacted]" in line and "deep=1" not in line


def test_the_configuration_page_hides_values(probed):
    status, text = probed.pod.monitor("/config")
    assert status == 200 and "/app-health/web/livez" in text
    assert "web.example" not in text and "deep=1" not in text


def test_probes_are_no_traffic(probed):
    before = metrics(probed.pod).value("requests_total")
    assert probed.probe(HTTP_LIVE)[0] == 200
    assert metrics(probed.pod).value("requests_total") == before


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_an_application_on_the_pods_address_only_is_found(fresh_pods, family):
    address = getattr(fresh_pods.b, family)
    probed = ProbedPod(fresh_pods, host=address)
    for kind, path in KINDS.items():
        status, text = probed.probe(path, address)
        assert status == 200, (kind, text)


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_an_application_on_loopback_only_is_found(fresh_pods, loopback):
    probed = ProbedPod(fresh_pods, host=loopback)
    for kind, path in KINDS.items():
        status, text = probed.probe(path)
        assert status == 200, (kind, text)


def test_a_long_timeout_is_waited_for_and_questions_have_a_limit(fresh_pods):
    probes = {
        f"/app-health/c{number}/livez": {"httpGet": {"port": HTTP}, "timeoutSeconds": 30} for number in range(33)}
    probed = ProbedPod(fresh_pods, probes=probes)
    probed.set("http", "hang")
    with ThreadPoolExecutor(33) as pool:
        asked = [pool.submit(probed.probe, path, seconds=25) for path in probes]
        answers = [future.result() for future in asked]
    refused = [text for status, text in answers if "32 probes are running already" in text]
    assert len(refused) == 1
    assert all(status == 503 for status, _ in answers)
    # The application hangs up after 12 s; another request to this port may take 10.
    assert sum("ended before the answer" in text for _, text in answers) == 32
