"""What the image is made of."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path

import pytest

CAP_NET_RAW = 13
#: include/uapi/linux/capability.h
VFS_CAP_REVISION_2, VFS_CAP_FLAGS_EFFECTIVE = 0x0200_0000, 1
LIMIT_BYTES = 45_000_000
BINARY = "usr/local/bin/sidecar"
SHELLS = {"sh", "bash", "dash", "busybox", "ash", "apt", "apt-get", "dpkg", "perl", "python3"}


@pytest.fixture(scope="module")
def configuration(machine, image) -> dict:
    return json.loads(machine.podman("image", "inspect", image).stdout)[0]


@pytest.fixture(scope="module")
def tree(machine, image):
    """The file system of the image."""
    path = Path(machine.podman("image", "mount", image).stdout.strip())
    yield path
    machine.podman("image", "unmount", image)


def test_it_is_small(configuration):
    assert configuration["Size"] < LIMIT_BYTES


def test_it_runs_the_proxy_as_the_user_of_the_capture_rules(configuration):
    settings = configuration["Config"]
    assert settings["Entrypoint"] == [f"/{BINARY}"] and settings["Cmd"] == ["run"]
    assert settings["User"] == "1337:1337"


def test_it_has_the_labels_of_the_oci(configuration, image):
    labels = configuration["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == "sidecar" and labels[f"{prefix}licenses"] == "MIT"
    assert image.endswith(f":{labels[f'{prefix}version']}")
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?|unknown", labels[f"{prefix}revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*|unknown", labels[f"{prefix}created"])
    assert labels[f"{prefix}description"] and labels[f"{prefix}base.name"]


def test_the_file_capability_is_permitted_and_not_effective(tree):
    flags, permitted, inheritable, *rest = struct.unpack("<5I", os.getxattr(tree / BINARY, "security.capability"))
    assert flags == VFS_CAP_REVISION_2, f"effective, or another revision: {flags:#x}"
    assert permitted == 1 << CAP_NET_RAW and inheritable == 0 and rest == [0, 0]


def test_nobody_but_root_can_change_the_binary(tree):
    status = (tree / BINARY).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o755)


def test_it_has_no_shell_and_no_other_program(tree):
    programs = {path.name for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
                for path in (tree / folder).glob("*")}
    assert programs & SHELLS == set()
    assert "sidecar" in programs


def test_scanners_see_what_was_added(tree):
    """Trivy, Grype and the like read these records in distroless images."""
    for package in ("libnftnl11", "libmnl0", "libnghttp2-14", "libyaml-0-2"):
        record = (tree / "var/lib/dpkg/status.d" / package).read_text()
        assert f"Package: {package}\n" in record and "Version: " in record
        assert (tree / "usr/share/doc" / package / "copyright").stat().st_size > 0


def test_openssl_is_current(tree):
    library = next((tree / "usr/lib").rglob("libcrypto.so.3"))
    version = re.search(rb"OpenSSL (\d+)\.(\d+)\.\d+", library.read_bytes())
    assert version and (int(version[1]), int(version[2])) >= (3, 5), version


@pytest.mark.parametrize("user", ["0", "1337", "1234567890"], ids=["root", "its own user", "an arbitrary user"])
@pytest.mark.parametrize("runtime", ["kubernetes", "docker", "podman"])
def test_the_binary_starts_without_any_capability(machine, image, user, runtime):
    """OpenShift chooses users; a pod in explicit mode drops everything."""
    done = machine.podman(
        "--runtime", runtime, "run", "--rm", "--network", "none", "--user", user, "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", image, "--version", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == image.split(":")[1]
