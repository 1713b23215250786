"""`sidecar certs secrets`: an authority and the certificates of workloads, as Secrets of the cluster."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kit.apiserver import ApiServer
from kit.proxy import Proxy, run_once
from kit.wire import client_context, connect_tls

NAMESPACE = "sidecar-demo"


@pytest.fixture
def api(directory) -> Iterator[ApiServer]:
    server = ApiServer(directory)
    yield server
    server.close()


@pytest.fixture
def run(binary, api) -> Callable[..., subprocess.CompletedProcess]:
    def command(*names: str, status: int = 0, seconds: float = 30) -> subprocess.CompletedProcess:
        arguments = ["certs", "secrets", *names, "--namespace", NAMESPACE, "--service-account-dir", str(api.account)]
        result = run_once(binary, arguments, api.environment, seconds)
        assert result.returncode == status, result.stdout + result.stderr
        return result

    return command


def certificate(api: ApiServer, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(api.secret(NAMESPACE, name)["tls.crt"])


def test_an_authority_and_a_certificate_for_each_are_made(api, run):
    run("web", "client")
    assert set(api.secret(NAMESPACE, "sidecar-ca")) == {"ca.crt", "ca.key"}
    assert set(api.secret(NAMESPACE, "web-tls")) == {"tls.crt", "tls.key", "ca.crt"}
    assert api.objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/web-tls"]["type"] == "kubernetes.io/tls"
    names = certificate(api, "web-tls").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "web", "web.sidecar-demo", "web.sidecar-demo.svc", "web.sidecar-demo.svc.cluster.local"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/sidecar-demo/sa/web"]
    usages = certificate(api, "client-tls").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    certificate(api, "web-tls").verify_directly_issued_by(
        x509.load_pem_x509_certificate(api.secret(NAMESPACE, "sidecar-ca")["ca.crt"]))


def test_sidecars_with_these_secrets_trust_each_other(api, run, binary, app, directory):
    run("web", "client")
    for name in ("web", "client"):
        (directory / name).mkdir()
        for file, content in api.secret(NAMESPACE, f"{name}-tls").items():
            (directory / name / file).write_bytes(content)
    web, client = directory / "web", directory / "client"
    proxy = Proxy(
        binary, SimpleNamespace(server_directory=web, client_directory=web, ca_directory=web), directory, app["http"])
    try:
        proxy.wait_ready()
        context = client_context(client / "ca.crt", client)
        with connect_tls(proxy.address, context, server_name="web.sidecar-demo.svc") as connection:
            assert connection.request("/echo").status == 200
    finally:
        proxy.stop()


def test_a_second_run_writes_nothing(api, run):
    run("web", "client")
    version = api.version
    run("web", "client")
    assert api.version == version


def test_another_workload_is_added_and_the_others_stay(api, run):
    run("web")
    before = certificate(api, "web-tls").serial_number
    run("web", "client")
    assert certificate(api, "web-tls").serial_number == before
    assert certificate(api, "client-tls").issuer == certificate(api, "web-tls").issuer


def test_other_secrets_and_other_data_are_not_touched(api, run):
    api.put_secret(NAMESPACE, "web", {"x": b"y"})
    api.put_secret(NAMESPACE, "web-tls", {"tls.crt": b"", "note": b"kept"})
    untouched = api.objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/web"]
    run("web")
    assert api.objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/web"] is untouched
    assert api.secret(NAMESPACE, "web-tls")["note"] == b"kept"
    assert api.objects[f"/api/v1/namespaces/{NAMESPACE}/secrets/web-tls"]["metadata"]["labels"] == {"kept": "yes"}


def test_a_certificate_is_renewed_at_two_thirds_of_its_life_and_not_before(api, run):
    run("web", "--lifetime", "12s")
    first = certificate(api, "web-tls").serial_number
    run("web", "--lifetime", "12s")
    assert certificate(api, "web-tls").serial_number == first
    time.sleep(9)
    run("web", "--lifetime", "12s")
    assert certificate(api, "web-tls").serial_number != first


def test_a_renewed_authority_stands_beside_the_old_one(api, run):
    run("web", "--lifetime", "10s", "--authority-lifetime", "15s")
    old = api.secret(NAMESPACE, "sidecar-ca")["ca.crt"]
    time.sleep(11)
    run("web")
    bundle = api.secret(NAMESPACE, "sidecar-ca")["ca.crt"]
    assert len(x509.load_pem_x509_certificates(bundle)) == 2 and bundle.endswith(old)
    assert api.secret(NAMESPACE, "web-tls")["ca.crt"] == bundle


def test_a_certificate_of_another_authority_is_replaced(api, run, identities):
    run("web")
    own = api.secret(NAMESPACE, "web-tls")
    pair = identities.stranger.server(dns=("web",))
    api.put_secret(NAMESPACE, "web-tls", own | {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem})
    run("web")
    assert certificate(api, "web-tls").issuer != pair.certificate.issuer


@pytest.mark.parametrize("data", [
    {"ca.crt": b"garbage", "ca.key": b"garbage"}, {"ca.crt": b"x"}, {}, {"tls.crt": b"x", "tls.key": b"y"}])
def test_a_damaged_authority_is_nobodys_to_replace(api, run, data):
    """Whoever trusts it would be cut off without a word."""
    api.put_secret(NAMESPACE, "sidecar-ca", data)
    version = api.version
    result = run("web", status=1)
    assert "secrets/sidecar-ca in the namespace sidecar-demo" in result.stderr and "delete it" in result.stderr
    assert result.stderr.count("\n") == 1 and api.version == version


def test_two_that_run_at_once_agree(api, binary, run):
    arguments = ["certs", "secrets", "web", "client", "--namespace", NAMESPACE, "--service-account-dir", str(api.account)]
    together = [
        subprocess.Popen([str(binary), *arguments], env=api.environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(30) for process in together] == [0, 0, 0, 0]
    version = api.version
    run("web", "client")
    assert api.version == version, "what they have left needs no repair"


@pytest.mark.parametrize(("fault", "words"), [
    ((403, "forbidden: User"), "resources: [secrets], resourceNames: [sidecar-ca], verbs: [get]} in a Role of the namespace "
     "sidecar-demo"),
    ((401, "Unauthorized"), "does not accept the service account's token (401)"), ((500, "etcd"), "answers 500"),
    ("reset", "does not answer"),
])
def test_a_refusal_is_one_sentence(api, run, fault, words):
    api.fault = lambda method, path: fault
    result = run("web", status=1)
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_somebody_who_changes_what_was_written_does_not_keep_it_busy_for_ever(api, run):
    def strip(method: str, path: str) -> None:
        for place, found in api.objects.items():
            if place.endswith("/web-tls"):
                found["data"].pop("ca.crt", None)

    api.fault = strip
    assert "somebody changes it each time" in run("web", status=1).stderr


@pytest.mark.parametrize("name", ["Web", "web_1", "web-", "1web", "a" * 64, "web.demo"])
def test_what_is_no_workloads_name_is_a_usage_error(run, name):
    assert "is no name of a Service" in run(name, status=2).stderr


def test_outside_of_a_cluster_it_says_what_is_missing(binary):
    result = run_once(binary, ["certs", "secrets", "web"], {})
    assert result.returncode == 1 and "KUBERNETES_SERVICE_HOST is not set" in result.stderr
