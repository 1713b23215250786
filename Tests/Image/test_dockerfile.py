"""The Dockerfiles keep hadolint's rules; what is excepted says so in the file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("file", ["Dockerfile", "Tests/Image/Dockerfile.app"])
def test_hadolint_finds_nothing(file):
    beside_python = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside_python) if beside_python.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.skip("hadolint is missing: `make image-test` installs it from PyPI")
    done = subprocess.run([hadolint, "--no-color", file], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_is_built_reaches_the_builder():
    """An ignore file that lets nothing through by default: no key, archive or build directory can get into a layer."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
