"""While one client attacks, another's requests take about as long as in calm."""

import json
import sys
import time

import pytest
from conftest import KIT
from kit.pace import percentile_99
from kit.process import Process

#: Below this a machine that is busy with other things decides, not the proxy.
FLOOR_SECONDS = 0.05
#: Of a hundred requests the 99th percentile would be the slowest: one pause of the machine would decide.
FEWEST_REQUESTS = 300
ATTEMPTS = 3
#: No attack is measured for longer.
LONGEST_SECONDS = 12


@pytest.fixture
def canned(directory):
    """The port of an application that an attack does not slow down."""
    process = Process([sys.executable, str(KIT / "cannedapp.py")], directory / "canned")
    try:
        yield json.loads(process.wait_for_line("http"))["http"]
    finally:
        process.stop()


@pytest.mark.parametrize("attack", ["rapid reset", "continuation", "slow heads", "slow http1 heads"])
def test_an_attack_leaves_the_pace_of_others_within_five_times_of_calm(
    start_proxy, identities, directory, canned, attack,
):
    proxy = start_proxy(upstream_port=canned, ACCESS_LOG="off")
    pace = {}
    for attempt in range(ATTEMPTS):
        with proxy.connect(seconds=30) as client:
            calm = percentile_99(client, lambda count: count < 500)
            attacker = Process(
                [sys.executable, str(KIT / "h2flood.py"), attack, str(proxy.port), str(identities.ca_file),
                 str(identities.caller_directory)], directory / f"attacker-{attempt}")
            try:
                attacker.wait_for_line("begin")
                deadline = time.monotonic() + LONGEST_SECONDS
                attacked = percentile_99(
                    client, lambda count: count < FEWEST_REQUESTS or (attacker.is_running and time.monotonic() < deadline))
                assert attacker.is_running or "over" in attacker.stdout, attacker.output_tail()
            finally:
                attacker.stop()
        pace[attempt] = f"{calm * 1000:.1f} ms calm, {attacked * 1000:.1f} ms attacked"
        if attacked < max(5 * calm, FLOOR_SECONDS):
            break
    else:
        pytest.fail(f"99th percentile: {pace}")
    assert proxy.process.is_running
