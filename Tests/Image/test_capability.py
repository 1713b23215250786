"""The right to be transparent, as container runtimes give it to the image's user and to root."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.pki import Authority
from kit.process import wait_until

from imagekit.machine import ENDED

NET_RAW = 1 << 13
NO_NEW_PRIVILEGES = ("--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def certificates(machine) -> Path:
    authority, directory = Authority(), machine.scratch / "certificates"
    authority.issue("pod", dns=("pod",)).write(directory)
    return authority.write(directory)


@pytest.fixture
def start(machine, image, certificates):
    """Starts the proxy in a container of its own; answers a container that is live or has ended."""
    names: list[str] = []

    def run(runtime: str, *options: str, transparent: bool = True) -> "Container":
        names.append(f"capability-{len(names)}")
        settings = {
            "TRANSPARENT": str(transparent).lower(), "SERVER_CERT_DIR": "/tls", "CLIENT_CERT_DIR": "/tls", "CA_DIR": "/tls"}
        variables = [option for name, value in settings.items() for option in ("--env", f"{name}={value}")]
        machine.podman(
            "--runtime", runtime, "run", "--detach", "--name", names[-1], "--network", "none", "--read-only",
            "--cap-drop", "ALL", *options, *variables, "--volume", f"{certificates}:/tls:ro", image, check=False)
        return Container(machine, names[-1])

    yield run
    for name in names:
        machine.podman("rm", "--force", "--time", "0", name, check=False)


class Container:
    def __init__(self, machine, name: str):
        self.machine, self.name = machine, name

    def inspect(self, template: str) -> str:
        return self.machine.podman("container", "inspect", "--format", template, self.name).stdout.strip()

    @property
    def output(self) -> str:
        done = self.machine.podman("logs", self.name)
        return done.stdout + done.stderr

    def exit_code(self) -> int:
        wait_until(lambda: self.inspect("{{.State.Status}}") in ENDED, f"{self.name} has ended", seconds=30)
        return int(self.inspect("{{.State.ExitCode}}"))

    def status(self) -> dict[str, str]:
        """/proc/PID/status of the proxy when it is live."""

        def live() -> bool:
            assert self.inspect("{{.State.Status}}") == "running", self.output
            return self.machine.podman("exec", self.name, "sidecar", "probe", "live", check=False).returncode == 0

        wait_until(live, f"{self.name} is live", seconds=30)
        lines = Path(f"/proc/{self.inspect('{{.State.Pid}}')}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def assert_transparent(status: dict[str, str], user: str = "1337") -> None:
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == NET_RAW
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert set(status["Uid"].split()) == {user} and status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("escalation", [(), NO_NEW_PRIVILEGES], ids=["allowed", "allowPrivilegeEscalation: false"])
@pytest.mark.parametrize("runtime", ["kubernetes", "podman"])
def test_the_user_of_the_image_gets_what_the_container_adds(start, runtime, escalation):
    assert_transparent(start(runtime, "--cap-add", "NET_RAW", *escalation).status())


def test_dockerd_gives_it_where_privileges_may_be_gained(start):
    assert_transparent(start("docker", "--cap-add", "NET_RAW").status())


def test_dockerd_does_not_give_it_without_new_privileges(start):
    """The kernel then gives no more than the runtime did, and dockerd gave a user that is not root nothing."""
    ended = start("docker", "--cap-add", "NET_RAW", *NO_NEW_PRIVILEGES)
    assert ended.exit_code() == 77
    assert "NET_RAW" in ended.output


@pytest.mark.parametrize("runtime", ["kubernetes", "docker", "podman"])
def test_where_it_is_not_allowed_the_binary_starts_and_says_so(start, runtime):
    ended = start(runtime, *NO_NEW_PRIVILEGES)
    assert ended.exit_code() == 77
    assert "NET_RAW" in ended.output


@pytest.mark.parametrize("runtime", ["kubernetes", "docker", "podman"])
def test_explicit_mode_needs_none_and_keeps_none(start, runtime):
    status = start(runtime, *NO_NEW_PRIVILEGES, transparent=False).status()
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0


@pytest.mark.parametrize("runtime", ["kubernetes", "docker", "podman"])
def test_root_needs_no_file_capability(start, runtime):
    added = [option for name in ("NET_RAW", "SETUID", "SETGID") for option in ("--cap-add", name)]
    assert_transparent(start(runtime, "--user", "0", *added, *NO_NEW_PRIVILEGES).status())


def test_root_that_may_not_change_its_user_stays_root(start):
    assert_transparent(start("kubernetes", "--user", "0", "--cap-add", "NET_RAW", *NO_NEW_PRIVILEGES).status(), user="0")
