"""The base images of the Dockerfile, made from Debian's packages where no registry can be reached.

They stand under the exact names, so that the Dockerfile is built as it is. The Swift toolchain is not put into an image but
mounted from this machine while building.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from .machine import Machine, run

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Where the stand-in for the builder expects the toolchain.
TOOLCHAIN = "/toolchain"
#: Of the official image for Swift, what building needs.
BUILDER_PACKAGES = (
    "binutils-gold", "gcc", "git", "libc6-dev", "libcurl4", "libedit2", "libncurses6", "libsqlite3-0",
    "libstdc++-12-dev", "libxml2", "libz3-4", "pkg-config", "tzdata", "zlib1g-dev")
#: What gcr.io/distroless/cc-debian13 consists of.
DISTROLESS_PACKAGES = (
    "base-files", "media-types", "netbase", "tzdata", "libc6", "libgcc-s1", "libgomp1", "libssl3t64", "libstdc++6",
    "libzstd1", "zlib1g")
CACHE_SECONDS = 7 * 24 * 3600


def default_arguments(dockerfile: Path) -> dict[str, str]:
    """The build arguments of the Dockerfile that stand before its first stage: the base images."""
    head = dockerfile.read_text().split("\nFROM ")[0]
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", head, re.MULTILINE))


def registry_answers(image: str) -> bool:
    """Whether the image can be had from its registry."""
    done = run("skopeo", "inspect", "--no-tags", f"docker://{image}", check=False, seconds=60)
    return done.returncode == 0


class StandIns:
    """Makes the images of a Dockerfile in a machine's storage, keeping the file trees for a week in `cache`."""

    def __init__(self, machine: Machine, cache: Path):
        self.machine, self.cache = machine, cache
        cache.mkdir(parents=True, exist_ok=True)

    def make(self, builder: str, debian: str, base: str) -> None:
        self.import_tree(self.debian("trixie"), debian, 'CMD ["bash"]', f"ENV PATH={PATH}")
        self.import_tree(
            self.distroless("trixie"), base, f"ENV PATH={PATH}", "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "USER 65532", "WORKDIR /home/nonroot")
        self.import_tree(
            self.debian("bookworm", *BUILDER_PACKAGES), builder, 'CMD ["bash"]',
            f"ENV PATH={TOOLCHAIN}/usr/bin:{PATH}")

    def import_tree(self, tree: Path, name: str, *changes: str) -> None:
        options = [option for change in changes for option in ("--change", change)]
        self.machine.podman("import", *options, str(tree), name, inside=False, seconds=300)

    def fresh(self, tree: Path) -> bool:
        return tree.exists() and time.time() - tree.stat().st_mtime < CACHE_SECONDS

    def debian(self, suite: str, *packages: str) -> Path:
        """Debian without recommendations; with packages, a builder."""
        tree = self.cache / f"{suite}-{'builder' if packages else 'slim'}.tar"
        if not self.fresh(tree):
            mmdebstrap(suite, tree, ",".join(("ca-certificates", *packages)), variant="minbase")
        return tree

    def distroless(self, suite: str) -> Path:
        """Files of a few packages without a shell, as the project distroless lays them out."""
        tree = self.cache / f"{suite}-distroless-cc.tar"
        if self.fresh(tree):
            return tree
        root = self.cache / "distroless"
        shutil.rmtree(root, ignore_errors=True)
        mmdebstrap(suite, root, ",".join((*DISTROLESS_PACKAGES, "ca-certificates")), variant="extract")
        for path in ("usr/share/man", "usr/share/locale", "usr/share/lintian", "var/lib/apt", "var/cache"):
            shutil.rmtree(root / path, ignore_errors=True)
        for document in (root / "usr/share/doc").glob("*/*"):
            if document.name != "copyright" and not document.is_dir():
                document.unlink()
        shutil.rmtree(root / "var/lib/dpkg")
        (root / "var/lib/dpkg/status.d").mkdir(parents=True)
        for program in ("bin", "sbin"):
            for path in (root / "usr" / program).iterdir():
                path.unlink()
        bundle_authorities(root)
        users = {"root": (0, "/root"), "nobody": (65534, "/nonexistent"), "nonroot": (65532, "/home/nonroot")}
        (root / "etc/passwd").write_text(
            "".join(f"{name}:x:{number}:{number}:{name}:{home}:/sbin/nologin\n" for name, (number, home) in users.items()))
        (root / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, (number, _) in users.items()))
        (root / "home/nonroot").mkdir(parents=True)
        shutil.chown(root / "home/nonroot", 65532, 65532)
        run("tar", "-C", str(root), "-cf", str(tree), ".")
        shutil.rmtree(root)
        return tree


def bundle_authorities(root: Path) -> None:
    """What update-ca-certificates would do."""
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(b"".join(file.read_bytes() for file in certificates))
    shutil.rmtree(root / "usr/share/ca-certificates")


def mmdebstrap(suite: str, target: Path, packages: str, variant: str) -> None:
    part = target.with_name(f"part-{target.name}")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was broken off
    options = ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    done = run(
        "mmdebstrap", "--quiet", f"--variant={variant}", f"--include={packages}", *options, suite, str(part),
        check=False, seconds=900)
    if done.returncode != 0:
        raise RuntimeError(f"no {suite} from the mirror of Debian: {done.stderr[-2000:]}")
    part.rename(target)


def toolchain() -> Path:
    """The directory above `usr` of the Swift toolchain on this machine."""
    if not shutil.which("swift"):
        raise RuntimeError("no Swift toolchain on this machine to mount into the stand-in for the builder's image")
    described = run("swift", "-print-target-info").stdout
    resources = Path(json.loads(described)["paths"]["runtimeResourcePath"])
    root = resources.parents[2]
    if root == Path("/"):
        raise RuntimeError("the Swift toolchain is installed in /usr and cannot be mounted into a build: unpack it elsewhere")
    return root


def mounts(directory: Path) -> list[str]:
    """Options for `podman build`: the toolchain, and what this machine's git is told to use in place of GitHub."""
    options = ["--volume", f"{toolchain()}:{TOOLCHAIN}:ro"]
    listed = subprocess.run(
        ["git", "config", "--get-regexp", r"^url\..*\.insteadof$"], capture_output=True, text=True, check=False).stdout
    replacements = [re.fullmatch(r"url\.(.*)\.insteadof (.*)", line) for line in listed.splitlines()]
    configuration = ""
    for place, replaced in sorted({match.groups() for match in replacements if match}):
        configuration += f'[url "{place}"]\n\tinsteadOf = {replaced}\n'
        local = Path(place.removeprefix("file://"))
        if local.is_absolute() and local.is_dir() and f"{local}:{local}:ro" not in options:
            options += ["--volume", f"{local}:{local}:ro"]
    if configuration:
        file = directory / "gitconfig"
        file.write_text(configuration + "[safe]\n\tdirectory = *\n")
        options += ["--volume", f"{file}:/etc/gitconfig:ro"]
    return options
