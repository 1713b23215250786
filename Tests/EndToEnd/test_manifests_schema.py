"""Every manifest of the project is what the API servers of Kubernetes 1.29 to 1.34 take, field by field."""

from __future__ import annotations

import copy
import functools
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kit.manifests import StrictLoader, container, documents, name_of, pod_of
from kit.proxy import REPOSITORY

VERSIONS = ("1.29", "1.30", "1.31", "1.32", "1.33", "1.34")
OLD_VERSIONS = ("1.25", "1.26", "1.27", "1.28")
INSTALL = REPOSITORY / "install.yaml"
CLASSIC = REPOSITORY / "deploy/install-without-native-sidecars.yaml"

# Not for an API server: a file of Prometheus' own.
OTHER = {REPOSITORY / "deploy/alerts.yaml"}
MANIFESTS = sorted(
    {INSTALL, *(REPOSITORY / "deploy").glob("*.yaml"), *(REPOSITORY / "examples").rglob("*.yaml")} - OTHER)

# Kinds that Kubernetes itself does not have, so that its schemas cannot know them.
FOREIGN = {
    ("cert-manager.io/v1", "Issuer"), ("cert-manager.io/v1", "Certificate"),
    ("monitoring.coreos.com/v1", "PodMonitor"), ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
}


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> None:
    """The package reads all definitions of a version for each document, which takes most of the time."""
    utils = kubernetes_validate.utils
    utils.schema_contents = functools.cache(utils.schema_contents)


def problem(document: dict, version: str) -> str | None:
    """What the schemas of a version have against a document; a kind that they lack is a problem too."""
    if (document["apiVersion"], document["kind"]) in FOREIGN:
        return None
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message
    return None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_each_document_fits_the_schema(path: Path, version: str) -> None:
    found = documents(path)
    assert found, f"{path} holds nothing"
    problems = [f"{name_of(each)}: {text}" for each in found if (text := problem(each, version))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_the_variant_fits_clusters_without_native_sidecars(version: str) -> None:
    problems = [f"{name_of(each)}: {text}" for each in documents(CLASSIC) if (text := problem(each, version))]
    assert not problems, "\n".join(problems)


def test_the_schemas_refuse_what_an_api_server_would() -> None:
    """The checks above could pass for want of a schema: these must not."""
    deployment = next(each for each in documents(INSTALL) if name_of(each) == "Deployment/sidecar-demo/web")
    for version in VERSIONS:
        assert problem(deployment, version) is None
        misspelt = copy.deepcopy(deployment)
        container(pod_of(misspelt), "sidecar")["readinessProbe"]["periodSecondz"] = 2
        assert "periodSecondz" in (problem(misspelt, version) or "")
        mistyped = copy.deepcopy(deployment)
        container(pod_of(mistyped), "sidecar")["args"] = "run"
        assert "run" in (problem(mistyped, version) or "")
        unknown = {**deployment, "kind": "Deploiment"}
        assert "Deploiment" in (problem(unknown, version) or "")


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="given twice"):
        yaml.load("spec: {replicas: 1, replicas: 2}", StrictLoader)


def test_the_base_builds_with_kustomize() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl: runs on Debian or Ubuntu with kubectl, as kubernetes-client installs it")
    done = subprocess.run(
        [kubectl, "kustomize", str(REPOSITORY / "deploy")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = {name_of(each) for each in yaml.load_all(done.stdout, StrictLoader)}
    parts = {name_of(each) for part in ("webhook", "admission") for each in documents(REPOSITORY / f"deploy/{part}.yaml")}
    assert built == parts
