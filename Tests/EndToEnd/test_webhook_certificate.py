"""The webhook's own certificate: made, shared by replicas, renewed, and trusted by the API server all the while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kit.apiserver import ApiServer
from kit.process import wait_until
from kit.webhook import NAME, Webhook, review

SECRET = ("sidecar-system", "sidecar-webhook")


@pytest.fixture
def api(directory) -> Iterator[ApiServer]:
    server = ApiServer(directory)
    yield server
    server.close()


@pytest.fixture
def start(binary, directory, api) -> Iterator[Callable[..., Webhook]]:
    started: list[Webhook] = []

    def launch(*options: str, wait: bool = True, **settings: str) -> Webhook:
        webhook = Webhook(binary, directory, api=api, options=options, **settings)
        started.append(webhook)
        return webhook.wait_ready() if wait else webhook

    yield launch
    for webhook in started:
        webhook.stop()


def leaf(api: ApiServer) -> x509.Certificate:
    return x509.load_pem_x509_certificate(api.secret(*SECRET)["tls.crt"])


def authorities(api: ApiServer) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(api.secret(*SECRET)["ca.crt"])


def test_everything_is_made_and_the_api_server_trusts_it(api, start):
    api.register()
    webhook = start()
    data = api.secret(*SECRET)
    assert set(data) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert api.ca_bundle() == data["ca.crt"]
    names = leaf(api).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert NAME in names.get_values_for_type(x509.DNSName)
    usages = leaf(api).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    with webhook.connect(api.ca_bundle()) as caller:
        assert caller.serial == leaf(api).serial_number
        assert caller.socket.selected_alpn_protocol() == "http/1.1"
        assert caller.ask(review())["allowed"] is True


def test_nothing_is_written_when_all_is_in_place(api, start):
    api.register()
    start("--check-seconds", "1")
    calls = len(api.calls)
    wait_until(lambda: len(api.calls) >= calls + 4, "two more looks at the cluster")
    assert api.count("POST") == 1 and api.count("PATCH") == 1 and api.count("PUT") == 0


def test_replicas_share_one_certificate(api, start):
    api.register()
    replicas = [start(wait=False) for _ in range(4)]
    for replica in replicas:
        replica.wait_ready()
    serials = set()
    for replica in replicas:
        with replica.connect(api.ca_bundle()) as caller:
            serials.add(caller.serial)
    assert serials == {leaf(api).serial_number}
    assert len(authorities(api)) == 1


def test_a_bundle_that_somebody_changes_is_put_right(api, start):
    api.register()
    start("--check-seconds", "1")
    api.register()  # as `kubectl apply` of the manifest does
    wait_until(lambda: api.registration()[1]["clientConfig"].get("caBundle"), "the bundle is back")
    assert api.ca_bundle() == api.secret(*SECRET)["ca.crt"]


@pytest.mark.parametrize(("option", "expected"), [("ignore", "Ignore"), ("fail", "Fail"), (None, "Ignore")])
def test_the_failure_policy_is_that_of_the_option_or_left_alone(api, start, option, expected):
    api.register()
    for webhook in api.registration():
        webhook["failurePolicy"] = "Ignore" if option is None else "Fail" if option == "ignore" else "Ignore"
    start(*(("--failure-policy", option) if option else ()))
    assert {webhook["failurePolicy"] for webhook in api.registration()} == {expected}


def test_a_certificate_is_renewed_under_load_and_no_review_is_lost(api, start):
    """Lives of 12 seconds, renewed at two thirds: new connections all the time, and one that stands throughout."""
    api.register()
    webhook = start("--certificate-lifetime", "12s", "--check-seconds", "1")
    stop = threading.Event()
    serials: set[int] = set()
    answered = [0, 0]
    failures: list[str] = []

    def standing() -> None:
        with webhook.connect(api.ca_bundle()) as caller:
            while not stop.is_set():
                assert caller.ask(review())["allowed"]
                answered[0] += 1
                time.sleep(0.002)

    def fresh() -> None:
        while not stop.is_set():
            with webhook.connect(api.ca_bundle()) as caller:
                assert caller.ask(review())["allowed"]
                serials.add(caller.serial)
                answered[1] += 1

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))

    threads = [threading.Thread(target=run, args=(work,)) for work in (standing, fresh, fresh)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(serials) >= 3 or failures, "three certificates were seen", seconds=60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert min(answered) > 50
    assert len(authorities(api)) == 1


def test_a_renewed_authority_is_trusted_before_it_vouches(api, start):
    """At each moment the bundle of the registration verifies the certificate that is shown."""
    api.register()
    webhook = start("--certificate-lifetime", "20s", "--authority-lifetime", "30s", "--check-seconds", "1")
    first = authorities(api)[0]
    deadline = time.monotonic() + 60
    sizes: list[int] = []
    while time.monotonic() < deadline:
        with webhook.connect(api.ca_bundle()) as caller:
            caller.ask(review())
        sizes.append(len(authorities(api)))
        if first not in authorities(api):
            break
        time.sleep(0.05)
    assert first not in authorities(api), "the first authority has left the bundle when it had expired"
    assert set(sizes) >= {1, 2}


def test_a_secret_that_cannot_be_used_is_replaced(api, start):
    api.register()
    api.put_secret(*SECRET, {"ca.crt": b"garbage", "tls.crt": b"", "other": b"kept"})
    webhook = start()
    assert api.secret(*SECRET)["other"] == b"kept"
    with webhook.connect(api.ca_bundle()) as caller:
        assert caller.ask(review())["allowed"] is True


def test_a_certificate_for_another_service_is_replaced(api, start):
    api.register()
    start("--service", "other").stop()
    old = leaf(api).serial_number
    webhook = start()
    with webhook.connect(api.ca_bundle()) as caller:
        assert caller.serial != old


def test_another_life_takes_up_what_is_there(api, start):
    api.register()
    start().stop()
    old = leaf(api).serial_number
    webhook = start()
    with webhook.connect(api.ca_bundle()) as caller:
        assert caller.serial == old
    assert api.count("POST") == 1 and api.count("PUT") == 0


def test_the_token_is_read_again_for_each_call(api, start):
    api.register()
    webhook = start("--check-seconds", "1")
    api.token = "second.token"
    wait_until(lambda: "(401)" in webhook.monitor("/ready")[1], "the refused token is reported")
    assert webhook.monitor("/ready")[0] == 200, "reviews are still answered"
    api.write_token("second.token")
    wait_until(lambda: "401" not in webhook.monitor("/ready")[1], "the new token is used")


# What the cluster refuses


@pytest.mark.parametrize(("method", "part", "rule"), [
    ("GET", "secrets", 'resources: [secrets], resourceNames: [sidecar-webhook], verbs: [get]} in a Role of the namespace '
     "sidecar-system"),
    ("POST", "secrets", 'resources: [secrets], verbs: [create]} in a Role of the namespace sidecar-system'),
    ("GET", "mutating", "resources: [mutatingwebhookconfigurations], resourceNames: [sidecar-webhook], verbs: [get]} in a "
     "ClusterRole"),
    ("PATCH", "mutating", "resources: [mutatingwebhookconfigurations], resourceNames: [sidecar-webhook], verbs: [patch]} in "
     "a ClusterRole"),
])
def test_a_missing_permission_is_named_and_mended_without_a_restart(api, start, method, part, rule):
    api.register()
    api.fault = lambda called, path: (403, "forbidden: User cannot") if called == method and part in path else None
    webhook = start("--check-seconds", "1", wait=False)
    wait_until(lambda: rule in webhook.monitor("/ready")[1], f"{rule} in /ready")
    status, text = webhook.monitor("/ready")
    assert status == 503 and "(403)" in text and "User cannot" in text
    wait_until(
        lambda: any(rule in line["message"] for line in webhook.log if line["level"] == "error"), "the log says it too")
    assert webhook.monitor("/live")[0] == 200
    api.fault = lambda called, path: None
    webhook.wait_ready()


def test_a_missing_registration_is_named(api, start):
    webhook = start(wait=False)
    wait_until(lambda: "no MutatingWebhookConfiguration sidecar-webhook" in webhook.monitor("/ready")[1], "it is named")
    api.register()
    webhook.wait_ready()


@pytest.mark.parametrize("fault", ["reset", "hang", (500, "etcd is away"), (429, "too many requests")])
def test_a_bad_moment_of_the_api_server_passes(api, start, fault):
    api.register()
    webhook = start("--check-seconds", "1")
    bundle = api.ca_bundle()
    api.fault = lambda called, path: fault
    wait_until(lambda: "warning:" in webhook.monitor("/ready")[1], "the trouble is reported", seconds=20)
    with webhook.connect(bundle) as caller:
        assert caller.ask(review())["allowed"] is True
    api.fault = lambda called, path: None
    wait_until(lambda: webhook.monitor("/ready") == (200, "ok\n"), "all is well again", seconds=20)


def test_a_conflict_leads_to_another_look(api, start):
    api.register()
    api.put_secret(*SECRET, {"tls.crt": b"old"})
    refused: list[str] = []

    def once(method: str, path: str) -> object:
        if method == "PUT" and not refused:
            refused.append(path)
            return 409, "the object has been modified"
        return None

    api.fault = once
    start()
    assert refused and api.count("PUT") == 2


def test_an_api_server_with_another_certificate_is_not_spoken_to(api, start, identities):
    api.register()
    (api.account / "ca.crt").write_bytes(identities.stranger.pem)
    webhook = start("--check-seconds", "1", wait=False)
    wait_until(lambda: "not trusted here" in webhook.monitor("/ready")[1], "the reason is named")
    assert not api.calls, "the token was not shown to anybody"


def test_outside_of_a_cluster_it_says_what_is_missing(binary, directory):
    webhook = Webhook(binary, directory)
    assert webhook.process.wait(5) == 1
    assert "KUBERNETES_SERVICE_HOST is not set" in webhook.process.stderr
    assert "--tls-dir" in webhook.process.stderr
