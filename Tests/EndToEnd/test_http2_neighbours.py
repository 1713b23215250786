"""While one client attacks, another's requests take about as long as when nobody does."""

import json
import sys

import pytest
from conftest import KIT
from kit import pace
from kit.process import Process

ATTEMPTS = 3
CALM_SECONDS = 2
ATTACK_SECONDS = 4


@pytest.fixture
def canned_port(directory):
    """Of an application that an attack does not slow down."""
    process = Process([sys.executable, str(KIT / "cannedapp.py")], directory / "canned")
    try:
        yield json.loads(process.wait_for_line("http"))["http"]
    finally:
        process.stop()


@pytest.mark.parametrize("settings", [{}, {"WORKER_THREADS": "1"}], ids=["default workers", "one worker"])
@pytest.mark.parametrize("attack", ["rapid reset", "continuation", "slow heads", "slow http1 heads"])
def test_an_attack_leaves_the_pace_of_others_within_five_times_of_calm(
    start_proxy, identities, directory, canned_port, attack, settings,
):
    proxy = start_proxy(upstream_port=canned_port, ACCESS_LOG="off", **settings)

    def pace_under_attack(name: str) -> pace.Pace:
        attacker = Process(
            [sys.executable, str(KIT / "h2flood.py"), attack, str(proxy.port), str(identities.ca_file),
             str(identities.caller_directory), str(ATTACK_SECONDS)], directory / name)
        try:
            with proxy.connect(seconds=30) as client:
                attacker.wait_for_line("begin")
                measured = pace.measure(client, lambda: attacker.is_running)
            assert "over" in attacker.stdout, attacker.output_tail()
        finally:
            attacker.stop()
        return measured

    paces = []
    for attempt in range(ATTEMPTS):
        with proxy.connect() as client:
            calm = pace.measure_for(client, CALM_SECONDS)
        attacked = pace_under_attack(f"attack-{attempt}")
        paces.append(f"{calm} in calm, {attacked} under attack")
        # One long wait among few requests is no percentile: so their number counts too.
        if attacked.percentile_99 < 5 * calm.percentile_99 and 5 * attacked.per_second > calm.per_second:
            break
    else:
        pytest.fail(f"99th percentile: {paces}")
    assert proxy.process.is_running
