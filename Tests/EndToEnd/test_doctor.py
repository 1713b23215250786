"""`sidecar doctor` names what is wrong: faults are planted one by one, and each must be found and have a fix."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import needs_root
from kit.pod import APP_UID, PROXY_UID, Pod
from kit.process import wait_until
from kit.proxy import Proxy, bare_environment, run_once
from kit.transparent import PodPair


@dataclass
class Patient:
    """A pod with its sidecar, and the settings that both `run` and `doctor` see."""

    pair: PodPair
    pod: Pod
    binary: Path
    settings: dict[str, str]

    def doctor(self, *prefix: str, binary: Path | None = None, **settings: str) -> "Report":
        command = self.pod.command(*prefix, str(binary or self.binary), "doctor", "--output", "json")
        done = subprocess.run(
            command, env=bare_environment() | self.settings | settings, capture_output=True, text=True, timeout=30)
        assert done.stderr == "", done.stderr
        return Report(done.returncode, json.loads(done.stdout))

    def init(self, **settings: str) -> None:
        done = self.pod.init(self.binary, **(self.settings | settings))
        assert done.returncode == 0, done.stderr

    def nft(self, command: str) -> None:
        done = self.pod.run("nft", command)
        assert done.returncode == 0, done.stderr

    def ip(self, *arguments: str) -> None:
        done = self.pod.run("ip", *arguments)
        assert done.returncode == 0, done.stderr


@dataclass
class Report:
    code: int
    document: dict

    def findings(self, severity: str, area: str | None = None) -> list[dict]:
        return [finding for finding in self.document["findings"]
                if finding["severity"] == severity and area in (None, finding["area"])]

    def assert_problem(self, area: str, *words: str) -> None:
        """One problem of the area says all the words, has a fix, and the command fails."""
        assert self.code == 1 and self.document["ok"] is False
        found = [finding for finding in self.findings("problem", area)
                 if all(word in finding["sentence"] + " " + finding["fix"] for word in words)]
        assert found, f"no problem of {area} with {words} in {self.document['findings']}"


@pytest.fixture(scope="module")
def patient(binary, scratch):
    needs_root()
    pair = PodPair(scratch, binary)
    try:
        home = pair.identity(pair.a)
        settings = {
            "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "SERVER_CERT_DIR": str(home), "CLIENT_CERT_DIR": str(home),
            "CA_DIR": str(pair.ca_directory), "WORKER_THREADS": "1", "POD_NAME": pair.a.name,
        }
        pair.start(pair.a, home)
        yield Patient(pair, pair.a, binary, settings)
    finally:
        pair.remove()


@pytest.fixture
def healed(patient):
    """The patient, whose rules are written anew after the test."""
    yield patient
    patient.init()
    assert patient.doctor().code == 0


# A healthy pod


def test_a_healthy_pod_has_no_problem_and_nothing_is_left_unlooked_at(patient):
    report = patient.doctor()
    assert report.code == 0 and report.document["ok"] is True
    assert {finding["severity"] for finding in report.document["findings"]} == {"ok"}
    areas = {finding["area"] for finding in report.document["findings"]}
    assert areas == {"configuration", "clock", "certificates", "readiness", "kernel", "sandbox", "process", "capabilities", "sockets", "users",
                     "rules", "routing", "counters", "other-rules", "sysctls"}


def test_text_has_a_line_for_each_finding_and_a_sum(patient):
    done = subprocess.run(
        patient.pod.command(str(patient.binary), "doctor"), env=bare_environment() | patient.settings,
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert re.match(r"ok +rules +the table inet sidecar holds exactly the rules of the plan$",
                    next(line for line in lines if " rules " in line))
    assert lines[-1] == "no problem; warnings: 0, not looked at: 0"


def test_without_privilege_what_cannot_be_read_is_said_and_not_called_ok(patient):
    report = patient.doctor(*unprivileged(PROXY_UID, "net_raw"))
    assert report.code == 0
    assert {finding["area"] for finding in report.findings("unknown")} == {"rules", "other-rules"}
    assert all("NET_ADMIN" in finding["sentence"] or "root" in finding["sentence"]
               for finding in report.findings("unknown"))
    assert not report.findings("ok", "rules") and not report.findings("ok", "other-rules")
    assert report.findings("ok", "routing") and report.findings("ok", "sockets")
    assert report.findings("ok", "capabilities"), "what /proc tells everybody needs no privilege"


def unprivileged(uid: int, capabilities: str, *, ambient: bool = False) -> list[str]:
    """Another user, who may have these capabilities, and with `ambient` has them."""
    kept = f"-all,+{capabilities}" if capabilities else "-all"
    held = kept if ambient else "-all"
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", f"--inh-caps={held}",
            f"--ambient-caps={held}", "--bounding-set", kept]


# Planted faults: rules and routes


def delete_rule(patient: Patient, chain: str, text: str) -> None:
    listing = patient.pod.run("nft", "-a", "list", "chain", "inet", "sidecar", chain).stdout
    handle = re.search(rf"{re.escape(text)}.*# handle (\d+)", listing)
    assert handle, listing
    patient.nft(f"delete rule inet sidecar {chain} handle {handle[1]}")


RULE_FAULTS = {
    "the first rule of all": (
        lambda patient: delete_rule(patient, "prerouting", "meta l4proto != tcp accept"),
        "rules", ["chain prerouting", "meta l4proto != tcp accept", "missing", "sidecar init"]),
    "the rule that lets the proxy's own packets go": (
        lambda patient: delete_rule(patient, "output", "meta mark & 0x00000fff == 0x000005c1"),
        "rules", ["meta mark & 0xfff == 0x5c1", "missing"]),
    "the whole table": (
        lambda patient: patient.nft("delete table inet sidecar"),
        "rules", ["the table inet sidecar is missing", "sidecar init"]),
    "a rule that should not be there": (
        lambda patient: patient.nft("insert rule inet sidecar output accept"),
        "rules", ["chain output", "1 rules", "not in the plan"]),
    "a dormant table": (
        lambda patient: patient.nft("add table inet sidecar { flags dormant; }"),
        "rules", ["the table inet sidecar is dormant", "sidecar init"]),
    "a route of another program": (
        lambda patient: patient.ip("-6", "route", "add", "unreachable", "fd99::/16", "table", "1480"),
        "routing", ["1 IPv6 routes in table 1480", "sidecar init"]),
    "the IPv6 policy rule": (
        lambda patient: patient.ip("-6", "rule", "del", "priority", "1480"),
        "routing", ["IPv6 policy rule with priority 1480 is missing", "sidecar init"]),
    "the IPv6 route": (
        lambda patient: patient.ip("-6", "route", "flush", "table", "1480"),
        "routing", ["IPv6 route", "table 1480", "missing"]),
    "the IPv4 route": (
        lambda patient: patient.ip("-4", "route", "flush", "table", "1480"),
        "routing", ["IPv4 route", "missing"]),
}


@pytest.mark.parametrize("fault", RULE_FAULTS)
def test_what_is_missing_from_the_kernel_is_named(healed, fault):
    plant, area, words = RULE_FAULTS[fault]
    plant(healed)
    healed.doctor().assert_problem(area, *words)


@pytest.mark.parametrize("fault", ["the IPv6 policy rule", "the IPv6 route"])
def test_missing_ipv6_routing_is_named_without_any_privilege(healed, fault):
    plant, area, words = RULE_FAULTS[fault]
    plant(healed)
    healed.doctor(*unprivileged(PROXY_UID, "")).assert_problem(area, *words)


@pytest.mark.parametrize("command", ["delete table inet sidecar", "add table inet sidecar { flags dormant; }"])
def test_rules_that_may_not_be_read_are_heard(healed, command):
    """As in the proxy's own container, which has NET_RAW."""
    heard = healed.doctor(*unprivileged(PROXY_UID, "net_raw", ambient=True))
    assert "refused a test datagram" in heard.findings("ok", "rules")[0]["sentence"]
    assert heard.findings("unknown", "rules"), "which rules they are is not known"
    healed.nft(command)
    silent = healed.doctor(*unprivileged(PROXY_UID, "net_raw", ambient=True))
    silent.assert_problem("rules", "not in force", "sidecar init")


