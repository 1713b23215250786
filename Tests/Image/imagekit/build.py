"""Builds the project's image in a machine's storage with the project's own script, from stand-ins where it must.

build.py ARCHIVE writes the image to a file that `podman load`, `docker load` and `ctr images import` read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from .machine import Machine, run
from .standins import StandIns, default_arguments, mounts, registry_answers

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "image"
BUILD_SECONDS = 3600


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build(machine: Machine, say: Callable[[str], None] = say) -> str:
    """Answers the name of the image."""
    images = default_arguments(ROOT / "Dockerfile")
    builder, debian, base = (images[name] for name in ("BUILDER_IMAGE", "DEBIAN_IMAGE", "BASE_IMAGE"))
    options = ["--network", "host"]
    unreachable = [image for image in (builder, debian, base) if not registry_answers(image)]
    if unreachable:
        say(f"no registry answers for {', '.join(unreachable)}: "
            "stand-ins of the base images are made from Debian's packages, and this machine's Swift is mounted")
        StandIns(machine, CACHE).make(builder, debian, base)
        options += ["--pull=never", *mounts(machine.scratch)]
    done = run(
        str(ROOT / "scripts" / "image.sh"), *options, seconds=BUILD_SECONDS, env=machine.environment | {"ENGINE": "podman"})
    image = done.stdout.split("building ")[1].split()[0]
    size = machine.podman("image", "inspect", "--format", "{{.Size}}", image, inside=False).stdout.strip()
    say(f"{image}: {int(size) / 1e6:.1f} MB")
    return image


def provide_applications(machine: Machine, manifest: Path, say: Callable[[str], None] = say) -> None:
    """The images of the demo's applications: their own, or one stand-in under the names of all."""
    documents = [one for one in yaml.safe_load_all(manifest.read_text()) if one]
    pods = [one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Deployment"]
    names = sorted({container["image"] for pod in pods for container in pod["containers"]})
    missing = [name for name in names if not name.startswith("localhost/") and not registry_answers(name)]
    if missing:
        say(f"no registry answers for {', '.join(missing)}: one image of nginx and curl stands in for them")
        tags = [option for name in missing for option in ("--tag", name)]
        directory = ROOT / "Tests" / "Image"
        machine.podman(
            "build", "--network", "host", "--pull=never", *tags, "--file", str(directory / "Dockerfile.app"), str(directory),
            inside=False, seconds=BUILD_SECONDS)


if __name__ == "__main__":
    archive = Path(sys.argv[1]).resolve()
    machine = Machine()
    try:
        image = build(machine)
        archive.unlink(missing_ok=True)
        machine.podman("save", "--format", "docker-archive", "--output", str(archive), image, inside=False)
        say(f"{archive}: {image}, {archive.stat().st_size >> 20} MiB")
    finally:
        machine.remove()
