"""`sidecar inject` with manifests that are rare, hostile or both."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from kit import injection

POD = """apiVersion: v1
kind: Pod
metadata:
  name: web  # the name
spec:
  containers:
  - name: app
    image: x
"""


@pytest.fixture
def inject(binary):
    def run(text: str | bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        data = text.encode() if isinstance(text, str) else text
        return subprocess.run(
            [str(binary), "inject", "-f", "-", *options], input=data, capture_output=True, timeout=20)

    return run


def objects(result: subprocess.CompletedProcess[bytes]) -> list[dict]:
    assert result.returncode == 0, result.stderr.decode()
    return injection.objects(result.stdout)


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029", "\r\n"], ids=["CR", "NEL", "LS", "PS", "CRLF"])
@pytest.mark.parametrize("where", ["everywhere", "in the middle", "at the end", "in a comment"])
def test_unusual_line_ends(inject, end: str, where: str) -> None:
    text = {
        "everywhere": POD.replace("\n", end),
        "in the middle": POD.replace("Pod\n", f"Pod{end}"),
        "at the end": POD[:-1] + end,
        "in a comment": POD.replace("the name", f"the{end}# name"),
    }[where]
    [thing] = objects(inject(text))
    assert injection.is_injected(thing)
    assert injection.without_sidecar(thing) == yaml.safe_load(POD)


def test_documents_divided_by_a_carriage_return(inject) -> None:
    assert [injection.is_injected(thing) for thing in objects(inject(f"{POD}---\r{POD}"))] == [True, True]
    # Without a newline before the marker kubectl sees one document.
    refused = inject(f"{POD}---\n{POD}".replace("\n", "\r"))
    assert refused.returncode == 1 and b"a second document begins" in refused.stderr


def expanded(value: str) -> str:
    """As the kubelet reads a value when no variable of that name is set: `$$` is `$`, `$(NAME)` stays."""
    found, rest = "", value
    while rest:
        taken = 2 if rest.startswith("$$") else 1
        found, rest = found + rest[0], rest[taken:]
        if taken == 1 and found[-1] == "$" and rest.startswith("(") and ")" in rest:
            raise AssertionError(f"{value} refers to a variable")
    return found


@pytest.mark.parametrize("text", ["$(HOME)", "$$(HOME)", "$$$(HOME)", "a$$b", "$", "$$", "a$", "$((", "$x", "()$"])
def test_dollar_signs_reach_the_sidecar_as_they_were_written(inject, text: str) -> None:
    pod = yaml.safe_load(POD)
    pod["metadata"]["annotations"] = {"sidecar.mtls.dev/outbound-verify": "san:" + text}
    pod["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/" + text, "port": 80}}
    first = inject(yaml.safe_dump(pod))
    [thing] = objects(first)
    variables = injection.environment(injection.sidecar(thing))
    assert expanded(variables["OUTBOUND_VERIFY"]) == "san:" + text
    assert json.loads(expanded(variables["APP_PROBES"]))["/app-health/app/readyz"]["httpGet"]["path"] == "/" + text
    [explicit] = objects(inject(first.stdout, "--mode", "explicit"))
    assert injection.without_sidecar(explicit) == pod | {"metadata": {"name": "web", "annotations": pod["metadata"]["annotations"]}}


TEMPLATE = "{spec: {containers: [{name: a, image: b}]}}"


@pytest.mark.parametrize("text, kind", [
    (f"apiVersion: argoproj.io/v1\nkind: Rollout\nspec: {{template: {TEMPLATE}}}", "Rollout of argoproj.io/v1"),
    (f"apiVersion: extensions/v1beta1\nkind: Deployment\nspec: {{template: {TEMPLATE}}}",
     "Deployment of extensions/v1beta1"),
    (f"kind: Deployment\nspec: {{template: {TEMPLATE}}}", "Deployment without an apiVersion"),
    (f"apiVersion: v1\nkind: PodTemplate\ntemplate: {TEMPLATE}", "PodTemplate of v1"),
    (f"apiVersion: batch.volcano.sh/v1\nkind: CronJob\nspec: {{jobTemplate: {{spec: {{template: {TEMPLATE}}}}}}}",
     "CronJob of batch.volcano.sh/v1"),
])
def test_pods_of_kinds_that_are_not_known_are_not_passed_over_in_silence(inject, text: str, kind: str) -> None:
    result = inject(text)
    assert result.returncode == 0 and result.stdout.decode() == text
    assert f"{kind} is not known here, though it has pods: only the webhook" in result.stderr.decode()


def test_lists_in_lists(inject) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
           "spec": {"containers": [{"name": "a", "image": "b"}]}}
    for dump in (yaml.safe_dump, json.dumps):
        text = dump(wrapped([wrapped([pod, wrapped([pod])]), pod]))
        thing = yaml.safe_load(inject(text).stdout)
        inner = thing["items"][0]["items"]
        for one in (inner[0], inner[1]["items"][0], thing["items"][1]):
            assert injection.is_injected(one) and injection.without_sidecar(one) == pod


def wrapped(items: list[dict]) -> dict:
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps])
def test_items_of_a_typed_list_need_not_say_their_kind(inject, dump) -> None:
    item = {"metadata": {"name": "w"}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}
    result = inject(dump({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [item]}))
    assert b"Deployment w: injected" in result.stderr
    [after] = yaml.safe_load(result.stdout)["items"]
    assert set(after) == {"metadata", "spec"}
    assert injection.without_sidecar(after | {"apiVersion": "apps/v1", "kind": "Deployment"})["spec"] == item["spec"]


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_a_wish_on_the_workload_itself_is_told_to_be_in_vain(inject, field: str) -> None:
    result = inject(
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{{field}: {{sidecar.mtls.dev/inject: 'false'}}}}\n"
        f"spec: {{template: {TEMPLATE}}}\n")
    assert f"has no effect: put it into spec.template.metadata.{field}" in result.stderr.decode()


def annotated(**values: str) -> str:
    pod = yaml.safe_load(POD)
    pod["metadata"]["annotations"] = {"sidecar.mtls.dev/" + name.replace("_", "-"): v for name, v in values.items()}
    return yaml.safe_dump(pod)


def test_every_container_of_the_sidecar_has_the_limits_that_a_quota_may_ask_for(inject) -> None:
    wish = {"cpu_request": "50m", "cpu_limit": "50m", "memory_request": "64Mi", "memory_limit": "64Mi"}
    for options in ([], ["--no-native-sidecars"], ["--mode", "explicit"]):
        [thing] = objects(inject(annotated(**wish), *options))
        spec = thing["spec"]
        ours = [c for c in spec.get("initContainers", []) + spec["containers"] if c["name"].startswith("sidecar")]
        assert len(ours) == (1 if options[-1:] == ["explicit"] else 2)
        for container in ours:
            assert container["resources"]["limits"] == container["resources"]["requests"] == {
                "cpu": "50m", "memory": "64Mi"}


@pytest.mark.parametrize("wish, below", [
    ({"cpu_limit": "9m"}, True), ({"cpu_limit": "0.009"}, True), ({"cpu_limit": "10m"}, False),
    ({"cpu_limit": "0.01"}, False), ({"memory_limit": "32M"}, True), ({"memory_limit": "32Mi"}, False),
    ({"memory_request": "1Gi"}, True), ({"memory_request": "1Gi", "memory_limit": ""}, False),
    ({"memory_request": "268435456"}, False), ({"memory_request": "268435457"}, True),
])
def test_a_limit_below_its_request_is_refused(inject, wish: dict[str, str], below: bool) -> None:
    result = inject(annotated(**wish))
    assert result.returncode == (1 if below else 0), result.stderr
    assert (b"is below its" in result.stderr) == below


@pytest.mark.parametrize("name, fits", [
    ("web", True), ("1web", False), ("web.v1", False), ("w" * 58, True), ("w" * 59, False),
])
def test_a_service_gets_a_name_that_kubernetes_takes(inject, name: str, fits: bool) -> None:
    result = inject(
        f"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\n"
        "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
        "spec: {containers: [{name: a, image: b}]}}}\n", "--mode", "explicit", "--service")
    assert [thing["kind"] for thing in objects(result)] == ["StatefulSet"] + ["Service"] * fits
    assert (b"is no name of a Service" in result.stderr) != fits


def test_a_copied_status_costs_a_pod_no_container_of_its_own(inject) -> None:
    result = inject(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {sidecar.mtls.dev/status: '{}'}}\n"
        "spec:\n  volumes: [{name: sidecar-tls, emptyDir: {}}]\n"
        "  containers: [{name: sidecar, image: x}, {name: sidecar-init, image: y}, {name: app, image: z}]\n")
    assert result.returncode == 1
    for name in ("container is named \"sidecar\"", "container is named \"sidecar-init\"", "volume is named \"sidecar-tls\""):
        assert name in result.stderr.decode()


@pytest.mark.parametrize("options", [
    ["--image", ""], ["--image", "a b"], ["--tls-secret", ""], ["--tls-secret", "My_Secret"],
])
@pytest.mark.parametrize("command", [["inject", "-f", "-"], ["webhook"]], ids=lambda command: command[0])
def test_options_that_no_pod_could_have_are_wrong_usage(binary, command: list[str], options: list[str]) -> None:
    result = subprocess.run([str(binary), *command, *options], input=POD, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2 and result.stdout == ""
    assert f'{options[0]} is "{options[1]}" and must be the name of' in result.stderr


def test_the_note_of_a_hook_is_true_of_every_hook_that_has_one(inject) -> None:
    hooks = {"a": {"preStop": {"httpGet": {"port": 9}}}, "b": {"postStart": {"httpGet": {"port": 9, "host": "example.org"}}},
             "c": {"preStop": {"tcpSocket": {"port": 9, "host": ""}}}, "d": {"preStop": {"exec": {"command": ["a"]}}}}
    pod = yaml.safe_load(POD)
    pod["spec"]["containers"] = [{"name": name, "image": "x", "lifecycle": hook} for name, hook in hooks.items()]
    notes = [line for line in inject(yaml.safe_dump(pod)).stderr.decode().splitlines() if "hook" in line]
    assert [line.partition("container \"")[2][0] for line in notes] == ["a", "c"]
    assert all("refused unless the annotation sidecar.mtls.dev/exclude-inbound-ports leaves its port out" in n for n in notes)


@pytest.mark.parametrize("text", ["😀", "a😀b😀", "\U0010ffff\U00010000", "\\ud83d\\ude00", "\\😀", "\\\\😀\\"])
def test_json_may_write_a_character_as_two_escapes(inject, text: str) -> None:
    pod = yaml.safe_load(POD)
    pod["spec"]["containers"][0]["command"] = [text]
    pod["metadata"]["annotations"] = {text: text}
    escaped = json.dumps(pod)
    assert escaped.isascii()
    [thing] = objects(inject(escaped))
    assert injection.is_injected(thing) and injection.without_sidecar(thing) == pod


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ud83d\\ud83d", "\\ud83dx\\ude00", "\\ud83d\\u00", "\\ud83d\\"])
def test_half_a_character_is_refused(inject, half: str) -> None:
    result = inject('{"apiVersion":"v1","kind":"Pod","x":"' + half)
    assert result.returncode == 1
    result = inject('{"apiVersion":"v1","kind":"Pod","x":"' + half + '","spec":{"containers":[{"name":"a"}]}}')
    assert result.returncode == 1
