"""What the manifests promise beyond their form: privileges, Pod Security levels, and names that lead somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.manifests import container, containers, documents, environment, name_of, namespace_of, pod_of, pods
from kit.proxy import REPOSITORY

INSTALL = REPOSITORY / "install.yaml"
CLASSIC = REPOSITORY / "deploy/install-without-native-sidecars.yaml"
EXPLICIT = REPOSITORY / "deploy/explicit.yaml"
WHOLE = [INSTALL, CLASSIC, EXPLICIT]
TRANSPARENT = [INSTALL, CLASSIC]
IMAGE = "localhost/sidecar:0.1.0"

whole = pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
transparent = pytest.mark.parametrize("path", TRANSPARENT, ids=lambda path: path.name)


def workloads(path: Path, *names: str) -> list[dict]:
    """The pods of the Deployments of those names."""
    found = [pod for document, pod in pods(documents(path)) if document["metadata"]["name"] in names]
    assert len(found) == len(names)
    return found


# Privileges


@whole
def test_every_container_gives_up_what_it_does_not_need(path: Path) -> None:
    for document, pod in pods(documents(path)):
        for each in containers(pod):
            context, who = each["securityContext"], f"{name_of(document)}: {each['name']}"
            assert context["readOnlyRootFilesystem"] is True, who
            assert context["allowPrivilegeEscalation"] is False, who
            assert context["capabilities"]["drop"] == ["ALL"], who
            seccomp = context.get("seccompProfile") or pod["spec"]["securityContext"]["seccompProfile"]
            assert seccomp == {"type": "RuntimeDefault"}, who
            assert {"cpu", "memory"} <= each["resources"]["requests"].keys(), who
            assert "privileged" not in context, who
            if each["name"] != "sidecar-init":
                assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, who


@transparent
def test_capture_has_two_capabilities_and_the_proxy_one(path: Path) -> None:
    for pod in workloads(path, "web", "client"):
        init = container(pod, "sidecar-init")
        assert init["args"] == ["init"]
        assert init["securityContext"]["runAsUser"] == 0
        assert sorted(init["securityContext"]["capabilities"]["add"]) == ["NET_ADMIN", "NET_RAW"]
        proxy = container(pod, "sidecar")
        assert proxy["args"] == ["run"]
        assert (proxy["securityContext"]["runAsUser"], proxy["securityContext"]["runAsGroup"]) == (1337, 1337)
        assert proxy["securityContext"]["capabilities"]["add"] == ["NET_RAW"]
        assert environment(proxy)["TRANSPARENT"] == "true"


def test_the_explicit_mode_adds_nothing() -> None:
    for pod in workloads(EXPLICIT, "web", "client"):
        assert "sidecar-init" not in [each["name"] for each in containers(pod)]
        assert environment(container(pod, "sidecar")).get("TRANSPARENT", "false") == "false"
        for each in containers(pod):
            assert not each["securityContext"]["capabilities"].get("add")


def below_restricted(pod: dict) -> list[str]:
    """What keeps a pod from the level `restricted` of the Pod Security Standards, as far as our manifests go."""
    spec, found = pod["spec"], []
    found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [
        volume["name"] for volume in spec.get("volumes", [])
        if not volume.keys() & {"configMap", "emptyDir", "secret", "projected", "downwardAPI", "csi", "ephemeral"}]
    for each in containers(pod):
        context = {**spec.get("securityContext", {}), **each.get("securityContext", {})}
        if not (
            context.get("runAsNonRoot") is True and context.get("runAsUser", 1) != 0
            and context.get("allowPrivilegeEscalation") is False
            and context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost")
            and "ALL" in context.get("capabilities", {}).get("drop", [])
            and set(context["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"}
            and not any("hostPort" in port for port in each.get("ports", []))
        ):
            found.append(each["name"])
    return found


@whole
def test_each_namespace_says_its_pod_security_level_and_its_pods_keep_it(path: Path) -> None:
    found = documents(path)
    levels = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in found if each["kind"] == "Namespace"}
    for document, pod in pods(found):
        if levels[namespace_of(document)] == "restricted":
            assert not below_restricted(pod), name_of(document)
        else:
            assert levels[namespace_of(document)] == "privileged"
    # Only those namespaces are privileged that hold a pod which cannot do with less.
    for name, level in levels.items():
        needs = any(below_restricted(pod) for document, pod in pods(found) if namespace_of(document) == name)
        assert level == ("privileged" if needs else "restricted"), name


def test_no_role_may_read_secrets_that_are_not_its_own() -> None:
    for path in WHOLE:
        for each in documents(path):
            for rule in each.get("rules", []) if each["kind"] in ("Role", "ClusterRole") else []:
                assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], name_of(each)
                assert rule.get("resourceNames") or rule["verbs"] == ["create"], name_of(each)
                assert each["kind"] == "Role" or "secrets" not in rule["resources"], name_of(each)


# Order


def test_native_sidecars_start_before_the_application() -> None:
    for pod in workloads(INSTALL, "web", "client"):
        init = pod["spec"]["initContainers"]
        assert [each["name"] for each in init[:2]] == ["sidecar-init", "sidecar"]
        assert init[1]["restartPolicy"] == "Always"
        assert "restartPolicy" not in init[0]


def test_without_native_sidecars_the_proxy_is_an_ordinary_container() -> None:
    text = CLASSIC.read_text()
    for newer in ("restartPolicy: Always", "matchConditions:", "apiVersion: policy/v1"):
        assert newer not in text, f"{newer} is newer than the clusters that this is for"
    webhook = workloads(CLASSIC, "sidecar-webhook")[0]
    assert "--no-native-sidecars" in container(webhook, "webhook")["args"]
    for pod in workloads(CLASSIC, "web", "client"):
        assert pod["spec"]["initContainers"][-1]["name"] == "sidecar-init"
        assert pod["spec"]["containers"][0]["name"] == "sidecar"


@whole
def test_clients_are_asked_to_go_when_the_pod_begins_to_end(path: Path) -> None:
    """Else those who keep connections to the sidecar meet it without its application."""
    for pod in workloads(path, "web", "client"):
        proxy = container(pod, "sidecar")
        command = proxy["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:2] == ["/usr/local/bin/sidecar", "drain"]
        # A native sidecar gets its signal after the application; another one would get it at once.
        assert ("--hold" in command) == ("restartPolicy" not in proxy)


# Names that lead somewhere


@whole
def test_names_lead_to_something_in_the_same_file(path: Path) -> None:
    found = documents(path)
    known = {name_of(each) for each in found}
    assert len(known) == len(found), "a document is there twice"
    for each in found:
        if "namespace" in each["metadata"]:
            assert f"Namespace/{namespace_of(each)}" in known, name_of(each)
        if each["kind"].endswith("RoleBinding"):
            scope = "" if each["kind"] == "ClusterRoleBinding" else namespace_of(each) + "/"
            assert f"{each['roleRef']['kind']}/{scope}{each['roleRef']['name']}" in known, name_of(each)
            for subject in each["subjects"]:
                assert f"ServiceAccount/{subject['namespace']}/{subject['name']}" in known, name_of(each)
    for document, pod in pods(found):
        namespace = namespace_of(document)
        assert f"ServiceAccount/{namespace}/{pod['spec']['serviceAccountName']}" in known, name_of(document)
        for volume in pod["spec"].get("volumes", []):
            if "configMap" in volume:
                assert f"ConfigMap/{namespace}/{volume['configMap']['name']}" in known, name_of(document)


@whole
def test_services_reach_a_port_of_a_pod(path: Path) -> None:
    found = documents(path)
    for service in (each for each in found if each["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        chosen = [
            pod for document, pod in pods(found)
            if namespace_of(document) == namespace_of(service) and selector <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, name_of(service)
        ports = [port for each in containers(chosen[0]) for port in each.get("ports", [])]
        targets = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in targets, name_of(service)


@whole
def test_the_secrets_that_are_mounted_are_those_that_the_job_makes(path: Path) -> None:
    found = documents(path)
    job = next(each for each in found if each["kind"] == "Job")
    args = pod_of(job)["spec"]["containers"][0]["args"]
    assert args[:2] == ["certs", "secrets"] and args[-2:] == ["--namespace", namespace_of(job)]
    made = {f"{name}-tls" for name in args[2:-2]}
    role = next(each for each in found if name_of(each) == f"Role/{namespace_of(job)}/demo-certificates")
    allowed = next(rule for rule in role["rules"] if "resourceNames" in rule)["resourceNames"]
    assert set(allowed) == made | {"sidecar-ca"}
    mounted = {
        volume["secret"]["secretName"] for document, pod in pods(found) if namespace_of(document) == namespace_of(job)
        for volume in pod["spec"].get("volumes", []) if "secret" in volume}
    assert mounted == made


@whole
def test_the_proxy_reads_the_mounted_certificates(path: Path) -> None:
    for pod in workloads(path, "web", "client"):
        proxy = container(pod, "sidecar")
        mount = next(each for each in proxy["volumeMounts"] if each["name"] == "sidecar-tls")
        assert mount == {"name": "sidecar-tls", "mountPath": "/etc/sidecar/tls", "readOnly": True}
        for variable in ("SERVER_CERT_DIR", "CLIENT_CERT_DIR", "CA_DIR"):
            assert environment(proxy)[variable] == "/etc/sidecar/tls"


@whole
def test_kubelet_asks_the_monitor_port(path: Path) -> None:
    """The application's own port is closed to a kubelet without a certificate; what it asked stands in APP_PROBES."""
    for pod in workloads(path, "web", "client"):
        proxy = container(pod, "sidecar")
        asked = json.loads(environment(proxy).get("APP_PROBES", "{}"))
        paths = set()
        for each in containers(pod):
            for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
                if kind in each and each is not proxy:
                    assert each[kind]["httpGet"]["port"] == 8081
                    paths.add(each[kind]["httpGet"]["path"])
        assert paths == asked.keys()
        assert {proxy[kind]["httpGet"]["path"] for kind in ("readinessProbe", "startupProbe")} == {"/ready"}
        assert proxy["livenessProbe"]["httpGet"]["path"] == "/live"