@pytest.mark.parametrize("rule, severity, words", [
    ("lookup main", "problem", "takes captured packets too"), ("from 10.0.0.0/8 lookup main", "warning", "may take captured packets")])
def test_a_policy_rule_that_is_asked_first_is_named(patient, rule, severity, words):
    patient.ip("rule", "add", "priority", "100", *rule.split())
    try:
        [finding] = patient.doctor().findings(severity, "routing")
        assert "priority 100" in finding["sentence"] and words in finding["sentence"]
        assert "ip -4 rule del priority 100" in finding["fix"]
    finally:
        patient.ip("rule", "del", "priority", "100")


# Planted faults: other meshes

OTHER_TABLES = {
    "Istio": "add table ip nat; add chain ip nat ISTIO_OUTPUT; "
             "add chain ip nat OUTPUT { type nat hook output priority -100; }; add rule ip nat OUTPUT jump ISTIO_OUTPUT",
    "Linkerd": "add table ip nat; add chain ip nat PROXY_INIT_REDIRECT; "
               "add rule ip nat PROXY_INIT_REDIRECT tcp dport 80 redirect to :4143",
    "Kuma": "add table ip nat; add chain ip nat KUMA_MESH_OUTBOUND",
    "kube-proxy": "add table ip nat; add chain ip nat KUBE-SERVICES",
}


