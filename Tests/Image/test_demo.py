"""The manifest's demo, as pods: plain HTTP in the applications, mutual TLS between them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from kit.capture import Capture, assert_only_tls
from kit.process import wait_until

from imagekit.demo import ADDRESSES
from imagekit.machine import ENDED

NET_RAW = 1 << 13
MARKER = "marker-4711"
CURL_TIMED_OUT = 28
#: No answer; failure while receiving: somebody was there and ended the connection.
CURL_CUT_OFF = {52, 56}


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_plain_curl_is_answered_and_the_application_learns_who_calls(demo):
    done = demo.curl(f"http://web/{MARKER}")
    assert done.returncode == 0, done.stderr + demo.logs("client", "sidecar")
    assert done.stdout == "web: hello client\n"


@pytest.mark.parametrize("workload", ["web", "client"])
def test_only_tls_is_on_the_wire(demo, workload):
    with Capture(demo.machine.namespace, demo.wire(workload)) as capture:
        for _ in range(3):
            assert demo.curl("--header", f"X-Marker: {MARKER}", f"http://web/{MARKER}").returncode == 0
    assert_only_tls(capture, MARKER.encode())
    assert not capture.holds(b"hello client")


def test_a_stranger_is_refused(demo):
    """By the pod's address and by the Service, in plain text and by TLS without a certificate."""
    for address in (f"{ADDRESSES['web']}:8080", demo.web.address):
        plain = demo.stranger(f"http://{address}/stranger")
        assert plain.returncode in CURL_CUT_OFF and plain.stdout == "", plain
    secure = demo.stranger("--insecure", f"https://{ADDRESSES['web']}:8080/stranger")
    assert secure.returncode in CURL_CUT_OFF and secure.stdout == "", secure
    assert demo.curl("http://web/known").returncode == 0
    seen = demo.logs("web", "web")
    assert "/known" in seen and "/stranger" not in seen


def test_the_sidecars_hold_one_capability_and_cannot_write(demo):
    for workload in ADDRESSES:
        process = status(demo.process(workload, "sidecar"))
        assert set(process["Uid"].split()) == set(process["Gid"].split()) == {"1337"}
        assert int(process["CapEff"], 16) == int(process["CapPrm"], 16) == NET_RAW
        assert int(process["CapAmb"], 16) == 0 and process["NoNewPrivs"] == "1" and process["Seccomp"] == "2"
        assert demo.inspect(workload, "sidecar", "{{.HostConfig.ReadonlyRootfs}}") == "true"


def test_the_init_container_did_its_work_with_what_the_manifest_adds(demo):
    for workload in ADDRESSES:
        assert demo.state(workload, "sidecar-init") in ENDED
        assert demo.inspect(workload, "sidecar-init", "{{.State.ExitCode}}") == "0"
        added = json.loads(demo.inspect(workload, "sidecar-init", "{{json .EffectiveCaps}}"))
        assert sorted(added) == ["CAP_NET_ADMIN", "CAP_NET_RAW"]


def test_the_rules_verify_from_inside(demo):
    for workload in ADDRESSES:
        done = demo.sidecar_in(workload, "init", "--verify")
        assert done.returncode == 0, done.stderr


def test_missing_rules_do_not_verify_and_come_back(demo):
    assert demo.sidecar_in("client", "init", "--remove").returncode == 0
    try:
        assert demo.sidecar_in("client", "init", "--verify").returncode == 1
    finally:
        assert demo.sidecar_in("client", "init").returncode == 0
    assert demo.sidecar_in("client", "init", "--verify").returncode == 0
    demo.wait_answered()


def test_every_probe_of_the_manifest_succeeds_from_the_node(demo):
    assert "/app-health/web/livez" in demo.probes("web")
    for workload in ADDRESSES:
        for path in demo.probes(workload):
            wait_until(lambda: demo.ask(workload, path)[0] == 200, f"{workload} answers {path}")


def test_the_probe_of_a_stopped_application_fails(demo):
    process = demo.process("web", "web")
    os.kill(process, signal.SIGSTOP)
    workers = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        assert demo.ask("web", "/app-health/web/livez")[0] not in (0, 200)
        assert demo.ask("web", "/live")[0] == 200
    finally:
        for stopped in [process, *workers]:
            os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: demo.ask("web", "/app-health/web/livez")[0] == 200, "the probe succeeds again")


def test_doctor_in_the_sidecar_finds_nothing_wrong(demo):
    done = demo.machine.podman("exec", "web-sidecar", "sidecar", "doctor", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_probes_without_a_shell(demo):
    done = demo.machine.podman("exec", "web-sidecar", "sidecar", "probe", "ready", check=False)
    assert done.returncode == 0, done.stderr


def test_a_rotated_secret_is_taken_up(demo):
    before = demo.ask("web", "/certs")[1]
    demo.volumes["web"].swap(demo.secret("web"))
    wait_until(lambda: demo.ask("web", "/certs")[1] != before, "the new certificate is in use", seconds=30)
    assert demo.curl("http://web/").stdout == "web: hello client\n"


@pytest.mark.parametrize("workload", ["web", "client"])
def test_a_killed_sidecar_fails_closed_and_recovers(demo, workload):
    """Neither side falls back to plain text while its sidecar is gone."""
    os.kill(demo.process(workload, "sidecar"), signal.SIGKILL)
    wait_until(lambda: demo.state(workload, "sidecar") in ENDED, "the sidecar is gone")
    try:
        with Capture(demo.machine.namespace, demo.wire(workload)) as capture:
            done = demo.curl(f"http://web/{MARKER}", seconds=2)
        assert done.returncode != 0 and done.stdout == "", done
        if workload == "web":
            assert demo.stranger(f"http://{ADDRESSES['web']}:8080/", seconds=2).returncode == CURL_TIMED_OUT
        assert not capture.holds(MARKER.encode())
    finally:
        # What restartPolicy Always does.
        demo.machine.podman("start", f"{workload}-sidecar")
        demo.wait_ready(workload)
    demo.wait_answered()
