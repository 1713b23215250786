"""Clients that people use: curl, nghttp and h2load, over mTLS and from inside a pod."""

import json
import re
import shutil
import subprocess

import pytest
from kit import pattern
from kit.pod import url
from kit.transparent import HTTP


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"runs where {program} is: `make test` as root on Debian or Ubuntu installs it")


def run(*command: str, seconds: float = 20) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def curl(identities):
    """curl as the good caller."""
    pair = identities.caller_directory

    def call(*arguments: str) -> str:
        return run("curl", "-sS", "--noproxy", "*", "--cacert", str(identities.ca_file), "--cert", str(pair / "tls.crt"),
                   "--key", str(pair / "tls.key"), *arguments)

    return call


@pytest.mark.parametrize("upstream", ["http1", "h2"])
@pytest.mark.parametrize("option, version", [("--http2", "2"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")])
def test_curl_gets_the_version_that_it_asks_for(proxies, curl, upstream, option, version):
    target = f"https://localhost:{proxies[upstream].port}/echo"
    body, _, used = curl(option, "-d", "content", "-w", "\n%{http_version}", target).rpartition("\n")
    assert used == version
    report = json.loads(body)
    assert (report["method"], report["body_length"]) == ("POST", 7)


def test_curl_prefers_http2_by_itself(proxies, curl):
    used = curl("-o", "/dev/null", "-w", "%{http_version}", f"https://localhost:{proxies['http1'].port}/echo")
    assert used == "2"


def test_curl_uploads_and_downloads_many_megabytes(proxies, curl, directory):
    size = 30_000_000
    (directory / "file").write_bytes(b"".join(pattern.pieces(size)))
    for version, proxy in proxies.items():
        report = json.loads(curl("--http2", "-T", str(directory / "file"), f"https://localhost:{proxy.port}/upload"))
        assert report["body_sha256"] == pattern.checksum(size), version
        curl("--http2", "-o", str(directory / "back"), f"https://localhost:{proxy.port}/bytes/{size // 3}")
        assert (directory / "back").stat().st_size == size // 3, version


def test_curl_fetches_in_parallel_over_one_connection(proxies, curl, directory):
    target = f"https://localhost:{proxies['http1'].port}/bytes/[1000-1099]"
    curl("--http2", "--parallel", "--parallel-max", "50", "-o", f"{directory}/#1", target)
    assert all((directory / str(size)).stat().st_size == size for size in range(1000, 1100))


def test_nghttp_fetches_and_sees_no_violation(proxies, identities):
    needs("nghttp")
    pair = identities.caller_directory
    for version, proxy in proxies.items():
        output = run("nghttp", "-nv", "--cert", str(pair / "tls.crt"), "--key", str(pair / "tls.key"), "-m", "10",
                     f"https://localhost:{proxy.port}/bytes/100000")
        assert output.count(":status: 200") == 10, version
        assert "RST_STREAM" not in output and "[ERROR]" not in output, version


# From inside a pod, as plain text

def test_prior_knowledge_is_http2_from_end_to_end_of_the_captured_side(pods):
    for address in pods.b.addresses:
        done = pods.a.curl("--http2-prior-knowledge", "-d", "content", "-w", "\n%{http_version}", url(address, HTTP, "/echo"))
        body, _, used = done.stdout.rpartition("\n")
        assert used == "2", done.stderr
        report = json.loads(body)
        assert (report["method"], report["body_length"]) == ("POST", 7)
        assert dict((name.lower(), value) for name, value in report["headers"])["x-client-cn"] == "a"


def test_an_upgrade_to_h2c_is_answered_in_http1(pods):
    done = pods.a.curl("--http2", "-w", "\n%{http_version}", url(pods.b.ipv4, HTTP, "/echo"))
    body, _, used = done.stdout.rpartition("\n")
    assert used == "1.1", done.stderr
    names = {name.lower() for name, _ in json.loads(body)["headers"]}
    assert not names & {"upgrade", "http2-settings"}


def test_h2load_with_prior_knowledge_loses_no_request(pods):
    needs("h2load")
    done = pods.a.run("h2load", "-n", "3000", "-c", "5", "-m", "20", url(pods.b.ipv4, HTTP, "/status/200"), seconds=60)
    assert re.search(r"requests: 3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed", done.stdout), done.stdout