@pytest.mark.parametrize("mesh", OTHER_TABLES)
def test_the_table_of_another_mesh_is_named(patient, mesh):
    patient.nft(OTHER_TABLES[mesh])
    try:
        patient.doctor().assert_problem("other-rules", "table ip nat", mesh)
    finally:
        patient.nft("delete table ip nat")


def test_a_table_that_redirects_marks_or_drops_is_a_warning_and_one_that_filters_is_none(patient):
    patient.nft("add table ip6 mine; add chain ip6 mine out { type nat hook output priority -100; }; "
                "add rule ip6 mine out tcp dport 80 redirect to :9999")
    try:
        report = patient.doctor()
        assert report.code == 0
        [warning] = report.findings("warning", "other-rules")
        assert "table ip6 mine" in warning["sentence"] and "nft list table ip6 mine" in warning["fix"]
    finally:
        patient.nft("delete table ip6 mine")
    for rule, words in (("meta mark set 1", "sets marks"), ("meta l4proto tcp counter drop", "drops whatever")):
        patient.nft("add table ip6 mine; add chain ip6 mine pre { type filter hook prerouting priority -200; }; "
                    f"add rule ip6 mine pre {rule}")
        try:
            [warning] = patient.doctor().findings("warning", "other-rules")
            assert words in warning["sentence"]
        finally:
            patient.nft("delete table ip6 mine")
    patient.nft("add table ip filter; add chain ip filter input { type filter hook output priority 0; }; "
                "add rule ip filter input tcp dport 1 drop")
    try:
        assert not patient.doctor().findings("warning")
    finally:
        patient.nft("delete table ip filter")


# Planted faults: marks


def test_a_capture_mark_that_init_did_not_use_is_named(patient):
    report = patient.doctor(CAPTURE_MARK="0x5c2/0xfff")
    report.assert_problem("routing", "0x5c0/0xfff", "CAPTURE_MARK is 0x5c2/0xfff")
    report.assert_problem("rules", "CAPTURE_MARK is 0x5c2/0xfff")


