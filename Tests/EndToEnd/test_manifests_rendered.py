"""The committed manifests are what `scripts/render-manifests.sh` makes of their parts with this very binary."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

from kit.proxy import REPOSITORY

SCRIPT = REPOSITORY / "scripts/render-manifests.sh"


def render(binary: Path, target: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(SCRIPT), str(target)], env={**os.environ, "SIDECAR_BIN": str(binary)}, capture_output=True, text=True,
        timeout=60)


def test_nothing_has_to_be_rendered_anew(binary: Path, directory: Path) -> None:
    done = render(binary, directory)
    assert done.returncode == 0, done.stderr
    rendered = sorted(path for path in directory.rglob("*") if path.is_file())
    assert [str(path.relative_to(directory)) for path in rendered] == [
        "deploy/explicit.yaml", "deploy/install-without-native-sidecars.yaml", "deploy/prometheusrule.yaml",
        "install.yaml"]
    for fresh in rendered:
        name = str(fresh.relative_to(directory))
        committed = (REPOSITORY / name).read_text()
        difference = difflib.unified_diff(
            committed.splitlines(), fresh.read_text().splitlines(), f"committed {name}", f"rendered {name}", lineterm="")
        assert committed == fresh.read_text(), "run `make manifests`:\n" + "\n".join(difference)


def test_a_refused_injection_leaves_no_manifest(directory: Path) -> None:
    failing = directory / "sidecar"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    assert render(failing, directory / "target").returncode != 0
    assert not list((directory / "target").rglob("*.yaml"))


def test_it_says_that_the_binary_is_missing(directory: Path) -> None:
    done = render(directory / "nothing", directory / "target")
    assert done.returncode == 1 and "make build" in done.stderr
