"""`make kind-demo` without Docker and kind: what it says when they are absent, and that it leaves no cluster behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.proxy import REPOSITORY

SCRIPT = REPOSITORY / "scripts/kind-demo.sh"
#: What the script itself needs of a system.
SYSTEM = ("sh", "dirname", "mktemp", "rm", "grep", "id", "cat", "sed", "git")


class Tools:
    """A PATH that holds only what was put there; each tool notes how it was called."""

    def __init__(self, directory: Path):
        self.bin, self.log = directory / "bin", directory / "calls"
        self.bin.mkdir()
        self.log.touch()
        for tool in SYSTEM:
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.skip(f"{tool}: runs on Debian or Ubuntu with git"))

    def add(self, name: str, body: str = "") -> None:
        tool = self.bin / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.log}\n{body}\n')
        tool.chmod(0o755)

    def add_all(self) -> None:
        self.add("docker", 'case "$1" in save) : > "$3" ;; inspect) echo 0 ;; esac')
        # kind writes the kubeconfig: its last but two arguments are --kubeconfig FILE.
        self.add("kind", 'case "$1" in create) echo config > "$6" ;; esac')
        self.add("kubectl")
        self.add("python3")

    def run(self, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(SCRIPT)], env={"PATH": str(self.bin), **environment}, capture_output=True, text=True, timeout=60)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def tools(directory: Path) -> Tools:
    return Tools(directory)


@pytest.mark.parametrize("present, named", [
    ((), "neither docker nor podman"),
    (("docker",), "kind is missing"),
    (("podman", "kind"), "kubectl is missing"),
    (("docker", "kind", "kubectl"), "python3 is missing"),
])
def test_it_names_what_is_missing(tools: Tools, present: tuple[str, ...], named: str) -> None:
    for name in present:
        tools.add(name)
    done = tools.run()
    assert done.returncode == 2
    assert named in done.stderr and "install" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not any("build" in call or "create" in call for call in tools.calls())


def test_a_docker_command_without_an_engine_does_not_do(tools: Tools) -> None:
    tools.add_all()
    tools.add("docker", "exit 1")
    done = tools.run()
    assert done.returncode == 2 and "neither docker nor podman answers" in done.stderr
    assert tools.calls() == ["docker info"]


def test_it_builds_loads_installs_proves_and_removes(tools: Tools) -> None:
    tools.add_all()
    done = tools.run()
    assert done.returncode == 0, done.stderr
    words = [" ".join(call.split()[:3]) for call in tools.calls()]
    builds = [number for number, call in enumerate(words) if call.startswith("docker build")]
    steps = ["kind create cluster", "kind load image-archive", "kind delete cluster"]
    order = [*builds, *(words.index(step) for step in steps)]
    assert len(builds) == 1 and order == sorted(order)
    assert any(call.startswith("kubectl") and call.endswith("apply -f install.yaml") for call in tools.calls())
    assert words.index("python3 scripts/cluster_proof.py install.yaml") < words.index("kind delete cluster")
    assert words[-1] == "kind delete cluster"


def test_a_failed_proof_fails_it_and_leaves_nothing(tools: Tools) -> None:
    tools.add_all()
    tools.add("python3", "exit 1")
    assert tools.run().returncode == 1
    assert tools.calls()[-1].startswith("kind delete cluster")


def test_a_cluster_that_cannot_be_made_is_removed_too(tools: Tools) -> None:
    tools.add_all()
    tools.add("kind", '[ "$1" != create ]')
    assert tools.run().returncode != 0
    assert tools.calls()[-1].startswith("kind delete cluster")


def test_it_keeps_the_cluster_when_asked(tools: Tools) -> None:
    tools.add_all()
    done = tools.run(KEEP="1")
    assert "kind delete cluster" in done.stdout
    assert not any(call.startswith("kind delete") for call in tools.calls())


def test_a_cluster_of_that_name_is_not_touched(tools: Tools) -> None:
    tools.add_all()
    tools.add("kind", '[ "$1" != get ] || echo sidecar-demo')
    done = tools.run()
    assert done.returncode == 2 and "there already" in done.stderr
    assert tools.calls()[-1] == "kind get clusters"