def test_a_capture_mark_that_init_did_not_use_is_named_without_privilege(patient):
    report = patient.doctor(*unprivileged(PROXY_UID, ""), CAPTURE_MARK="0x5c2/0xfff")
    report.assert_problem("routing", "0x5c0/0xfff", "CAPTURE_MARK is 0x5c2/0xfff")


def test_a_proxy_mark_that_run_did_not_use_is_named(healed):
    healed.init(PROXY_MARK="0x5c3/0xfff")
    healed.doctor(PROXY_MARK="0x5c3/0xfff").assert_problem("sockets", "15006", "mark 0x5c1", "PROXY_MARK (0x5c3/0xfff)")


# Planted faults: users


def test_an_application_with_the_user_of_the_proxy_is_named(patient):
    app = patient.pod.start("impostor", patient.pod.command("sleep", "60", uid=PROXY_UID))
    try:
        wait_until(lambda: uid_of(app.pid) == PROXY_UID, "the application has become the user")
        patient.doctor().assert_problem("users", f"process {app.pid} (sleep)", "PROXY_UID")
    finally:
        app.stop()


def test_an_application_of_another_user_is_no_problem(patient):
    app = patient.pod.start("honest", patient.pod.command("sleep", "60", uid=APP_UID))
    try:
        wait_until(lambda: uid_of(app.pid) == APP_UID, "the application has become the user")
        assert not patient.doctor().findings("problem")
    finally:
        app.stop()


def test_an_application_of_another_container_is_known_by_its_sockets(patient):
    """Containers of a pod share the network, seldom the process ids."""
    listen = ("import os, socket, time\n"
              f"os.setgroups([]); os.setresgid({PROXY_UID}, {PROXY_UID}, {PROXY_UID}); "
              f"os.setresuid({PROXY_UID}, {PROXY_UID}, {PROXY_UID})\n"
              "s = socket.create_server(('0.0.0.0', 5999)); print('{}', flush=True); time.sleep(60)")
    app = patient.pod.start("impostor", patient.pod.command(sys.executable, "-c", listen))
    try:
        app.wait_for_line("{}")
        report = patient.doctor("unshare", "--pid", "--fork", "--mount-proc")
        report.assert_problem("users", "port 5999", "PROXY_UID")
        assert report.findings("unknown", "process"), "the proxy's process cannot be seen either"
    finally:
        app.stop()


