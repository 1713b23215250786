"""`sidecar certs check` says what would be loaded, what is wrong with it, and exits 1 when anything is."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from kit.pki import Authority
from kit.proxy import run_once
from kit.volume import write


class Home:
    """The three directories of one test."""

    def __init__(self, directory: Path):
        self.authority = Authority()
        self.server, self.client, self.ca = (directory / name for name in ("server", "client", "ca"))
        self.server_pair = self.authority.server("web", uris=("spiffe://test/web",))
        self.server_pair.write(self.server)
        self.authority.client("me").write(self.client)
        self.authority.write(self.ca)


@pytest.fixture
def home(directory) -> Home:
    return Home(directory)


@pytest.fixture
def check(binary, home):
    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess:
        directories = {
            "SERVER_CERT_DIR": str(home.server), "CLIENT_CERT_DIR": str(home.client), "CA_DIR": str(home.ca)}
        return run_once(binary, ["certs", "check", *arguments], directories | settings)

    return run


def report(done: subprocess.CompletedProcess) -> dict:
    found = json.loads(done.stdout)
    assert found["ok"] == (done.returncode == 0) == (not found["problems"])
    return found


def test_good_certificates_are_described_for_people(check, home):
    done = check()
    assert done.returncode == 0, done.stdout
    leaf = home.server_pair.certificate
    for words in (
        f"server: {home.server}/tls.crt", "subject  CN=web", "spiffe://test/web", "localhost", "127.0.0.1",
        hex(leaf.serial_number), "issuer   CN=Test CA", leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days left)", "chain    1 certificate", f"client: {home.client}/tls.crt",
        f"trust for clients and servers: {home.ca}/ca.crt", "all of it can be used",
    ):
        assert words in done.stdout, words
    assert "warning" not in done.stdout


def test_good_certificates_are_described_for_machines(check, home):
    found = report(check("--output", "json"))
    assert [file["role"] for file in found["files"]] == ["server", "client", "trust for clients and servers"]
    [leaf] = found["files"][0]["certificates"]
    assert leaf["subject"] == "CN=web" and leaf["issuer"] == "CN=Test CA" and not leaf["self_issued"]
    assert leaf["names"] == ["spiffe://test/web", "localhost", "127.0.0.1", "::1"]
    assert leaf["serial"] == hex(home.server_pair.certificate.serial_number)
    assert 89 * 86_400 < leaf["remaining_seconds"] <= 90 * 86_400
    assert found["problems"] == found["warnings"] == []
    [anchor] = found["files"][2]["certificates"]
    assert anchor["subject"] == "CN=Test CA" and anchor["self_issued"]


def test_every_problem_is_reported_and_the_exit_code_is_1(check, home):
    write(home.server / "tls.key", home.authority.server("other").key_pem)
    home.authority.expired("old").write(home.client)
    write(home.ca / "ca.crt", b"")
    done = check("--output", "json")
    assert done.returncode == 1
    problems = "\n".join(report(done)["problems"])
    assert f"the private key of {home.server}/tls.key does not belong" in problems
    assert f"the certificate of {home.client}/tls.crt expired at" in problems
    assert f"{home.ca}/ca.crt is empty" in problems
    text = check()
    assert text.returncode == 1 and text.stdout.count("problem: ") == 3
    assert "nothing would be loaded" in text.stdout


def test_a_pipe_in_place_of_a_file_holds_nobody_up(check, home):
    (home.server / "tls.key").unlink()
    os.mkfifo(home.server / "tls.key")
    done = check()
    assert done.returncode == 1
    assert f"{home.server}/tls.key cannot be read: it is a named pipe, and a regular file is needed" in done.stdout


def test_an_authority_that_is_not_valid_yet(check, home):
    early = Authority("Early CA", not_before=timedelta(days=2))
    write(home.ca / "ca.crt", home.authority.pem + early.pem)
    assert f"CN=Early CA of {home.ca}/ca.crt is not valid before" in warnings(check)
    write(home.ca / "ca.crt", early.pem)
    done = check()
    assert done.returncode == 1 and f"no certificate of {home.ca}/ca.crt is valid before" in done.stdout


def test_an_empty_place_is_a_problem(check, directory):
    nowhere = str(directory / "nowhere")
    done = check(SERVER_CERT_DIR=nowhere)
    assert done.returncode == 1 and f"SERVER_CERT_DIR ({nowhere}) holds no certificate pair" in done.stdout


def warnings(check, *arguments: str) -> str:
    done = check("--output", "json", *arguments)
    assert done.returncode == 0, done.stdout
    return "\n".join(report(done)["warnings"])


def test_a_certificate_that_expires_soon_is_a_warning(check, home):
    home.authority.server("late", not_before=timedelta(days=-80), not_after=timedelta(days=10, hours=1)).write(home.server)
    assert f"CN=late of {home.server}/tls.crt expires at" in warnings(check) and "in 10 days" in warnings(check)
    assert warnings(check, "--expires-within", "10") == ""


def test_a_short_lived_certificate_is_not_soon_to_expire_from_its_birth(check, home):
    home.authority.server("short", not_before=timedelta(hours=-1), not_after=timedelta(hours=23)).write(home.server)
    assert warnings(check) == ""


def test_a_certificate_that_no_peer_can_verify_is_a_warning(check, home):
    Authority("Elsewhere").server("web").write(home.server)
    assert f"the certificate of {home.server} does not lead to a trust anchor of this pod" in warnings(check)


def test_a_self_signed_certificate_is_a_warning(check, home):
    Authority("alone").self_signed().write(home.client)
    assert f"the certificate of {home.client}/tls.crt is self-signed" in warnings(check)


def test_a_server_certificate_without_names_is_a_warning(check, home):
    home.authority.issue("nameless").write(home.server)
    assert f"the certificate of {home.server}/tls.crt has no subject alternative name" in warnings(check)


def test_a_certificate_of_this_minute_is_a_warning_for_slow_clocks(check, home):
    home.authority.server("fresh", not_before=timedelta(seconds=-5)).write(home.server)
    assert "a peer whose clock is slower refuses it" in warnings(check)


def test_an_expired_anchor_among_good_ones_is_a_warning(check, home):
    old = home.authority.issue("old", not_before=timedelta(days=-3), not_after=timedelta(days=-1))
    write(home.ca / "ca.crt", home.authority.pem + old.certificate_pem)
    said = warnings(check)
    assert f"CN=old of {home.ca}/ca.crt has expired" in said and "is not the certificate of an authority" in said


def test_wrong_usage_is_2_and_a_bad_setting_is_1(check):
    assert check("--output", "yaml").returncode == 2
    assert check("--expires-within", "-1").returncode == 2
    done = check(TLS_MIN_VERSION="1.1")
    assert done.returncode == 1 and "TLS_MIN_VERSION=1.1" in done.stderr
