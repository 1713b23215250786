"""When the route of captured packets is lost, they go nowhere: never out in plain text by the route that is left."""

from __future__ import annotations

import pytest

from kit.capture import Capture
from kit.pod import PROXY_UID, url
from kit.process import wait_until
from kit.transparent import ALL_PORTS, HTTP

MARKER = "route-secret-71c4"

LOSSES = {
    "the table is flushed": [
        ["ip", "-4", "route", "flush", "table", "1480"], ["ip", "-6", "route", "flush", "table", "1480"]],
    "lo goes down and up again": [["ip", "link", "set", "lo", "down"], ["ip", "link", "set", "lo", "up"]],
    "the policy rules to the table are deleted": [
        ["ip", "-4", "rule", "del", "priority", "1480"], ["ip", "-6", "rule", "del", "priority", "1480"]],
    "another program's policy rule is asked first": [
        ["ip", "-4", "rule", "add", "priority", "100", "lookup", "main"],
        ["ip", "-6", "rule", "add", "priority", "100", "lookup", "main"]],
    "another program puts a route into the table": [
        ["ip", "-4", "route", "add", "10.77.0.0/16", "dev", "eth0", "table", "1480"],
        ["ip", "-6", "route", "add", "fd77::/16", "dev", "eth0", "table", "1480"]],
}


@pytest.fixture
def pods(fresh_pods):
    """`a` has a sidecar; `stranger` would answer in plain text whoever asks it."""
    fresh_pods.stranger.start_app(*ALL_PORTS)
    return fresh_pods


def expect_silence(pods, address) -> None:
    with Capture(pods.network.namespace, pods.stranger.port) as capture:
        done = pods.a.curl(url(address, HTTP, f"/echo/{MARKER}"), seconds=2)
    assert done.returncode != 0, f"left in plain text: {done.stdout}"
    assert not capture.holds(MARKER.encode())


@pytest.mark.parametrize("loss", LOSSES)
def test_captured_packets_without_their_route_do_not_leave(pods, loss):
    assert pods.a.curl(url(pods.stranger.ipv4, HTTP, "/echo"), seconds=2).returncode == 0, "the way is open before"
    pods.start(pods.a)
    for command in LOSSES[loss]:
        done = pods.a.run(*command)
        assert done.returncode == 0, done.stderr
    for address in pods.stranger.addresses:
        expect_silence(pods, address)


@pytest.mark.parametrize("command", ["delete table inet sidecar", "add table inet sidecar { flags dormant; }"])
def test_a_proxy_that_may_not_read_the_rules_notices_that_they_are_gone(pods, command):
    """With NET_RAW alone: it sends a datagram that they refuse."""
    sidecar = pods.start(pods.a)
    assert pods.a.monitor("/ready")[0] == 200
    assert pods.a.run("nft", command).returncode == 0
    status, text = wait_until(
        lambda: (answer := pods.a.monitor("/ready"))[0] != 200 and answer, "/ready turns", seconds=10)
    assert status == 503 and text.startswith("capture: the capture rules are not in force")
    assert pods.a.init(pods.binary, PROXY_UID=str(PROXY_UID)).returncode == 0
    wait_until(lambda: pods.a.monitor("/ready")[0] == 200, "/ready recovers")
    assert "the rules stand again" in sidecar.stdout


def test_a_pod_without_ipv6_is_captured_and_one_with_it_on_eth0_only_does_not_leak(pods):
    pod = pods.a
    assert pod.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1").returncode == 0
    pods.start(pod)
    expect_silence(pods, pods.stranger.ipv6)
    pods.start(pods.b)
    assert pod.curl(url(pods.b.ipv4, HTTP, "/echo")).returncode == 0
