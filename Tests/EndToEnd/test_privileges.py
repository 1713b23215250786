"""Which privileges the proxy starts with, and that it keeps none that it does not need."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.pod import PROXY_UID
from kit.process import wait_until
from kit.proxy import bare_environment
from kit.transparent import HTTP

NET_ADMIN, NET_RAW = 1 << 12, 1 << 13


def statuses(pid: int) -> list[dict[str, str]]:
    """/proc/PID/task/*/status: capabilities and filters belong to a thread, so all of them are looked at."""
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in Path(f"/proc/{pid}/task").iterdir()]


def assert_capabilities(pid: int, expected: int) -> None:
    threads = statuses(pid)
    assert len(threads) > 2
    for thread in threads:
        for name in ("CapEff", "CapPrm"):
            assert int(thread[name], 16) == expected, (thread["Name"], name, thread[name])
        assert int(thread["CapInh"], 16) == 0 and int(thread["CapAmb"], 16) == 0
        assert thread["NoNewPrivs"] == "1"


@pytest.fixture
def confined(fresh_pods, binary, directory):
    """Starts the proxy in pod `a` the way a container runtime would, and waits until it is ready."""
    pod = fresh_pods.a
    home = fresh_pods.identity(pod)
    settings = {
        "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "SERVER_CERT_DIR": str(home), "CLIENT_CERT_DIR": str(home),
        "CA_DIR": str(fresh_pods.ca_directory), "WORKER_THREADS": "2",
    }
    assert pod.init(binary, **settings).returncode == 0
    copy = directory / "with-capability"
    shutil.copy(binary, copy)
    subprocess.run(["setcap", "cap_net_raw+p", str(copy)], check=True)

    def start(*setpriv: str, has_file_capability: bool = False, wait: bool = True, **changes: str):
        command = pod.command("setpriv", *setpriv, "--", str(copy if has_file_capability else binary), "run")
        process = pod.start("sidecar", command, bare_environment() | settings | changes)
        if wait:
            wait_until(lambda: pod.monitor("/ready")[0] == 200 or not process.is_running, "the proxy is ready")
            assert process.is_running, process.output_tail()
        return process

    start.pod = pod
    return start


#: A non-root container: what is added is allowed, not given.
NON_ROOT = ("--reuid", str(PROXY_UID), "--regid", str(PROXY_UID), "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all")


@pytest.mark.parametrize("extra", [(), ("--no-new-privs",)], ids=["plain", "allowPrivilegeEscalation: false"])
def test_the_file_capability_is_enough_for_a_user_that_is_not_root(confined, extra):
    process = confined(*NON_ROOT, "--bounding-set=-all,+net_raw", *extra, has_file_capability=True)
    assert_capabilities(process.pid, NET_RAW)
    assert {line["Uid"].split()[1] for line in statuses(process.pid)} == {str(PROXY_UID)}


def test_the_file_capability_works_for_real_traffic(fresh_pods, confined, binary):
    confined(*NON_ROOT, "--bounding-set=-all,+net_raw", has_file_capability=True)
    fresh_pods.start(fresh_pods.b)
    done = fresh_pods.a.curl(f"http://{fresh_pods.b.ipv4}:{HTTP}/echo/through")
    assert done.returncode == 0 and "/echo/through" in done.stdout, done.stderr
    done = fresh_pods.a.curl(f"http://[{fresh_pods.b.ipv6}]:{HTTP}/echo/through")
    assert done.returncode == 0 and "/echo/through" in done.stdout, done.stderr


def test_the_binary_starts_where_its_capability_is_not_allowed_and_says_so(confined):
    """`+ep` would fail in execve(2) with a message that explains nothing."""
    process = confined(*NON_ROOT, "--bounding-set=-all", has_file_capability=True, wait=False)
    assert process.wait(10) == 77
    assert "NET_RAW" in process.stderr


def test_without_a_file_capability_a_user_that_is_not_root_gets_nothing(confined):
    process = confined(*NON_ROOT, "--bounding-set=-all,+net_raw", wait=False)
    assert process.wait(10) == 77
    assert "NET_RAW" in process.stderr


def test_root_becomes_the_user_of_the_proxy_and_keeps_one_capability(confined):
    process = confined("--bounding-set=-all,+net_raw,+setuid,+setgid")
    assert_capabilities(process.pid, NET_RAW)
    for thread in statuses(process.pid):
        assert set(thread["Uid"].split()) == set(thread["Gid"].split()) == {str(PROXY_UID)}
        assert thread["Groups"].split() == []


def test_root_with_everything_keeps_as_little(confined):
    process = confined("--bounding-set=+all", PROXY_UID="4321", PROXY_MARK="0x5c1/0xfff")
    assert_capabilities(process.pid, NET_RAW)
    assert {thread["Uid"].split()[1] for thread in statuses(process.pid)} == {"4321"}


def test_root_that_may_not_change_its_user_keeps_one_capability(confined):
    process = confined("--bounding-set=-all,+net_raw")
    assert_capabilities(process.pid, NET_RAW)


def test_net_admin_is_kept_only_where_net_raw_is_missing(confined):
    process = confined("--bounding-set=-all,+net_admin,+setuid,+setgid")
    assert_capabilities(process.pid, NET_ADMIN)


def test_the_explicit_mode_keeps_no_capability(start_proxy):
    """Whoever starts it: in this test perhaps root with everything."""
    proxy = start_proxy(WORKER_THREADS="2")
    assert_capabilities(proxy.process.pid, 0)
    user = PROXY_UID if os.geteuid() == 0 else os.geteuid()
    assert {thread["Uid"].split()[1] for thread in statuses(proxy.process.pid)} == {str(user)}


def test_its_memory_is_closed_to_others_of_its_user(confined):
    """A core file or a debugger would show the private key."""
    process = confined("--bounding-set=-all,+net_raw,+setuid,+setgid")
    command = confined.pod.command("cat", f"/proc/{process.pid}/environ", uid=PROXY_UID)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode != 0 and "Permission denied" in done.stderr
