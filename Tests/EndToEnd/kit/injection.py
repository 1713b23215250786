"""What `sidecar inject` did to an object, seen without the sidecar's own code."""

from __future__ import annotations

import copy
import json
import re

import yaml

GROUPS = {
    "Pod": "v1", "ReplicationController": "v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
}
STATUS = "sidecar.mtls.dev/status"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
KINDS = {"livenessProbe": "livez", "readinessProbe": "readyz", "startupProbe": "startupz"}


def chunks(data: bytes) -> list[bytes]:
    """A file divided before its lines of `---` and behind those of `...`."""
    found, current = [], b""
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        if re.match(rb"---\s", line + b"\n") and not re.match(rb"%", current) and current:
            found.append(current)
            current = b""
        current += line
        if re.match(rb"\.\.\.\s", line + b"\n"):
            found.append(current)
            current = b""
    return found + ([current] if current else [])


def documents(data: bytes) -> list[object]:
    """What a file says; JSON objects may follow one another."""
    text = data.decode("utf-8-sig")
    if not text.lstrip().startswith("{"):
        return list(yaml.safe_load_all(text))
    decoder, found, position = json.JSONDecoder(), [], 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        found.append(value)
    return found


def objects(data: bytes) -> list[dict]:
    """The objects of a file, those in lists among them."""
    found = []
    for document in documents(data):
        if isinstance(document, dict) and document["kind"].endswith("List"):
            found += document["items"]
        elif document is not None:
            found.append(document)
    return found


def pod(thing: dict) -> dict | None:
    """The pod or pod template in an object."""
    if GROUPS.get(thing["kind"]) != thing["apiVersion"]:
        return None
    if thing["kind"] == "Pod":
        return thing
    spec = thing["spec"]
    return (spec["jobTemplate"]["spec"] if thing["kind"] == "CronJob" else spec)["template"]


def is_injected(thing: dict) -> bool:
    template = pod(thing)
    return template is not None and STATUS in ((template.get("metadata") or {}).get("annotations") or {})


def sidecar(thing: dict) -> dict:
    spec = pod(thing)["spec"]
    return next(c for c in (spec.get("initContainers") or []) + spec["containers"] if c["name"] == "sidecar")


def environment(container: dict) -> dict[str, str]:
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def without_sidecar(thing: dict) -> dict:
    """An object as its author wrote it: everything of the sidecar is taken out by hand."""
    thing = copy.deepcopy(thing)
    template = pod(thing)
    if template is None:
        return thing
    spec = template["spec"]
    if is_injected(thing):
        probes = json.loads((environment(sidecar(thing)).get("APP_PROBES") or "{}").replace("$$", "$"))
        for container in (spec.get("initContainers") or []) + spec["containers"]:
            restore(container, probes)
        for name in ("initContainers", "containers"):
            spec[name] = [c for c in spec.get(name) or [] if c["name"] not in ("sidecar", "sidecar-init")]
        spec["volumes"] = [v for v in spec["volumes"] if v["name"] != "sidecar-tls"]
        del template["metadata"]["annotations"][STATUS]
    return normal(thing)


def normal(thing: dict) -> dict:
    """Without what is empty, and without the name of the container for kubectl, which may be the author's or not."""
    thing = copy.deepcopy(thing)
    template = pod(thing)
    if template is None:
        return thing
    metadata, spec = template.get("metadata") or {}, template["spec"]
    (metadata.get("annotations") or {}).pop(DEFAULT_CONTAINER, None)
    for holder, names in ((metadata, ["annotations"]), (spec, ["initContainers", "volumes"]), (template, ["metadata"])):
        for name in names:
            if not holder.get(name):
                holder.pop(name, None)
    for container in (spec.get("initContainers") or []) + spec["containers"]:
        for probe in KINDS:
            for action in ("httpGet", "tcpSocket", "grpc"):
                target = (container.get(probe) or {}).get(action)
                if target is not None:
                    target["port"] = number(container, target["port"])
    return thing


def number(container: dict, port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = [entry["containerPort"] for entry in container.get("ports", []) if entry.get("name") == port]
    return named[0] if named else int(port)


def restore(container: dict, probes: dict) -> None:
    for field, kind in KINDS.items():
        path = f"/app-health/{container['name']}/{kind}"
        probe = container.get(field) or {}
        if (probe.get("httpGet") or {}).get("path") == path:
            del probe["httpGet"]
            probe.update(probes[path])
