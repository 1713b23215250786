"""Rotations that go wrong: the old material stays in force, what is wrong is said everywhere, and repair is enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from kit.monitor import metrics
from kit.process import wait_until
from kit.proxy import Identities, Proxy
from kit.reload import log_lines, shown_serial, wait_shown
from kit.volume import remove, write


@dataclass
class Broken:
    """One kind of broken rotation of a directory that holds a pair and `ca.crt`."""

    name: str
    act: Callable[[Path, Identities], None]
    #: What `/ready` and the log must say; `{home}` is the directory.
    says: tuple[str, ...]


def half_written(home: Path, identities: Identities) -> None:
    pem = identities.authority.server("half").certificate_pem
    write(home / "tls.crt", pem[:len(pem) // 2])


def wrong_key(home: Path, identities: Identities) -> None:
    write(home / "tls.key", identities.authority.server("other").key_pem)


def expired(home: Path, identities: Identities) -> None:
    identities.authority.server(
        "expired", not_before=timedelta(days=-2), not_after=timedelta(hours=-1)).write(home)


def missing_key(home: Path, identities: Identities) -> None:
    write(home / "tls.crt", identities.authority.server("keyless").certificate_pem)
    (home / "tls.key").unlink()


def empty_bundle(home: Path, identities: Identities) -> None:
    write(home / "ca.crt", b"")


def unreadable(home: Path, identities: Identities) -> None:
    (home / "tls.key").chmod(0)


def garbage(home: Path, identities: Identities) -> None:
    write(home / "tls.crt", os.urandom(2000))


def wrong_usage(home: Path, identities: Identities) -> None:
    identities.authority.issue(
        "code", usages=(ExtendedKeyUsageOID.CODE_SIGNING,), dns=("localhost",)).write(home)


def future(home: Path, identities: Identities) -> None:
    identities.authority.server("early", not_before=timedelta(days=2), not_after=timedelta(days=3)).write(home)


def directory_gone(home: Path, identities: Identities) -> None:
    remove(home)


def encrypted_key(home: Path, identities: Identities) -> None:
    pair = identities.authority.server("locked")
    write(home / "tls.crt", pair.certificate_pem)
    write(home / "tls.key", pair.encrypted_key_pem(b"secret"))


TABLE = [
    Broken("half-written file", half_written, ("{home}/tls.crt holds no PEM certificate, or a damaged one",)),
    Broken("wrong key", wrong_key, ("the private key of {home}/tls.key does not belong to the first certificate of",)),
    Broken("expired", expired, ("the certificate of {home}/tls.crt expired at 20", "renew it")),
    Broken("missing key", missing_key, ("({home}) holds no certificate pair", "tls.key", "not found")),
    Broken("empty bundle", empty_bundle, ("{home}/ca.crt holds no PEM certificate",)),
    Broken("unreadable", unreadable, ("{home}/tls.key cannot be read: Permission denied",)),
    Broken("garbage", garbage, ("{home}/tls.crt holds no PEM certificate, or a damaged one",)),
    Broken("wrong extended key usage", wrong_usage, ("lacks the extended key usage serverAuth",)),
    Broken("not yet valid", future, ("the certificate of {home}/tls.crt is not valid before 20", "set the clock, or wait")),
    Broken("directory gone", directory_gone, ("({home}) holds no certificate pair",)),
    Broken("encrypted key", encrypted_key, ("the private key of {home}/tls.key is encrypted",)),
]


@pytest.fixture
def home(identities: Identities, directory: Path) -> Path:
    path = identities.authority.server().write(directory / "pair")
    write(path / "ca.crt", identities.authority.pem)
    return path


def failures(proxy: Proxy) -> list[str]:
    return [line["reason"] for line in log_lines(proxy, "certificates not reloaded, the old ones stay in force")]


def reloads(proxy: Proxy) -> tuple[float, float]:
    """Taken and refused, as `/metrics` counts them."""
    page = metrics(proxy)
    return page.value("tls_reloads_total"), page.value("sidecar_tls_reload_failures_total")


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_the_old_material_stays_and_repair_is_enough(start_proxy, identities, home, case):
    proxy = start_proxy(SERVER_CERT_DIR=str(home), ENABLE_METRICS="true")
    caller = identities.caller_directory
    assert reloads(proxy) == (0, 0)
    old = shown_serial(proxy, caller)
    with proxy.connect() as standing:
        case.act(home, identities)
        wait_until(lambda: failures(proxy), "the log says that the reload failed", 3)
        status, text = proxy.monitor("/ready")
        assert status == 200 and text.startswith("ok\n")
        for words in (words.format(home=home) for words in case.says):
            assert any(words in reason for reason in failures(proxy)), failures(proxy)
            assert words in text, text
        assert shown_serial(proxy, caller) == old
        assert standing.request("/echo").status == 200
        assert not log_lines(proxy, "certificates reloaded")
        taken, refused = reloads(proxy)
        assert taken == 0 and refused >= 1

        fresh = identities.authority.server("repaired")
        fresh.write(home)
        write(home / "ca.crt", identities.authority.pem)
        wait_shown(proxy, fresh, caller)
        assert proxy.monitor("/ready") == (200, "ok\n")
        assert standing.request("/echo").status == 200
        assert reloads(proxy)[0] >= 1


def test_one_fault_is_said_once(start_proxy, identities, home):
    """Looked at again every few seconds, but not said again."""
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    garbage(home, identities)
    wait_until(lambda: failures(proxy), "the log says that the reload failed", 3)
    with proxy.connect() as client:
        assert client.request("/slow/6").status == 200  # longer than the watcher takes to look again
    assert len(failures(proxy)) == 1


def test_a_certificate_that_becomes_valid_is_taken_without_any_event(start_proxy, identities, home):
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    soon = identities.authority.server("soon", not_before=timedelta(seconds=4))
    soon.write(home)
    wait_until(lambda: failures(proxy), "it is refused at first", 3)
    wait_shown(proxy, soon, identities.caller_directory, seconds=12)


def test_several_faults_are_said_together(start_proxy, identities, home):
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    home.joinpath("tls.key").chmod(0)
    write(home / "ca.crt", b"nothing")
    wait_until(lambda: "ca.crt holds no" in proxy.monitor("/ready")[1], "/ready names the bundle", 3)
    assert "tls.key cannot be read" in proxy.monitor("/ready")[1]


def test_not_one_part_of_a_broken_rotation_is_taken(start_proxy, identities, directory, home):
    """The server pair is good and new, the client pair is broken: neither is taken."""
    client = identities.authority.client("first").write(directory / "client")
    proxy = start_proxy(SERVER_CERT_DIR=str(home), CLIENT_CERT_DIR=str(client))
    old = shown_serial(proxy, identities.caller_directory)
    write(client / "tls.key", identities.authority.client("other").key_pem)
    fresh = identities.authority.server("renewed")
    fresh.write(home)
    wait_until(lambda: failures(proxy), "the log says that the reload failed", 3)
    assert shown_serial(proxy, identities.caller_directory) == old
    identities.authority.client("second").write(client)
    wait_shown(proxy, fresh, identities.caller_directory)


def test_ready_turns_503_when_what_is_in_force_has_expired(start_proxy, identities, home):
    brief = identities.authority.server("brief", not_after=timedelta(seconds=4))
    brief.write(home)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    assert "the server certificate expires at" in proxy.monitor("/ready")[1]
    wait_until(lambda: proxy.monitor("/ready")[0] == 503, "/ready answers 503", 8)
    assert "the server certificate expired at" in proxy.monitor("/ready")[1]
    identities.authority.server("renewed").write(home)
    wait_until(lambda: proxy.monitor("/ready") == (200, "ok\n"), "/ready recovers", 3)


def test_files_that_the_process_may_not_read_are_found_at_the_start(start_proxy, identities, home):
    """Root loads them, then becomes another user: the next reload would fail, so the first look says it."""
    if os.geteuid() != 0:
        pytest.skip("runs as root, who may read what others may not")
    (home / "tls.key").chmod(0o600)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    wait_until(lambda: failures(proxy), "the log says so at once", 3)
    assert "tls.key cannot be read" in proxy.monitor("/ready")[1]