def uid_of(pid: int) -> int:
    return int(re.search(r"^Uid:\s+\d+\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


# Planted faults: the proxy, its capability, its certificates


@pytest.fixture
def fresh(fresh_pods, binary):
    """A pod of the test's own, with rules and certificates, and no proxy."""
    home = fresh_pods.identity(fresh_pods.a)
    settings = {
        "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "SERVER_CERT_DIR": str(home), "CLIENT_CERT_DIR": str(home),
        "CA_DIR": str(fresh_pods.ca_directory), "WORKER_THREADS": "1",
    }
    patient = Patient(fresh_pods, fresh_pods.a, binary, settings)
    patient.init()
    return patient


def test_a_proxy_that_does_not_run_is_named_and_what_it_let_drop_is_counted(fresh):
    fresh.pod.curl("http://10.77.0.9/", seconds=1)
    report = fresh.doctor()
    report.assert_problem("process", "the proxy is not running")
    report.assert_problem("sockets", "nobody listens on port 15006 (INBOUND_CAPTURE_PORT)")
    report.assert_problem("sockets", "nobody listens on port 8081 (MONITOR_PORT)")
    [dropped] = report.findings("warning", "counters")
    assert re.match(r"[1-9]\d* outbound packets were dropped", dropped["sentence"])


def test_a_missing_capability_is_named(fresh):
    fresh.doctor(*unprivileged(PROXY_UID, "net_admin")).assert_problem("capabilities", "NET_RAW", "capabilities.add")


def test_a_missing_file_capability_is_named(fresh):
    fresh.doctor(*unprivileged(PROXY_UID, "net_raw")).assert_problem("capabilities", "NET_RAW", "setcap cap_net_raw+p")


def test_an_expired_leaf_is_named(fresh):
    authority = fresh.pair.authority
    home = fresh.pair.write("expired", authority.expired())
    fresh.doctor(CLIENT_CERT_DIR=str(home)).assert_problem("certificates", f"{home}/tls.crt", "expired at")


def test_another_program_on_a_capture_port_is_named(fresh):
    fresh.pod.start_app("--http", "15006")
    fresh.doctor().assert_problem("sockets", "15006", "IP_TRANSPARENT")


def test_a_sysctl_that_takes_the_mark_away_is_named(fresh):
    assert fresh.pod.run("sysctl", "-w", "net.ipv4.tcp_fwmark_accept=1").returncode == 0
    fresh.doctor().assert_problem("sysctls", "net.ipv4.tcp_fwmark_accept=1")


# What the running proxy says of itself


@pytest.fixture
def lone(start_proxy, binary):
    """A proxy of the explicit mode and what doctor says of it; other proxies of this machine may run beside it."""

    @dataclass
    class Lone:
        proxy: Proxy

        def doctor(self, **settings: str) -> Report:
            # The environment of the proxy itself, as `kubectl exec` gives it.
            done = run_once(binary, ["doctor", "--output", "json"], dict(self.proxy.process.environment) | settings)
            return Report(done.returncode, json.loads(done.stdout))

    return lambda **settings: Lone(start_proxy(**settings))


def test_a_proxy_that_is_not_ready_is_named_with_its_reasons(lone):
    patient = lone()
    assert patient.doctor().findings("ok", "readiness")
    assert patient.proxy.monitor("/drain", "POST")[0] == 200
    patient.doctor().assert_problem("readiness", "the proxy is not ready: draining")


def test_a_reload_that_failed_is_a_warning(lone, identities):
    patient = lone()
    key = identities.server_directory / "tls.key"
    old = key.read_bytes()
    try:
        key.write_bytes(b"nothing")
        wait_until(lambda: "not reloaded" in patient.proxy.monitor("/ready")[1], "the reload fails")
        [warning] = patient.doctor().findings("warning", "readiness")
        assert "certificates not reloaded" in warning["sentence"] and "tls.key" in warning["sentence"]
    finally:
        key.write_bytes(old)


def test_a_proxy_that_is_stopped_is_named(lone):
    patient = lone()
    os.kill(patient.proxy.process.pid, signal.SIGSTOP)
    try:
        patient.doctor().assert_problem("readiness", f"127.0.0.1:{patient.proxy.monitor_port}", "no answer within 3 s")
    finally:
        os.kill(patient.proxy.process.pid, signal.SIGCONT)


def test_another_program_on_the_monitor_port_is_named(binary, app, identities):
    settings = {"MONITOR_PORT": str(app["http"]), "SERVER_CERT_DIR": str(identities.server_directory),
                "CA_DIR": str(identities.ca_directory)}
    done = run_once(binary, ["doctor", "--output", "json"], settings)
    Report(done.returncode, json.loads(done.stdout)).assert_problem("readiness", "no sidecar")


def test_an_environment_that_is_not_that_of_the_proxy_is_a_warning(lone):
    patient = lone(IDLE_TIMEOUT_SECS="77")
    assert not patient.doctor().findings("warning", "configuration")
    [warning] = patient.doctor(IDLE_TIMEOUT_SECS="78").findings("warning", "configuration")
    assert "IDLE_TIMEOUT_SECS" in warning["sentence"] and "TLS_LISTEN_PORT" not in warning["sentence"]


def test_which_fences_stand_is_said_by_the_proxy_itself(lone):
    fenced = lone().doctor()
    [own] = [finding for finding in fenced.findings("ok", "sandbox") if "closed itself in" in finding["sentence"]]
    assert "few files" in own["sentence"]
    [gap] = [finding for finding in lone(SANDBOX="false").doctor().findings("warning", "sandbox")
             if "SANDBOX=false" in finding["sentence"]]
    assert "docs/security.md" in gap["fix"]


def test_without_a_monitor_port_nobody_can_be_asked(binary, identities):
    settings = {"MONITOR_PORT": "0", "SERVER_CERT_DIR": str(identities.server_directory),
                "CA_DIR": str(identities.ca_directory)}
    done = run_once(binary, ["doctor", "--output", "json"], settings)
    [unknown] = Report(done.returncode, json.loads(done.stdout)).findings("unknown", "readiness")
    assert "MONITOR_PORT=0" in unknown["sentence"]


# Without capture


def test_rules_that_nobody_serves_are_named_in_the_explicit_mode(fresh):
    fresh.doctor(TRANSPARENT="false", TLS_LISTEN_PORT="8443").assert_problem("rules", "TRANSPARENT is not true")
    unread = fresh.doctor(*unprivileged(PROXY_UID, ""), TRANSPARENT="false", TLS_LISTEN_PORT="8443")
    unread.assert_problem("rules", "TRANSPARENT is not true")


def test_the_explicit_mode_needs_no_privilege_and_no_rules(lone):
    findings = lone().doctor().document["findings"]
    # Other proxies of this machine may run beside it and differ: only what is said of this one counts.
    about = [finding for finding in findings
             if finding["area"] in ("configuration", "certificates", "readiness", "sockets")]
    assert {finding["severity"] for finding in about} == {"ok"}, about


def test_a_wrong_setting_is_named_and_the_rest_is_not_called_ok(binary):
    done = run_once(binary, ["doctor", "--output", "json"], {"TRANSPARENT": "perhaps", "CAPTURE_TABLE": "254"})
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    problems = [finding["sentence"] for finding in findings if finding["severity"] == "problem"]
    assert any("TRANSPARENT=perhaps" in sentence for sentence in problems)
    assert any("CAPTURE_TABLE=254" in sentence for sentence in problems)
    assert [finding["severity"] for finding in findings].count("unknown") == 1
    assert not any(finding["severity"] == "ok" for finding in findings)


# /ready


def test_ready_says_what_capture_lacks_and_recovers(fresh):
    pod = fresh.pod
    fresh.ip("-6", "rule", "del", "priority", "1480")
    command = pod.command(str(fresh.binary), "run", uid=PROXY_UID, capabilities="net_raw")
    sidecar = pod.start("sidecar", command, bare_environment() | fresh.settings)
    wait_until(lambda: pod.monitor("/live")[0] == 200, "the proxy lives")
    wait_until(lambda: pod.monitor("/ready") == (
        503, "capture: the IPv6 policy rule with priority 1480 is missing\n"), "/ready names the missing rule")
    assert pod.monitor("/live")[0] == 200
    fresh.init()
    wait_until(lambda: pod.monitor("/ready")[0] == 200, "/ready recovers")
    assert "IPv6 policy rule with priority 1480 is missing" in sidecar.stdout
    assert "the rules stand again" in sidecar.stdout


def test_ready_notices_what_is_lost_while_the_proxy_runs(fresh):
    """It looks every half minute, so this takes as long."""
    sidecar = fresh.pod.run_sidecar(fresh.binary, bare_environment() | fresh.settings | {"MONITOR_PORT": "8081"})
    fresh.ip("-4", "route", "flush", "table", "1480")
    status, text = wait_until(
        lambda: (answer := fresh.pod.monitor("/ready"))[0] != 200 and answer, "/ready turns", seconds=40)
    assert (status, text) == (503, "capture: the IPv4 route `local default dev lo table 1480` is missing\n")
    assert sidecar.is_running
