"""Fixtures of the tests of the image. They need root, podman and minutes: `make image-test`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))  # `kit`: certificates, volumes, captures

from imagekit import build as building  # noqa: E402
from imagekit.demo import Demo  # noqa: E402
from imagekit.machine import Machine  # noqa: E402

MANIFEST = ROOT / "deploy" / "install-without-native-sidecars.yaml"


def pytest_configure() -> None:
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("containers and network namespaces: runs as root, by `make image-test`")
    for tool in ("podman", "skopeo", "nft", "ip"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing: `make image-test` installs it")
    node = Machine()
    try:
        yield node
    finally:
        node.remove()


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells past pytest's capture what the tests ran on."""
    manager = request.config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        with manager.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    return write


@pytest.fixture(scope="session")
def image(machine: Machine, say: Callable[[str], None]) -> str:
    """The name of the image, built from the Dockerfile."""
    return building.build(machine, say)


@pytest.fixture(scope="session")
def demo(machine: Machine, image: str, say: Callable[[str], None]) -> Iterator[Demo]:
    """The two pods of the manifest; a test that breaks one puts it right again."""
    building.provide_applications(machine, MANIFEST, say)
    pods = Demo(machine, MANIFEST)
    try:
        pods.start()
        pods.wait_answered()
        yield pods
    finally:
        pods.remove()