def test_one_image_everywhere() -> None:
    for path in WHOLE:
        for document, pod in pods(documents(path)):
            for each in containers(pod):
                registry, _, tag = each["image"].rpartition(":")
                assert tag and tag != "latest" and "/" in registry, f"{name_of(document)}: {each['image']} is not pinned"
                if each["name"].startswith("sidecar") or each.get("args", [""])[0] in ("webhook", "certs"):
                    assert each["image"] == IMAGE and each["imagePullPolicy"] == "IfNotPresent"


# Admission


@pytest.mark.parametrize("path", [
    REPOSITORY / "deploy/admission.yaml", REPOSITORY / "deploy/admission-before-1.28.yaml"], ids=lambda path: path.name)
def test_the_webhook_is_asked_about_pods_that_ask_for_it(path: Path) -> None:
    registration = documents(path)[0]
    assert [each["name"].partition(".")[0] for each in registration["webhooks"]] == ["namespace", "pod", "annotation"]
    for each in registration["webhooks"]:
        assert each["sideEffects"] == "None" and each["admissionReviewVersions"] == ["v1"]
        assert each["reinvocationPolicy"] == "IfNeeded" and each["matchPolicy"] == "Equivalent"
        assert each["timeoutSeconds"] <= 10
        service = each["clientConfig"]["service"]
        assert (service["namespace"], service["name"], service["port"]) == ("sidecar-system", "sidecar-webhook", 443)
        excluded = each["namespaceSelector"]["matchExpressions"]
        assert {"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                "values": ["kube-system", "sidecar-system"]} in excluded
        # Only where a selector has chosen does a pod take part that does not ask itself.
        chosen = any(
            expression["operator"] == "In"
            for selector in ("namespaceSelector", "objectSelector") for expression in each[selector]["matchExpressions"])
        assert service["path"] == ("/mutate" if chosen else "/mutate/if-asked"), each["name"]
        # Whoever is shown every pod of the cluster must not be able to stop it.
        narrow = chosen or "matchConditions" in each
        assert each["failurePolicy"] == ("Fail" if narrow else "Ignore"), each["name"]
