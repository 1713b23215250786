"""Kubernetes manifests as a test reads them: strictly, with the pods inside whatever makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml


class StrictLoader(yaml.SafeLoader):
    """YAML with a key only once in a mapping: the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"keys given twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(path: Path) -> list[dict]:
    return [document for document in yaml.load_all(path.read_text(), StrictLoader) if document is not None]


def name_of(document: dict) -> str:
    """What it is called in messages: kind/namespace/name."""
    metadata = document.get("metadata", {})
    return "/".join(filter(None, (document["kind"], metadata.get("namespace"), metadata.get("name"))))


def namespace_of(document: dict) -> str:
    return document["metadata"].get("namespace", "default")


def pod_of(document: dict) -> dict | None:
    """The pod itself, or the template of a workload: its metadata and spec."""
    match document["kind"]:
        case "Pod":
            return document
        case "CronJob":
            return document["spec"]["jobTemplate"]["spec"]["template"]
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            return document["spec"]["template"]
        case _:
            return None


def pods(found: list[dict]) -> Iterator[tuple[dict, dict]]:
    """Every document that makes pods, with the pod."""
    for document in found:
        if (pod := pod_of(document)) is not None:
            yield document, pod


def containers(pod: dict) -> list[dict]:
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def container(pod: dict, name: str) -> dict:
    return next(each for each in containers(pod) if each["name"] == name)


def environment(of: dict) -> dict[str, str]:
    """The variables that are written out, without those that refer to fields."""
    return {each["name"]: each["value"] for each in of.get("env", []) if "value" in each}
