"""podman with everything of its own: storage, networks, locks and a network namespace, so that nothing of the
machine's containers is touched, and nothing stays behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNTIMES = ("runc", "crun")
RUNTIME_WRAPPER = Path(__file__).with_name("oci_runtime.py")
#: How the wrapper starts containers: as Kubernetes (containerd, CRI-O) does, as dockerd does, as podman itself does.
KUBERNETES, DOCKER, PODMAN = "kubernetes", "docker", "podman"
CGROUPS = Path("/sys/fs/cgroup")
#: States of a container whose process has ended, before and after podman has cleaned up.
ENDED = {"stopped", "exited"}
NUMBERS = itertools.count()


class CommandFailed(RuntimeError):
    """A command of podman's or of the machine's ended with another code than 0."""


class Machine:
    """A node: podman's storage in one directory, its networks in one namespace.

    SIDECAR_IMAGE_STORAGE names a directory that is kept, with the layers of the build, for the next run.
    """

    def __init__(self) -> None:
        kept = os.environ.get("SIDECAR_IMAGE_STORAGE")
        self.is_kept = kept is not None
        self.directory = Path(kept).resolve() if kept else Path(tempfile.mkdtemp(prefix="sidecar-image-", dir="/var/tmp"))
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        #: Files of this run, for containers to mount.
        self.scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.directory))
        self.scratch.chmod(0o755)
        self.namespace = f"sci{os.getpid()}x{next(NUMBERS)}"
        self.networks: list[str] = []
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(self.directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
            "TMPDIR": str(self.directory / "tmp"),
        }
        self.write_configuration()
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")

    def write_configuration(self) -> None:
        for name in ("tmp", "run", "networks", "runtimes"):
            (self.directory / name).mkdir(exist_ok=True)
        (self.directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.directory}/storage"\nrunroot = "{self.directory}/run"\n')
        runtimes = ""
        for name in (KUBERNETES, DOCKER, PODMAN):
            # The wrapper reads from its own name how to start containers.
            script = self.directory / "runtimes" / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} {RUNTIME_WRAPPER} {name} {oci_runtime()} "$@"\n')
            script.chmod(0o755)
            runtimes += f'{name} = ["{script}"]\n'
        # podman asks for more than a machine in a container may give.
        files, processes = (
            min(16_384, resource.getrlimit(kind)[1] % (1 << 63)) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
        (self.directory / "containers.conf").write_text(f"""\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "{KUBERNETES}"
runtime_supports_json = ["{KUBERNETES}", "{DOCKER}", "{PODMAN}"]
tmp_dir = "{self.directory}/run/libpod"
volume_path = "{self.directory}/volumes"
infra_image = ""
[engine.runtimes]
{runtimes}[network]
network_backend = "netavark"
network_config_dir = "{self.directory}/networks"
""")

    def podman(self, *arguments: str, inside: bool = True, check: bool = True, seconds: float = 120, **options):
        """A podman command in the node's network, or, for images, in the machine's."""
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}"] if inside else []
        return run(*enter, "podman", *arguments, check=check, seconds=seconds, env=self.environment, **options)

    def add_network(self, name: str, *subnets: str) -> None:
        options = [option for subnet in subnets for option in ("--subnet", subnet)]
        self.podman("network", "create", "--ipv6", "--disable-dns", *options, name)
        self.networks.append(name)

    def remove(self) -> None:
        """Containers, networks, mounts, the namespace and the storage."""
        self.podman("pod", "rm", "--all", "--force", "--time", "0", check=False)
        self.podman("rm", "--all", "--force", "--time", "0", check=False)
        for network in self.networks:
            self.podman("network", "rm", "--force", network, check=False)
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.directory}/")]):
            run("umount", "--lazy", mount, check=False)
        run("ip", "netns", "del", self.namespace, check=False)
        for parent in (CGROUPS / "libpod_parent", *CGROUPS.glob("*/libpod_parent")):
            for group, _, _ in os.walk(parent, topdown=False):
                with contextlib.suppress(OSError):  # in use by another podman
                    os.rmdir(group)
        shutil.rmtree(self.scratch if self.is_kept else self.directory, ignore_errors=True)


def run(*command: str, check: bool = True, seconds: float = 120, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command, stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True, text=True, errors="replace",
        timeout=seconds, **options)
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


def oci_runtime() -> str:
    for name in RUNTIMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("no OCI runtime: install runc")
