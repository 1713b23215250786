"""Many connections and many bytes through two sidecars."""

import sys

import pytest
from conftest import needs_root
from kit import pattern
from kit.capture import Capture, assert_only_tls
from kit.pod import KIT, url
from kit.process import wait_until
from kit.transparent import HTTP, PodPair

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30


@pytest.fixture(scope="module")
def pods(binary, scratch):
    """Sidecars of this file's own: what they use in memory is this file's doing."""
    needs_root()
    pair = PodPair(scratch, binary)
    try:
        pair.start(pair.a, ACCESS_LOG="off")
        pair.start(pair.b, ACCESS_LOG="off")
        yield pair
    finally:
        pair.remove()


def test_ten_thousand_new_connections_share_few_handshakes(pods):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        done = pods.a.run(
            sys.executable, str(KIT / "newconnections.py"), pods.b.ipv4, str(HTTP), "10000", "8", seconds=120)
    assert done.stdout.strip() == "10000", done.stderr
    assert_only_tls(capture, b"GET /echo")
    assert 1 <= capture.client_hellos() < 200


@pytest.mark.slow
@pytest.mark.parametrize("family, size", [("ipv4", 2 * GIGABYTE), ("ipv6", GIGABYTE // 4)])
def test_a_great_download_is_the_same_bytes_in_bounded_memory(pods, family, size):
    target = url(getattr(pods.b, family), HTTP, f"/bytes/{size}")
    # The shell runs in the pod: its curl is captured like any application's.
    done = pods.a.run("sh", "-c", f"curl -sS --noproxy '*' --fail '{target}' | sha256sum", seconds=150)
    assert done.stdout.split()[0] == pattern.checksum(size), done.stderr
    check_memory(pods)


@pytest.mark.slow
@pytest.mark.parametrize("family, size", [("ipv4", 2 * GIGABYTE), ("ipv6", GIGABYTE // 4)])
def test_a_great_upload_is_the_same_bytes_in_bounded_memory(pods, family, size):
    target = url(getattr(pods.b, family), HTTP, "/upload")
    done = pods.a.run(
        "sh", "-c", f"{sys.executable} {KIT}/pattern.py {size} | curl -sS --noproxy '*' --fail -T - '{target}'",
        seconds=150)
    assert pattern.checksum(size) in done.stdout, done.stderr
    check_memory(pods)


def check_memory(pods) -> None:
    for pod in (pods.a, pods.b):
        assert pod.sidecar.peak_rss_bytes() < 30 * MEGABYTE, f"pod {pod.name}: {pod.sidecar.peak_rss_bytes()}"


def test_nothing_is_left_open_afterwards(pods):
    for pod in (pods.a, pods.b):
        wait_until(lambda: pod.sidecar.open_descriptors() < 120, f"descriptors of pod {pod.name} are closed again")
