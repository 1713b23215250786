"""`sidecar init` against a real kernel: what it writes, that it is idempotent, that it notices and removes everything."""

import json
import os
import re
import subprocess

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="programs nftables in a network namespace: runs as root")

EXCLUSIONS = {
    "INCLUDE_INBOUND_PORTS": "80-90,8080", "EXCLUDE_INBOUND_PORTS": "85", "EXCLUDE_OUTBOUND_UIDS": "7,8",
    "INCLUDE_OUTBOUND_CIDRS": "10.0.0.0/9,fd00::/8", "EXCLUDE_OUTBOUND_CIDRS": "10.3.0.0/17,fd12::/16",
    "INCLUDE_OUTBOUND_PORTS": "80,90-99", "EXCLUDE_OUTBOUND_PORTS": "53,91",
    "CAPTURE_MARK": "0x20/0xf0", "PROXY_MARK": "0x30/0xf0", "CAPTURE_TABLE": "77",
}


@pytest.fixture
def namespace():
    name = f"scinit-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def inside(namespace, *command, environment=None, check=True):
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *command], env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True, text=True, timeout=30, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def ruleset(namespace):
    """nft's own reading of the kernel, without counters."""
    return re.sub(r" packets \d+ bytes \d+", "", inside(namespace, "nft", "list", "ruleset").stdout)


def routing(namespace):
    return [inside(namespace, "ip", family, *what).stdout
            for family in ("-4", "-6") for what in (("rule",), ("route", "show", "table", "all"))]


@needs_root
def test_twice_verify_and_remove_leave_nothing_behind(binary, namespace):
    before = routing(namespace)
    for _ in range(2):
        inside(namespace, binary, "init")
    inside(namespace, binary, "init", "--verify")
    for family, text in zip(("-4", "-6"), ("127.0.0.0/8", "::1")):
        rules = inside(namespace, "ip", family, "rule").stdout
        assert rules.count("fwmark 0x5c0/0xfff lookup 1480") == 1
        assert rules.count(f"from {text} iif lo lookup 1480") == 1
        assert "local default dev lo" in inside(namespace, "ip", family, "route", "show", "table", "1480").stdout
    for _ in range(2):
        inside(namespace, binary, "init", "--remove")
    assert ruleset(namespace) == ""
    assert routing(namespace) == before


@needs_root
@pytest.mark.parametrize("environment", [{}, EXCLUSIONS], ids=["defaults", "exclusions"])
def test_the_kernel_holds_what_dry_run_prints(binary, namespace, environment):
    inside(namespace, binary, "init", environment=environment)
    applied = ruleset(namespace)
    routes = routing(namespace)
    inside(namespace, binary, "init", "--remove", environment=environment)

    plan = json.loads(inside(namespace, binary, "init", "--dry-run", "--output", "json", environment=environment).stdout)
    subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=plan["nft"], text=True, check=True)
    for line in plan["ip"]:
        inside(namespace, *line.split())
    assert ruleset(namespace) == applied
    assert [re.sub(r" proto \w+", "", text) for text in routing(namespace)] == \
        [re.sub(r" proto \w+", "", text) for text in routes]


@needs_root
def test_every_deleted_rule_is_noticed(binary, namespace):
    inside(namespace, binary, "init")
    count = len(handles(namespace))
    assert count == 12
    for index in range(count):
        inside(namespace, "nft", "delete", "rule", "inet", "sidecar", "prerouting", "handle", handles(namespace)[index])
        done = inside(namespace, binary, "init", "--verify", check=False)
        assert done.returncode == 1
        assert "in the chain prerouting the rule `" in done.stderr
        inside(namespace, binary, "init")


def handles(namespace):
    """The handles of the inbound chain's rules, in order."""
    listing = inside(namespace, "nft", "-a", "list", "chain", "inet", "sidecar", "prerouting").stdout
    return re.findall(r"# handle (\d+)$", listing.split("policy accept;")[1], re.M)


