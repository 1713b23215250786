"""Signals beside the one that ends a proxy at work: early ones are not lost, those that reload elsewhere reload, none kills."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import needs_root
from kit.pki import Authority
from kit.process import wait_until
from kit.webhook import NAME, Webhook

FIRST_PROCESS = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def child_of(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def blocks_sigterm(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigBlk:"):
            return bool(int(line.split()[1], 16) & 1 << signal.SIGTERM - 1)
    return False


def has_reactor(pid: int) -> bool:
    """Whether it has come so far as to hear of signals."""
    descriptors = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(OSError):
        return any("eventpoll" in os.readlink(one) for one in descriptors.iterdir())
    return True  # it was changing: too late to say


def test_a_signal_early_in_the_start_of_a_first_process_is_not_lost(start_proxy, identities, directory):
    """The kernel gives the first process of a namespace no default action: what nobody waits for is gone."""
    needs_root()
    # A start that takes a while: a bundle with many certificates.
    bundle = directory / "many" / "ca-bundle.pem"
    bundle.parent.mkdir()
    bundle.write_bytes(identities.authority.pem * 1_000)
    bundle.parent.chmod(0o755)
    proxy = start_proxy(CA_DIR=str(bundle.parent))
    command, environment = proxy.process.command, dict(proxy.process.environment)
    proxy.process.stop()
    early = 0
    for _ in range(12):
        child = subprocess.Popen(
            [*FIRST_PROCESS, *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            pid = wait_until(lambda: child_of(child.pid), "it has started")
            # What unshare does before it becomes the sidecar is its own; busy, for this is a matter of a millisecond.
            while not (os.readlink(f"/proc/{pid}/exe") == command[0] and blocks_sigterm(pid)):
                pass
            os.kill(pid, signal.SIGTERM)
            early += not has_reactor(pid)
            assert child.wait(5) == 0
        finally:
            child.kill()
            child.wait()
    assert early > 0, "no signal came before there was anybody to hear it"


def test_a_wrong_configuration_is_fatal_all_the_same(start_proxy):
    proxy = start_proxy(wait=False, LOG_LEVEL="loud")
    assert proxy.process.wait(5) == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_signals_that_reload_elsewhere_look_at_the_certificates(start_proxy, number):
    proxy = start_proxy()
    proxy.process.child.send_signal(number)
    line = proxy.process.wait_for_line("looking at the certificates")
    assert f"signal {number}" in line
    with proxy.connect() as client:
        assert client.request("/echo").status == 200
    proxy.process.terminate()
    assert proxy.process.wait(3) == 0


def test_a_reload_by_signal_needs_no_notice_of_the_file_system(start_proxy, identities, directory):
    """A file that is written by its other name, in another directory, changes without an event."""
    first, second = (identities.authority.server().write(directory / name) for name in ("first", "second"))
    home = directory / "home"
    home.mkdir()
    home.chmod(0o755)
    for name in ("tls.crt", "tls.key"):
        os.link(first / name, home / name)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    for name in ("tls.crt", "tls.key"):
        (first / name).write_bytes((second / name).read_bytes())
    time.sleep(2)
    assert "certificates reloaded" not in proxy.process.stdout, "it was noticed without a signal"
    proxy.process.child.send_signal(signal.SIGHUP)
    proxy.process.wait_for_line("certificates reloaded", seconds=2)


def test_the_other_user_signal_is_ignored(start_proxy):
    proxy = start_proxy()
    proxy.process.child.send_signal(signal.SIGUSR2)
    time.sleep(0.3)
    assert proxy.process.is_running and proxy.monitor("/ready")[0] == 200


def test_a_webhook_is_not_ended_by_them(binary, directory):
    pair = Authority("Webhook CA").server(dns=(NAME,)).write(directory / "pair")
    webhook = Webhook(binary, directory, tls=pair).wait_ready()
    try:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            webhook.process.child.send_signal(number)
        time.sleep(0.3)
        assert webhook.process.is_running and webhook.monitor("/ready")[0] == 200
        webhook.process.terminate()
        assert webhook.process.wait(5) == 0
    finally:
        webhook.stop()
