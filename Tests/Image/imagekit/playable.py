"""Turns a workload of the project's manifests into a pod that `podman kube play` understands.

What podman lacks or does otherwise, and what stands in its place:
- Deployment: one Pod that is not restarted (podman would repeat init containers for ever).
- Native sidecars (init containers with restartPolicy Always): first among the ordinary containers.
- Secret volumes: a directory of this machine in kubelet's layout, since podman mounts the base64 text.
- Services and DNS: `hostAliases`; the addresses are served by `services.py`.
- fieldRef: the value. Probes, lifecycle hooks, ports, service accounts: left out.
Images, arguments, users, capabilities, volumes, and limits stay as they are.
"""

from __future__ import annotations

import copy
from pathlib import Path

POD_FIELDS = {"containers", "initContainers", "volumes", "securityContext"}
CONTAINER_FIELDS = {"name", "image", "imagePullPolicy", "command", "args", "env", "resources", "securityContext", "volumeMounts"}
#: Without it podman removes init containers when they are done, and their output with them.
KEEPS_INIT_CONTAINERS = {"io.podman.annotations.init.container.type": "always"}


def playable(
    documents: list[dict], workload: str, secrets: dict[str, Path], hosts: dict[str, list[str]],
) -> list[dict]:
    """The ConfigMaps and the Pod of one Deployment; `secrets` by name, `hosts` by address."""
    deployment = named(documents, "Deployment", workload)
    namespace = deployment["metadata"]["namespace"]
    template = copy.deepcopy(deployment["spec"]["template"])
    spec = {key: value for key, value in template["spec"].items() if key in POD_FIELDS}
    fields = {"metadata.name": workload, "metadata.namespace": namespace}

    native = [one for one in spec.get("initContainers", []) if one.get("restartPolicy") == "Always"]
    spec["initContainers"] = [adapted(one, fields) for one in spec.get("initContainers", []) if one not in native]
    spec["containers"] = [adapted(one, fields) for one in native + spec["containers"]]
    for volume in spec.get("volumes", []):
        if secret := volume.pop("secret", None):
            volume["hostPath"] = {"path": str(secrets[secret["secretName"]]), "type": "Directory"}
    spec["restartPolicy"] = "Never"
    spec["hostAliases"] = [{"ip": address, "hostnames": names} for address, names in hosts.items()]

    used = {volume["configMap"]["name"] for volume in spec.get("volumes", []) if "configMap" in volume}
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": workload, "annotations": KEEPS_INIT_CONTAINERS, "labels": template["metadata"]["labels"]},
        "spec": spec,
    }
    return [without_namespace(named(documents, "ConfigMap", name)) for name in sorted(used)] + [pod]


def named(documents: list[dict], kind: str, name: str) -> dict:
    return next(one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name)


def adapted(container: dict, fields: dict[str, str]) -> dict:
    result = {key: value for key, value in container.items() if key in CONTAINER_FIELDS}
    for variable in result.get("env", []):
        if source := variable.pop("valueFrom", None):
            variable["value"] = fields[source["fieldRef"]["fieldPath"]]
    return result


def without_namespace(document: dict) -> dict:
    result = copy.deepcopy(document)
    result["metadata"].pop("namespace", None)
    return result