@needs_root
@pytest.mark.parametrize("damage, said", [
    (("ip", "-4", "rule", "del", "priority", "1480"), "IPv4 policy rule with priority 1480 is missing"),
    (("ip", "-6", "rule", "del", "priority", "1481"), "IPv6 policy rule with priority 1481 is missing"),
    (("ip", "-6", "route", "flush", "table", "1480"), "IPv6 route"),
    (("ip", "-4", "route", "add", "unreachable", "10.7.0.0/16", "table", "1480"), "1 IPv4 routes in table 1480"),
    (("ip", "-6", "route", "add", "unreachable", "fd07::/16", "table", "1480"), "1 IPv6 routes in table 1480"),
    (("ip", "-4", "rule", "add", "priority", "1481", "blackhole"), "not in the plan"),
    # The kernel takes ours first when it is told to delete this one.
    (("ip", "-4", "rule", "add", "priority", "1480", *"fwmark 0x5c0/0xfff iif eth9 lookup 1480".split()), "not in the plan"),
    (("nft", "add table inet sidecar { flags dormant; }"), "is dormant"),
    (("ip", "-4", "rule", "add", "priority", "1480", "fwmark", "0x1", "lookup", "9"), "not in the plan"),
    (("nft", "add", "rule", "inet", "sidecar", "output", "accept"), "not in the plan"),
    (("nft", "insert", "rule", "inet", "sidecar", "output", "meta", "l4proto", "!=", "tcp", "accept"), "another order or repeated"),
    (("nft", "flush", "chain", "inet", "sidecar", "output"), "missing or changed"),
    (("nft", "delete", "table", "inet", "sidecar"), "the table inet sidecar is missing"),
])
def test_what_differs_is_said(binary, namespace, damage, said):
    inside(namespace, binary, "init")
    inside(namespace, *damage)
    done = inside(namespace, binary, "init", "--verify", check=False)
    assert done.returncode == 1
    assert said in done.stderr
    inside(namespace, binary, "init")
    inside(namespace, binary, "init", "--verify")


@needs_root
@pytest.mark.parametrize("family, rule, said", [
    ("-4", "lookup main", True), ("-6", "lookup main", True), ("-4", "fwmark 0x5c0/0xf00 lookup main", True),
    ("-4", "blackhole", True), ("-4", "iif lo lookup main", True),
    # Not for captured packets, or only for some: doctor warns of those.
    ("-4", "fwmark 0x5c1/0xfff lookup main", False), ("-4", "lookup local", False), ("-4", "iif eth9 lookup main", False),
    ("-4", "from 10.0.0.0/8 lookup main", False), ("-6", "lookup main suppress_prefixlength 0", False),
])
def test_a_policy_rule_that_is_asked_first_is_noticed_and_left_to_its_owner(binary, namespace, family, rule, said):
    inside(namespace, "ip", family, "rule", "add", "priority", "100", *rule.split())
    inside(namespace, binary, "init")
    done = inside(namespace, binary, "init", "--verify", check=False)
    assert (done.returncode == 1) == said
    assert ("policy rule with priority 100 is asked before those of capture" in done.stderr) == said
    assert "100:" in inside(namespace, "ip", family, "rule").stdout


@needs_root
def test_however_many_policy_rules_there_are(binary, namespace):
    batch = "".join(f"rule add priority {number} from 10.{number % 256}.0.0/16 lookup main\n" for number in range(100, 1400))
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input=batch, text=True, check=True)
    inside(namespace, binary, "init")
    inside(namespace, binary, "init", "--verify")


@needs_root
def test_other_settings_replace_the_old_ones(binary, namespace):
    inside(namespace, binary, "init")
    inside(namespace, binary, "init", environment=EXCLUSIONS)
    inside(namespace, binary, "init", "--verify", environment=EXCLUSIONS)
    assert inside(namespace, binary, "init", "--verify", check=False).returncode == 1
    rules = inside(namespace, "ip", "-4", "rule").stdout
    assert "lookup 77" in rules and "lookup 1480" not in rules


@needs_root
def test_other_tables_are_left_alone(binary, namespace):
    inside(namespace, "nft", "add table inet other; add chain inet other c; add rule inet other c accept")
    before = ruleset(namespace)
    inside(namespace, binary, "init")
    inside(namespace, binary, "init", "--remove")
    assert ruleset(namespace) == before


@needs_root
def test_net_admin_alone_is_enough_and_its_absence_is_said(binary, namespace):
    confined = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all"]
    inside(namespace, *confined, "--bounding-set=-all,+net_admin", binary, "init")
    done = inside(namespace, *confined, "--bounding-set=-all,+net_raw", binary, "init", check=False)
    assert done.returncode == 77
    assert "NET_ADMIN" in done.stderr


def test_dry_run_needs_no_privilege(binary):
    command = [binary, "init", "--dry-run"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", *command]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "tproxy to :15006" in done.stdout
    assert "ip -6 rule add priority 1480 fwmark 0x5c0/0xfff lookup 1480" in done.stdout


def test_options_that_exclude_each_other_are_wrong_usage(binary):
    done = subprocess.run([binary, "init", "--verify", "--remove"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
