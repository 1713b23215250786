"""The fences that the proxy puts around itself, that it works inside them, and without them where it must."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest

from kit.proxy import Proxy, run_once

EPERM, ENOSYS = 1, 38
LANDLOCK_CALLS, SECCOMP_CALL = (444, 445, 446), 317


def threads(pid: int) -> list[dict[str, str]]:
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in Path(f"/proc/{pid}/task").iterdir()]


def log(proxy, marker: str) -> list[dict]:
    return [line for line in map(json.loads, proxy.process.stdout.splitlines()) if marker in line["message"]]


def fences(proxy) -> dict:
    """What the proxy says of itself: Landlock cannot be seen from outside."""
    return json.loads(proxy.monitor("/sandbox")[1])


def serves(proxy) -> bool:
    with proxy.connect() as client:
        return client.request("/echo/fenced").status == 200


def test_every_thread_is_fenced_in(start_proxy):
    proxy = start_proxy(WORKER_THREADS="2")
    assert serves(proxy)
    found = threads(proxy.process.pid)
    assert len(found) >= 4, "control thread, log and two workers"
    assert {(thread["Seccomp"], thread["NoNewPrivs"]) for thread in found} == {("2", "1")}
    assert [line["level"] for line in log(proxy, "sandbox:")] == ["info", "info"]
    assert fences(proxy) == {"memory": True, "files": True, "system_calls": True, "gaps": []}


def test_it_can_be_switched_off_and_no_new_privs_stays(start_proxy):
    proxy = start_proxy(SANDBOX="false")
    assert serves(proxy)
    assert {(thread["Seccomp"], thread["NoNewPrivs"]) for thread in threads(proxy.process.pid)} == {("0", "1")}
    assert not log(proxy, "sandbox:")
    assert fences(proxy) == {"memory": False, "files": False, "system_calls": False, "gaps": ["SANDBOX=false"]}


def test_a_wrong_value_is_refused(binary):
    done = run_once(binary, ["run"], {"SANDBOX": "maybe"})
    assert done.returncode == 1 and "SANDBOX=maybe" in done.stderr


def test_only_what_it_needs_can_be_read(start_proxy, identities):
    proxy = start_proxy()
    [line] = log(proxy, "files can only be read")
    beneath = line["beneath"].split()
    assert str(identities.directory) in beneath or any(str(identities.directory).startswith(f"{path}/") for path in beneath)
    for closed in ("/", "/home", "/root", "/run", "/var", "/tmp", "/dev", "/sys"):
        assert closed not in beneath


def test_names_are_looked_up_inside_the_fences(start_proxy, app):
    """getaddrinfo(3) reads its settings and loads libraries when it is first asked."""
    proxy = start_proxy(UPSTREAM_URL=f"http://localhost:{app['http']}")
    assert serves(proxy)


#: Puts a filter around this process in which the listed calls fail, then becomes the command: an old kernel, or the
#: profile of a container runtime.
REFUSING = """
import ctypes, os, struct, sys
error, calls = int(sys.argv[1]), [int(number) for number in sys.argv[2].split(",")]
def instruction(code, true, false, k): return struct.pack("HBBI", code, true, false, k)
program = instruction(0x20, 0, 0, 0)
for number in calls:
    program += instruction(0x15, 0, 1, number) + instruction(0x06, 0, 0, 0x00050000 | error)
program += instruction(0x06, 0, 0, 0x7FFF0000)
buffer = ctypes.create_string_buffer(program)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(program) // 8, ctypes.addressof(buffer)))) == 0
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs on x86-64, whose system call numbers it uses")
@pytest.mark.parametrize("error, level", [(ENOSYS, "info"), (EPERM, "warning")], ids=["ENOSYS", "EPERM"])
@pytest.mark.parametrize("calls, sentence", [
    (LANDLOCK_CALLS, "files are not restricted"), ((SECCOMP_CALL,), "system calls are not restricted")])
def test_what_the_kernel_refuses_is_said_and_the_proxy_works(
        binary, app, directory, identities, calls, sentence, error, level):
    wrapper = directory / "refusing"
    wrapper.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[1:1] = ['{error}', '{','.join(map(str, calls))}', '{binary}']\n{REFUSING}")
    wrapper.chmod(0o755)
    proxy = Proxy(wrapper, identities, directory, app["http"])
    try:
        proxy.wait_ready()
        assert serves(proxy)
        [line] = log(proxy, sentence)
        assert line["level"] == level
        [gap] = fences(proxy)["gaps"]
        assert gap.startswith(f"{sentence}: ")
    finally:
        proxy.stop()
