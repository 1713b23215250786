"""`sidecar inject -f`: workloads get the sidecar, everything else stays as it is to the byte."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from random import Random

import kubernetes_validate
import pytest

from kit import injection
from kit.proxy import REPOSITORY, run_once

MANIFESTS = Path(__file__).parent / "manifests"
SAMPLES = sorted(path for path in MANIFESTS.iterdir() if path.is_file())
REFUSED = sorted((MANIFESTS / "refused").iterdir())
FORMS = {
    "native": [], "classic": ["--no-native-sidecars"], "explicit": ["--mode", "explicit", "--service"],
}
# Kinds that Kubernetes itself does not have.
FOREIGN = ("example.org/v1", "serving.knative.dev/v1")

#: Pods of the samples that do not take part: they say so, have it already, or cannot.
LEFT_ALONE = {
    ("by-hand.yaml", "web"), ("list.yaml", "two"), ("opted-out.yaml", "by-annotation"), ("opted-out.yaml", "by-label"),
    ("windows-and-host-network.yaml", "by-selector"), ("windows-and-host-network.yaml", "by-os"),
    ("windows-and-host-network.yaml", "on-the-host"),
}

names = lambda path: path.name  # noqa: E731


def test_there_are_forty_samples() -> None:
    assert len(SAMPLES) >= 40


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> None:
    """The package reads all definitions of a version for each document, which takes most of the time."""
    utils = kubernetes_validate.utils
    utils.schema_contents = functools.cache(utils.schema_contents)


@pytest.fixture
def inject(binary):
    def run(path: Path | bytes, *options: str) -> tuple[bytes, str]:
        """The output and the report of a run that must succeed."""
        source = str(path) if isinstance(path, Path) else "-"
        result = subprocess.run(
            [str(binary), "inject", "-f", source, *options], input=path if isinstance(path, bytes) else None,
            capture_output=True, timeout=20)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout, result.stderr.decode()

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", SAMPLES, ids=names)
class TestSamples:
    def test_every_workload_gets_the_sidecar(self, inject, path, form) -> None:
        # Without native sidecars a job would never finish.
        kinds = ("Job", "CronJob") if form == "classic" else ()
        for thing in injection.objects(inject(path, *FORMS[form])[0]):
            if injection.pod(thing) is not None:
                name = thing["metadata"].get("name")
                takes_part = (path.name, name) not in LEFT_ALONE and thing["kind"] not in kinds
                assert injection.is_injected(thing) == takes_part, f"{thing['kind']} {name}"

    def test_other_documents_keep_their_bytes(self, inject, path, form) -> None:
        before = path.read_bytes()
        after, _ = inject(path, *FORMS[form])
        old, new = injection.chunks(before), injection.chunks(after)
        assert len(new) >= len(old)
        for one, other in zip(old, new, strict=False):
            if not any(injection.is_injected(thing) for thing in injection.objects(other)):
                # The last one of a file may have got the end of its last line.
                assert other.rstrip(b"\n") == one.rstrip(b"\n") and other.startswith(one)

    def test_a_second_run_changes_nothing(self, inject, path, form) -> None:
        once, _ = inject(path, *FORMS[form])
        twice, report = inject(once, *FORMS[form])
        assert twice == once
        assert ": injected" not in report

    def test_what_comes_out_fits_the_schema(self, inject, path, form) -> None:
        after, _ = inject(path, *FORMS[form])
        for thing in injection.objects(after):
            if thing["apiVersion"] not in FOREIGN and thing["kind"] != "CustomResourceDefinition":
                if injection.is_injected(thing):
                    kubernetes_validate.validate(thing, "1.33", strict=True)

    def test_nothing_but_the_sidecar_was_added(self, inject, path, form) -> None:
        before = [injection.normal(thing) for thing in injection.objects(path.read_bytes())]
        after = injection.objects(inject(path, *FORMS[form])[0])
        assert [injection.without_sidecar(thing) for thing in after][: len(before)] == before
        assert all(thing["kind"] == "Service" for thing in after[len(before):])


# A job without native sidecars is left as it is, whatever is in it.
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", [path for path in SAMPLES if not path.name.endswith("job.yaml")], ids=names)
def test_another_form_replaces_this_one(inject, path, form) -> None:
    """An injected file, injected with other options, is as if it had never been injected."""
    def but_services(data: bytes) -> list[dict]:
        return [thing for thing in injection.objects(data) if not thing["metadata"].get("name", "").endswith("-mtls")]

    other = FORMS["classic" if form == "native" else "native"]
    direct, _ = inject(path, *other)
    by_way, _ = inject(inject(path, *FORMS[form])[0], *other)
    assert but_services(by_way) == but_services(direct)


@pytest.mark.parametrize("path", REFUSED, ids=names)
def test_what_is_refused_is_said_whole(binary, path) -> None:
    expected = [
        line.removeprefix("# refused: ") for line in path.read_text().splitlines() if line.startswith("# refused: ")]
    result = run_once(binary, ["inject", "-f", str(path)], {})
    assert result.returncode == 1
    assert result.stdout == ""
    assert expected and all(sentence in result.stderr for sentence in expected), result.stderr
    assert len(result.stderr.splitlines()) == len(expected) + 1


def test_comments_stay(inject) -> None:
    before = (MANIFESTS / "comments.yaml").read_text()
    after, report = inject(MANIFESTS / "comments.yaml")
    lines = after.decode().splitlines()
    replaced = {"              port: 8080"}
    missing = [line for line in before.splitlines() if line not in lines and line not in replaced]
    assert missing == ["            tcpSocket:"]
    assert "anew" not in report


def test_line_ends_stay(inject) -> None:
    after, _ = inject(MANIFESTS / "crlf.yaml")
    assert b"sidecar-init" in after
    assert after.count(b"\n") == after.count(b"\r\n")


def test_probes_go_through_the_sidecar(inject) -> None:
    (thing,) = injection.objects(inject(MANIFESTS / "probes.yaml")[0])
    assert json.loads(injection.environment(injection.sidecar(thing))["APP_PROBES"]) == {
        "/app-health/cache/startupz": {"tcpSocket": {"port": 6379}},
        "/app-health/web/livez": {
            "httpGet": {
                "path": "/healthz?full=1", "port": 8080, "httpHeaders": [{"name": "X-Probe", "value": 'a"b'}]},
            "timeoutSeconds": 2},
        "/app-health/web/readyz": {"httpGet": {"scheme": "HTTPS", "path": "/ready", "port": 9443}},
        "/app-health/rpc/livez": {"grpc": {"port": 9000, "service": "health"}},
        "/app-health/rpc/readyz": {"tcpSocket": {"port": 9000}},
    }
    web, rpc, elsewhere = injection.pod(thing)["spec"]["containers"]
    assert web["livenessProbe"] == {
        "httpGet": {"path": "/app-health/web/livez", "port": 8081}, "initialDelaySeconds": 3, "timeoutSeconds": 2,
        "terminationGracePeriodSeconds": 5}
    assert web["startupProbe"] == {"exec": {"command": ["test", "-e", "/tmp/up"]}}
    assert elsewhere["livenessProbe"] == {"httpGet": {"host": "example.org", "port": 80}}
    assert rpc["readinessProbe"] == {"httpGet": {"path": "/app-health/rpc/readyz", "port": 8081}}


def test_annotations_become_variables(inject) -> None:
    (thing,) = injection.objects(inject(MANIFESTS / "annotations.yaml")[0])
    container = injection.sidecar(thing)
    variables = injection.environment(container)
    # Kubernetes would put a variable in the place of $(X).
    assert variables["OUTBOUND_VERIFY"] == "san:spiffe://cluster.local/ns/*/sa/$$(X)"
    assert variables["MONITOR_PORT"] == "9081" and container["readinessProbe"]["httpGet"]["port"] == 9081
    assert variables["EXCLUDE_OUTBOUND_PORTS"] == "53,5432" and variables["LOG_LEVEL"] == "debug"
    assert container["image"] == "registry.example.org/sidecar@sha256:0000"
    assert container["securityContext"]["runAsUser"] == 2000
    assert container["resources"] == {"requests": {"cpu": "10m"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    capture = injection.environment(thing["spec"]["initContainers"][0])
    assert capture["INBOUND_CAPTURE_PORT"] == "16006" and capture["MONITOR_PORT"] == "9081"
    assert thing["metadata"]["annotations"][injection.DEFAULT_CONTAINER] == "second"


def test_the_order_of_containers(inject) -> None:
    def order(*options: str) -> tuple[list[str], list[str]]:
        spec = injection.pod(injection.objects(inject(MANIFESTS / "probes.yaml", *options)[0])[0])["spec"]
        return [c["name"] for c in spec["initContainers"]], [c["name"] for c in spec["containers"]]

    assert order() == (["sidecar-init", "sidecar", "migrate", "cache"], ["web", "rpc", "elsewhere"])
    assert order("--no-native-sidecars") == (
        ["migrate", "cache", "sidecar-init"], ["sidecar", "web", "rpc", "elsewhere"])
    assert order("--mode", "explicit") == (["sidecar", "migrate", "cache"], ["web", "rpc", "elsewhere"])


def test_the_explicit_mode_needs_no_privilege(inject) -> None:
    deployment, service = injection.objects(inject(MANIFESTS / "explicit.yaml")[0])
    context = injection.sidecar(deployment)["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]} and context["runAsNonRoot"] is True
    variables = injection.environment(injection.sidecar(deployment))
    assert variables["UPSTREAM_URL"] == "http://localhost:8080"
    assert "TRANSPARENT" not in variables and "APP_PROBES" not in variables
    volume = injection.pod(deployment)["spec"]["volumes"][0]
    # Readable by a user that does not own it, whatever the pod's fsGroup is.
    assert volume == {"name": "sidecar-tls", "secret": {"secretName": "web-tls", "defaultMode": 0o444}}
    assert service == {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-mtls"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "mtls", "port": 443, "targetPort": 9443, "protocol": "TCP"}]}}


def test_jobs_end_by_native_sidecars_only(inject) -> None:
    for name in ("job.yaml", "cronjob.yaml"):
        after, report = inject(MANIFESTS / name)
        assert injection.is_injected(injection.objects(after)[0]), report
        after, report = inject(MANIFESTS / name, "--no-native-sidecars")
        assert after == (MANIFESTS / name).read_bytes()
        assert "left as it is: it ends by itself" in report and "sidecar.mtls.dev/job" in report


def test_a_job_that_quits_the_sidecar_itself(inject) -> None:
    job = (MANIFESTS / "job.yaml").read_bytes().replace(
        b"  template:\n", b"  template:\n    metadata:\n      annotations:\n        sidecar.mtls.dev/job: quit-by-application\n")
    after, report = inject(job, "--no-native-sidecars")
    assert injection.is_injected(injection.objects(after)[0]), report


def test_the_report_names_each_object_and_its_line(inject) -> None:
    _, report = inject(MANIFESTS / "windows-and-host-network.yaml")
    assert report.splitlines() == [
        "line 1: Pod by-selector: left as it is: it runs on Windows, and the sidecar on Linux",
        "line 14: Pod by-os: left as it is: it runs on Windows, and the sidecar on Linux",
        "line 26: Pod on-the-host: left as it is: it uses the node's network (hostNetwork), where capture would take "
        "everybody's traffic",
    ]
    _, report = inject(MANIFESTS / "opted-out.yaml")
    assert report.splitlines() == [
        "line 1: Pod by-annotation: left as it is: its annotation sidecar.mtls.dev/inject says so",
        "line 14: Pod by-label: left as it is: its label sidecar.mtls.dev/inject says so",
    ]


def test_an_output_file(inject, binary, directory) -> None:
    expected, _ = inject(MANIFESTS / "pod.yaml")
    target = directory / "out.yaml"
    result = run_once(binary, ["inject", "-f", str(MANIFESTS / "pod.yaml"), "-o", str(target)], {})
    assert (result.returncode, result.stdout) == (0, "")
    assert target.read_bytes() == expected


def test_files_that_cannot_be_read(binary, directory) -> None:
    for path, reason in ((directory / "absent", "No such file"), (directory, "Is a directory")):
        result = run_once(binary, ["inject", "-f", str(path)], {})
        assert result.returncode == 1
        assert result.stderr.startswith(f"sidecar: cannot read {path}: {reason}")


@pytest.mark.parametrize(("data", "sentence"), [
    (b"", "there is no object in the file"),
    (b"# only a comment\n", "there is no object in the file"),
    (b"a: 1\n\xff\xfe\n", "line 2: the file is not UTF-8 here"),
    ("kind: Pod\n".encode("utf-16"), "the file is not UTF-8 here"),
    (b"\x00\x01\x02", "control characters are not allowed"),
    (b"[" * 5000, "nested more than 100 deep"),
    (b"- " * 5000 + b"x", "nested more than 100 deep"),
    (b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 10)) for c in range(98, 108)), "500000 values"),
    (b"kind: Pod\nx: '" + b"y" * (17 << 20) + b"'\n", "16777216 is the most that is read"),
    (b"#" * (65 << 20), "has more than 67108864 bytes"),
], ids=["empty", "comment", "latin", "utf-16", "binary", "brackets", "dashes", "laughs", "long", "huge"])
def test_garbage_gets_a_sentence(binary, data, sentence) -> None:
    result = subprocess.run([str(binary), "inject", "-f", "-"], input=data, capture_output=True, timeout=30)
    assert result.returncode == 1 and result.stdout == b""
    assert sentence in result.stderr.decode(), result.stderr[:500]


def test_every_variable_of_the_documentation_has_an_annotation(binary) -> None:
    table = re.findall(r"^\| (`[A-Z_`, ]+`)", (REPOSITORY / "docs/configuration.md").read_text(), re.MULTILINE)
    variables = {name for cell in table for name in re.findall(r"[A-Z_]+", cell)}
    variables -= {"TRANSPARENT", "POD_NAME", "POD_NAMESPACE", "APP_PROBES"}
    assert len(variables) > 40
    annotations = {"sidecar.mtls.dev/" + name.lower().replace("_", "-"): "?" for name in variables}
    thing = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [{"name": "web"}]}}
    result = subprocess.run(
        [str(binary), "inject", "-f", "-"], input=json.dumps(thing), capture_output=True, text=True, timeout=10)
    assert result.returncode == 1
    assert "there is no annotation" not in result.stderr
    assert "the annotation sidecar.mtls.dev/monitor-port: MONITOR_PORT=? is not valid" in result.stderr


def test_a_mapping_of_very_many_keys(inject) -> None:
    """Work that grows with the square of it would not end within the kit's time limit."""
    many = b"".join(b"    key-%d: v\n" % number for number in range(100_000))
    data = (
        b"apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n" + many + b"  annotations:\n" + many
        + b"spec:\n  containers:\n    - name: web\n")
    after, report = inject(data)
    assert report == "line 1: Pod without a name: injected\n"
    assert after.startswith(data[:data.index(b"spec:")])
    assert b"sidecar-init" in after


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIDECAR_INJECT_MUTATIONS", "150"))))
def test_no_mutation_of_a_sample_is_too_much(binary, seed) -> None:
    """Whatever the bytes: an answer with a sentence, or an output that a second run leaves alone."""
    random = Random(seed)
    data = bytearray(random.choice(SAMPLES).read_bytes())
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(data))
        match random.randrange(6):
            case 0:
                data[place] = random.randrange(256)
            case 1:
                del data[place:place + random.randint(1, 40)]
            case 2:
                data[place:place] = random.choice(PIECES)
            case 3:
                data[place:place] = data[place:place + random.randint(1, 200)]
            case 4:
                data[place:place + 1] = random.choice((b" ", b"\n", b"\t", b"\r\n", b"  "))
            case 5:
                other = random.choice(SAMPLES).read_bytes()
                start = random.randrange(len(other))
                data[place:place] = other[start:start + random.randint(1, 100)]
        if not data:
            data = bytearray(b"a")

    def run(given: bytes) -> subprocess.CompletedProcess:
        return subprocess.run([str(binary), "inject", "-f", "-"], input=given, capture_output=True, timeout=20)

    first = run(bytes(data))
    assert first.returncode in (0, 1), (first.returncode, bytes(data))
    assert first.stderr
    if first.returncode == 1:
        assert first.stdout == b""
        return
    second = run(first.stdout)
    assert (second.returncode, second.stdout) == (0, first.stdout), second.stderr.decode()


PIECES = (
    b"---\n", b"...\n", b"&a ", b"*a", b"<<: *a\n", b"!!str ", b"!!binary ", b"|+\n", b">-\n", b"? ", b": ", b"- ", b"[", b"]",
    b"{", b"}", b"'", b'"', b"#", b"%YAML 1.1\n", b"\xef\xbb\xbf", b"\xc2\x85", b"\xe2\x80\xa8", b"\x00", b"\xff", b"null",
    b"!<x> ", b"@", b"`", b"\\", b"\r")
