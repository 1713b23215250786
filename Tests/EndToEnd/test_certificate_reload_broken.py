"""Rotations that go wrong: the old material stays in force, what is wrong is said everywhere, and repair is enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from kit.load import Trickle
from kit.monitor import metrics
from kit.pki import Authority, Pair
from kit.process import wait_until
from kit.proxy import Identities, Proxy, free_port
from kit.reload import log_lines, shown_serial, wait_reloaded, wait_shown
from kit.volume import remove, write


@dataclass
class Homes:
    """The directories of one proxy, all of them in force."""

    #: A pair and the `ca.crt` that verifies the callers.
    server: Path
    client: Path
    #: A bundle of two other authorities.
    ca: Path
    authorities: tuple[Authority, Authority]

    def repair(self, identities: Identities) -> Pair:
        """Everything is put there again, with a new leaf, which it answers."""
        for file in (self.server / "tls.key", self.server / "tls.crt"):
            if file.is_symlink() or file.exists() and not file.is_file():
                file.unlink()
        fresh = identities.authority.server("repaired")
        fresh.write(self.server)
        write(self.server / "ca.crt", identities.authority.pem)
        identities.authority.client("me").write(self.client)
        self.ca.mkdir(exist_ok=True)
        self.ca.chmod(0o755)
        write(self.ca / "ca-bundle.pem", self.bundle)
        return fresh

    @property
    def bundle(self) -> bytes:
        return b"".join(authority.pem for authority in self.authorities)


@dataclass
class Broken:
    """One kind of broken rotation."""

    name: str
    act: Callable[[Homes, Identities], None]
    #: The label of `sidecar_tls_reload_failures_total`.
    reason: str
    #: What `/ready` and the log must say; `{server}`, `{client}` and `{ca}` are the directories.
    says: tuple[str, ...]


def half_written(homes: Homes, identities: Identities) -> None:
    pem = identities.authority.server("half").certificate_pem
    write(homes.server / "tls.crt", pem[:len(pem) // 2])


def half_bundle(homes: Homes, identities: Identities) -> None:
    first, second = homes.authorities
    write(homes.ca / "ca-bundle.pem", first.pem + second.pem[:len(second.pem) // 2])


def bundle_cut_in_the_second_begin(homes: Homes, identities: Identities) -> None:
    first, second = homes.authorities
    write(homes.ca / "ca-bundle.pem", first.pem + second.pem[:18])


def wrong_key(homes: Homes, identities: Identities) -> None:
    write(homes.server / "tls.key", identities.authority.server("other").key_pem)


def expired(homes: Homes, identities: Identities) -> None:
    identities.authority.server(
        "expired", not_before=timedelta(days=-2), not_after=timedelta(hours=-1)).write(homes.server)


def missing_key(homes: Homes, identities: Identities) -> None:
    write(homes.server / "tls.crt", identities.authority.server("keyless").certificate_pem)
    (homes.server / "tls.key").unlink()


def empty_bundle(homes: Homes, identities: Identities) -> None:
    write(homes.server / "ca.crt", b"")


def unreadable(homes: Homes, identities: Identities) -> None:
    (homes.server / "tls.key").chmod(0)


def garbage(homes: Homes, identities: Identities) -> None:
    write(homes.server / "tls.crt", os.urandom(2000))


def wrong_usage(homes: Homes, identities: Identities) -> None:
    identities.authority.issue(
        "code", usages=(ExtendedKeyUsageOID.CODE_SIGNING,), dns=("localhost",)).write(homes.server)


def future(homes: Homes, identities: Identities) -> None:
    identities.authority.server(
        "early", not_before=timedelta(days=2), not_after=timedelta(days=3)).write(homes.server)


def future_authority(homes: Homes, identities: Identities) -> None:
    write(homes.ca / "ca-bundle.pem", Authority("Early CA", not_before=timedelta(days=2)).pem)


def expired_authority(homes: Homes, identities: Identities) -> None:
    write(homes.ca / "ca-bundle.pem", Authority("Old CA", not_after=timedelta(hours=-1)).pem)


def pair_of_an_expired_authority(homes: Homes, identities: Identities) -> None:
    """A leaf in the best years of its life, and an anchor that peers no longer take."""
    old = Authority("Old CA", not_after=timedelta(hours=-1))
    write(homes.ca / "ca-bundle.pem", homes.bundle + old.pem)
    old.server("late").write(homes.server)


def wrong_chain(homes: Homes, identities: Identities) -> None:
    pair = identities.authority.server("chained")
    pair.write(homes.server)
    write(homes.server / "tls.crt", pair.certificate_pem + Authority("Stranger CA").pem)


def server_gone(homes: Homes, identities: Identities) -> None:
    remove(homes.server)


def ca_gone(homes: Homes, identities: Identities) -> None:
    remove(homes.ca)


def client_gone(homes: Homes, identities: Identities) -> None:
    remove(homes.client)


def own_ca_gone(homes: Homes, identities: Identities) -> None:
    (homes.server / "ca.crt").unlink()


def encrypted_key(homes: Homes, identities: Identities) -> None:
    pair = identities.authority.server("locked")
    write(homes.server / "tls.crt", pair.certificate_pem)
    write(homes.server / "tls.key", pair.encrypted_key_pem(b"secret"))


def pipe(homes: Homes, identities: Identities) -> None:
    (homes.server / "tls.key").unlink()
    os.mkfifo(homes.server / "tls.key")


def directory_for_a_file(homes: Homes, identities: Identities) -> None:
    (homes.server / "tls.key").unlink()
    (homes.server / "tls.key").symlink_to("/etc")


def link_to_itself(homes: Homes, identities: Identities) -> None:
    (homes.server / "tls.key").unlink()
    (homes.server / "tls.key").symlink_to("tls.key")


TABLE = [
    Broken("half-written file", half_written, "damaged", ("certificate 1 of {server}/tls.crt is damaged or cut off",)),
    Broken("half-written bundle", half_bundle, "damaged", ("certificate 2 of {ca}/ca-bundle.pem is damaged or cut off",)),
    Broken(
        "bundle cut in the second BEGIN", bundle_cut_in_the_second_begin, "damaged",
        ("certificate 2 of {ca}/ca-bundle.pem is damaged or cut off",)),
    Broken(
        "wrong key", wrong_key, "wrong_key",
        ("the private key of {server}/tls.key does not belong to the first certificate of {server}/tls.crt",)),
    Broken("expired", expired, "expired", ("the certificate of {server}/tls.crt expired at 20", "renew it")),
    Broken(
        "missing key", missing_key, "missing",
        ("SERVER_CERT_DIR ({server}) holds no certificate pair", "tls.key", "not found")),
    Broken("empty bundle", empty_bundle, "empty", ("{server}/ca.crt is empty",)),
    Broken("unreadable", unreadable, "unreadable", ("{server}/tls.key cannot be read: Permission denied",)),
    Broken("garbage", garbage, "not_pem", ("{server}/tls.crt holds no PEM certificate",)),
    Broken("wrong extended key usage", wrong_usage, "wrong_usage", ("lacks the extended key usage serverAuth",)),
    Broken(
        "not yet valid", future, "not_yet_valid",
        ("the certificate of {server}/tls.crt is not valid before 20", "set the clock, or wait")),
    Broken(
        "authority not yet valid", future_authority, "not_yet_valid",
        ("no certificate of {ca}/ca-bundle.pem is valid before 20", "set the clock, or wait")),
    Broken(
        "authority expired", expired_authority, "expired",
        ("every certificate of {ca}/ca-bundle.pem has expired", "renew the authority")),
    Broken(
        "pair of an expired authority", pair_of_an_expired_authority, "expired",
        ("CN=Old CA, the trust anchor of the server certificate, expired at",)),
    Broken("wrong chain", wrong_chain, "chain", ("certificate 2 of {server}/tls.crt (CN=Stranger CA) did not issue",)),
    Broken("server directory gone", server_gone, "missing", ("SERVER_CERT_DIR ({server}) holds no certificate pair",)),
    Broken(
        "trust directory gone", ca_gone, "missing",
        ("CA_DIR ({ca}) had ca-bundle.pem, which is gone: put it back, or restart to do without it",)),
    Broken("client directory gone", client_gone, "missing", ("CLIENT_CERT_DIR ({client}) holds no certificate pair",)),
    Broken(
        "the pair's own authority gone", own_ca_gone, "missing",
        ("SERVER_CERT_DIR ({server}) had ca.crt, which is gone",)),
    Broken(
        "encrypted key", encrypted_key, "encrypted_key",
        ("the private key of {server}/tls.key is encrypted: store it without a pass phrase",)),
    Broken(
        "a pipe", pipe, "unreadable",
        ("{server}/tls.key cannot be read: it is a named pipe, and a regular file is needed",)),
    Broken(
        "a directory", directory_for_a_file, "unreadable",
        ("{server}/tls.key cannot be read: it is a directory, and a regular file is needed",)),
    Broken("a link to itself", link_to_itself, "unreadable", ("{server}/tls.key cannot be read: Too many levels",)),
]


@pytest.fixture
def homes(identities: Identities, directory: Path) -> Homes:
    fresh = Homes(
        directory / "pair", directory / "client", directory / "trust", (Authority("Second CA"), Authority("Third CA")))
    identities.authority.server().write(fresh.server)
    fresh.repair(identities)
    return fresh


@pytest.fixture
def home(homes: Homes) -> Path:
    return homes.server


def failures(proxy: Proxy) -> list[str]:
    return [line["reason"] for line in log_lines(proxy, "certificates not reloaded, the old ones stay in force")]


def reloads(proxy: Proxy) -> tuple[float, dict[str, float]]:
    """Taken, and refused by reason, as `/metrics` counts them; of the refused only reasons that have counted."""
    page = metrics(proxy)
    family = page.families["sidecar_tls_reload_failures_total"]
    refused = {dict(labels)["reason"]: value for (_, labels), value in family.samples.items()}
    assert {case.reason for case in TABLE} | {"unusable"} == set(refused), "each reason is there from the start"
    return page.value("tls_reloads_total"), {reason: value for reason, value in refused.items() if value}


def is_failing(proxy: Proxy) -> bool:
    return metrics(proxy).value("sidecar_tls_reload_failing") == 1


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_the_old_material_stays_and_repair_is_enough(start_proxy, identities, directory, homes, case):
    proxy = start_proxy(
        SERVER_CERT_DIR=str(homes.server), CLIENT_CERT_DIR=str(homes.client), CA_DIR=str(homes.ca),
        OUTBOUND_PROXY_PORT=str(free_port()), ENABLE_METRICS="true")
    caller = identities.caller_directory
    guest = homes.authorities[1].client("guest").write(directory / "guest")
    assert reloads(proxy) == (0, {}) and not is_failing(proxy)
    old = shown_serial(proxy, caller)
    with Trickle(proxy) as load, proxy.connect(guest) as standing:
        assert standing.request("/echo").status == 200
        wait_until(lambda: load.succeeded > 5, "the load runs")
        case.act(homes, identities)
        wait_until(lambda: failures(proxy), "the log says that the reload failed", 3)
        status, text = proxy.monitor("/ready")
        assert status == 200 and text.startswith("ok\n")
        for words in (words.format(**vars(homes)) for words in case.says):
            assert any(words in reason for reason in failures(proxy)), failures(proxy)
            assert words in text, text
        assert shown_serial(proxy, caller) == old
        assert standing.request("/echo").status == 200
        assert proxy.connect(guest).request("/echo").status == 200
        assert not log_lines(proxy, "certificates reloaded")
        taken, refused = reloads(proxy)
        assert taken == 0 and refused.get(case.reason, 0) >= 1 and is_failing(proxy)

        fresh = homes.repair(identities)
        wait_shown(proxy, fresh, caller)
        wait_until(lambda: proxy.monitor("/ready") == (200, "ok\n"), "/ready has no warning left", 3)
        assert standing.request("/echo").status == 200
        assert reloads(proxy)[0] >= 1 and not is_failing(proxy)
        so_far = load.succeeded
        wait_until(lambda: load.succeeded > so_far + 5, "the load goes on")
    assert load.faults == []


def test_a_bundle_that_is_away_for_a_moment_costs_nobody(start_proxy, identities, directory, homes):
    """Removed, and written again a little later, as some programs update a file."""
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server), CA_DIR=str(homes.ca))
    guest = homes.authorities[0].client("guest").write(directory / "guest")
    with proxy.connect(guest) as standing:
        assert standing.request("/echo").status == 200
        (homes.ca / "ca-bundle.pem").unlink()
        wait_until(lambda: failures(proxy), "the log says that it is gone", 3)
        write(homes.ca / "ca-bundle.pem", homes.bundle)
        wait_until(lambda: log_lines(proxy, "certificates are whole again, and those in force"), "it is back", 3)
        assert not log_lines(proxy, "certificates reloaded")
        answer = standing.request("/echo")
        assert answer.status == 200 and not answer.closes


def test_another_name_in_the_same_directory_takes_the_place_of_a_bundle(start_proxy, identities, homes):
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server), CA_DIR=str(homes.ca))
    os.rename(homes.ca / "ca-bundle.pem", homes.ca / "ca.crt")
    write(homes.ca / "ca.crt", homes.authorities[0].pem)
    assert "CN=Third CA" in wait_reloaded(proxy)["trust_for_clients_removed"]
    assert not failures(proxy)


def test_a_client_pair_that_goes_stays_in_force_where_the_upstream_wants_it(start_proxy, identities, homes):
    """Nothing says that it is needed, but it was shown until now."""
    far = start_proxy()
    near = start_proxy(
        SERVER_CERT_DIR=str(homes.server), CLIENT_CERT_DIR=str(homes.client), UPSTREAM_URL=f"https://localhost:{far.port}")
    with Trickle(near) as load:
        wait_until(lambda: load.succeeded > 5, "the load runs")
        remove(homes.client)
        wait_until(lambda: failures(near), "the log says that it is gone", 3)
        so_far = load.succeeded
        wait_until(lambda: load.succeeded > so_far + 20, "the load goes on")
    assert load.faults == []
    assert failures(near) == [
        f"CLIENT_CERT_DIR ({homes.client}) had tls.crt, which is gone: put it back, or restart to do without it"]


def test_a_client_pair_that_nobody_uses_may_go(start_proxy, identities, homes):
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server), CLIENT_CERT_DIR=str(homes.client))
    remove(homes.client)
    assert "removed" in wait_reloaded(proxy)["client_certificate"]
    assert not failures(proxy)


def test_a_pipe_does_not_keep_the_process_from_its_end(start_proxy, identities, homes):
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server))
    pipe(homes, identities)
    wait_until(lambda: failures(proxy), "the log says that the reload failed", 3)
    proxy.process.terminate()
    assert proxy.process.wait(5) == 0


def test_one_fault_is_said_once(start_proxy, identities, homes):
    """Looked at again every few seconds, but not said again."""
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server))
    garbage(homes, identities)
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
    wait_until(lambda: "ca.crt holds no PEM certificate" in proxy.monitor("/ready")[1], "/ready names the bundle", 3)
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


def test_ready_goes_by_the_pairs_that_are_in_use(start_proxy, identities, homes):
    brief = identities.authority.client("brief", not_after=timedelta(seconds=4))
    brief.write(homes.client)
    directories = {"SERVER_CERT_DIR": str(homes.server), "CLIENT_CERT_DIR": str(homes.client)}
    unused = start_proxy(**directories)
    used = start_proxy(**directories, OUTBOUND_PROXY_PORT=str(free_port()))
    assert "the client certificate expires at" in used.monitor("/ready")[1]
    wait_until(lambda: used.monitor("/ready")[0] == 503, "/ready answers 503 where the pair is used", 8)
    assert "the client certificate expired at" in used.monitor("/ready")[1]
    assert unused.monitor("/ready")[0] == 200


def test_ready_turns_503_when_the_anchor_of_the_own_leaf_has_expired(start_proxy, identities, directory, homes):
    """Clients of the other authority are verified as before, but none of them can verify the leaf."""
    old = Authority("Brief CA", not_after=timedelta(seconds=5))
    old.server().write(homes.server)
    write(homes.ca / "ca-bundle.pem", old.pem + identities.authority.pem)
    proxy = start_proxy(SERVER_CERT_DIR=str(homes.server), CA_DIR=str(homes.ca))
    assert "CN=Brief CA, the trust anchor of the server certificate, expires at" in proxy.monitor("/ready")[1]
    wait_until(lambda: proxy.monitor("/ready")[0] == 503, "/ready answers 503", 8)
    assert "CN=Brief CA, the trust anchor of the server certificate, expired at" in proxy.monitor("/ready")[1]
    write(homes.ca / "ca-bundle.pem", old.renewed().pem + identities.authority.pem)
    wait_until(lambda: proxy.monitor("/ready")[0] == 200, "an authority renewed with its key is enough", 3)


def test_files_that_the_process_may_not_read_are_found_at_the_start(start_proxy, identities, home):
    """Root loads them, then becomes another user: the next reload would fail, so the first look says it."""
    if os.geteuid() != 0:
        pytest.skip("runs as root, who may read what others may not")
    (home / "tls.key").chmod(0o600)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    wait_until(lambda: failures(proxy), "the log says so at once", 3)
    assert "tls.key cannot be read" in proxy.monitor("/ready")[1]
