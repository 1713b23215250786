"""Certificates change on disk in each of the ways that people change them, and are taken without a restart."""

import os
import socket
import ssl
import time
from datetime import timedelta

import pytest
from kit import h2wire
from kit.monitor import metrics
from kit.pki import Authority
from kit.process import wait_until
from kit.proxy import free_port
from kit.reload import hex_serial, log_lines, shown_serial, wait_reloaded, wait_shown
from kit.volume import Volume, pair_files, remove, rename_over, write
from kit.wire import client_context, connect_plain, connect_tls


@pytest.fixture
def files(identities, directory):
    """A server's directory of plain files."""
    return identities.authority.server().write(directory / "pair")


def overwrite(home, pair):
    write(home / "tls.crt", pair.certificate_pem)
    write(home / "tls.key", pair.key_pem)


def overwrite_the_key_first(home, pair):
    write(home / "tls.key", pair.key_pem)
    write(home / "tls.crt", pair.certificate_pem)


def overwrite_slowly(home, pair):
    write(home / "tls.crt", pair.certificate_pem)
    time.sleep(0.6)
    write(home / "tls.key", pair.key_pem)


def rename_each(home, pair):
    rename_over(home / "tls.crt", pair.certificate_pem)
    rename_over(home / "tls.key", pair.key_pem)


def remove_and_write(home, pair):
    (home / "tls.crt").unlink()
    (home / "tls.key").unlink()
    overwrite(home, pair)


def replace_the_directory(home, pair):
    fresh = home.with_name("fresh")
    pair.write(fresh)
    os.rename(home, home.with_name("old"))
    os.rename(fresh, home)


def everything_in_one_file(home, pair):
    (home / "tls.key").unlink()
    rename_over(home / "tls.crt", pair.key_pem + pair.certificate_pem)


def vault_names(home, pair):
    write(home / "certificate", pair.certificate_pem)
    write(home / "private_key", pair.key_pem)
    (home / "tls.crt").unlink()
    (home / "tls.key").unlink()


WAYS = [
    overwrite, overwrite_the_key_first, overwrite_slowly, rename_each, remove_and_write, replace_the_directory,
    everything_in_one_file, vault_names,
]


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
def test_files_are_replaced(start_proxy, identities, files, change):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    fresh = identities.authority.server("renewed")
    change(files, fresh)
    wait_shown(proxy, fresh, identities.caller_directory)
    assert proxy.monitor("/ready") == (200, "ok\n")


def test_a_volume_is_swapped_again_and_again(start_proxy, identities, directory):
    volume = Volume(directory / "volume", pair_files(identities.authority.server()))
    proxy = start_proxy(SERVER_CERT_DIR=str(volume.path), ENABLE_METRICS="true")
    for days in range(1, 6):
        fresh = identities.authority.server("renewed", not_after=timedelta(days=days))
        volume.swap(pair_files(fresh))
        wait_shown(proxy, fresh, identities.caller_directory, seconds=1)
        page = metrics(proxy)
        assert page.value("tls_reloads_total") == days
        expiry = page.value("sidecar_certificate_expiry_timestamp_seconds", role="server")
        assert expiry == fresh.certificate.not_valid_after_utc.timestamp()
    assert len(log_lines(proxy, "certificates reloaded")) == 5


def test_a_volume_with_the_names_of_the_vault_operator(start_proxy, identities, directory):
    def names(pair):
        return {"certificate": pair.certificate_pem, "private_key": pair.key_pem, "issuing_ca": identities.authority.pem}

    volume = Volume(directory / "volume", names(identities.authority.server()))
    proxy = start_proxy(SERVER_CERT_DIR=str(volume.path))
    fresh = identities.authority.server("renewed")
    volume.swap(names(fresh))
    wait_shown(proxy, fresh, identities.caller_directory)


def test_a_link_behind_a_link_is_followed_to_its_new_target(start_proxy, identities, directory):
    fresh = identities.authority.server("renewed")
    identities.authority.server().write(directory / "v1" / "certs")
    fresh.write(directory / "v2" / "certs")
    for version in ("v1", "v2"):
        (directory / version).chmod(0o755)
    (directory / "current").symlink_to("v1")
    (directory / "link").symlink_to("current/certs")
    proxy = start_proxy(SERVER_CERT_DIR=str(directory / "link"))
    (directory / "next").symlink_to("v2")
    os.rename(directory / "next", directory / "current")
    wait_shown(proxy, fresh, identities.caller_directory)


def test_files_that_are_links_to_another_directory(start_proxy, identities, directory):
    """As certbot leaves them."""
    live = identities.authority.server().write(directory / "live")
    home = directory / "home"
    home.mkdir()
    home.chmod(0o755)
    for name in ("tls.crt", "tls.key"):
        (home / name).symlink_to(live / name)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    fresh = identities.authority.server("renewed")
    overwrite(live, fresh)
    wait_shown(proxy, fresh, identities.caller_directory)


def test_a_writer_that_keeps_its_files_open(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    fresh = identities.authority.server("renewed")
    with open(files / "tls.crt", "r+b") as certificate, open(files / "tls.key", "r+b") as key:
        for file, content in ((certificate, fresh.certificate_pem), (key, fresh.key_pem)):
            file.truncate(0)
            file.write(content)
            file.flush()
        wait_shown(proxy, fresh, identities.caller_directory)


def test_a_writer_that_takes_its_time_is_waited_for(start_proxy, identities, files):
    everything_in_one_file(files, identities.authority.server())
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    fresh = identities.authority.server("renewed")
    with open(files / "tls.crt", "r+b") as file:
        file.truncate(0)
        for byte in fresh.key_pem + fresh.certificate_pem:
            file.write(bytes([byte]))
            file.flush()
            time.sleep(0.001)
    wait_shown(proxy, fresh, identities.caller_directory)
    assert not log_lines(proxy, "certificates not reloaded, the old ones stay in force")


def test_a_reload_warns_as_the_check_does(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    identities.authority.server("fresh", not_before=timedelta(seconds=-2)).write(files)
    wait_reloaded(proxy)

    def said() -> list[str]:
        return [line for line in proxy.process.stdout.splitlines() if "a peer whose clock is slower refuses it" in line]

    wait_until(said, "the log warns of slow clocks", 3)
    assert f"CN=fresh of {files}/tls.crt is valid since" in said()[0]
    write(files / "unrelated", b"")
    with proxy.connect() as client:
        assert client.request("/slow/1").status == 200
    assert len(said()) == 1, "once for each certificate"


def test_a_directory_that_is_a_link_is_followed_to_its_new_target(start_proxy, identities, directory):
    old = identities.authority.server().write(directory / "v1")
    link = directory / "current"
    link.symlink_to(old)
    proxy = start_proxy(SERVER_CERT_DIR=str(link))
    fresh = identities.authority.server("renewed")
    fresh.write(directory / "v2")
    (directory / "next").symlink_to(directory / "v2")
    os.rename(directory / "next", link)
    wait_shown(proxy, fresh, identities.caller_directory)


def test_directories_that_appear_later_are_found(start_proxy, identities, directory):
    """The client pair is not needed at the start; its directory comes two levels at a time."""
    home = directory / "later" / "deep" / "client"
    proxy = start_proxy(CLIENT_CERT_DIR=str(home))
    pair = identities.authority.client("late-client")
    home.parent.mkdir(parents=True)
    home.parent.parent.chmod(0o755)
    home.parent.chmod(0o755)
    time.sleep(0.3)
    pair.write(home)
    line = wait_reloaded(proxy)
    assert hex_serial(pair) in line["client_certificate"] and line["client_certificate"].startswith("new: ")


def test_writing_the_same_again_changes_nothing(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    before = (files / "tls.crt").read_bytes()
    for _ in range(3):
        write(files / "tls.crt", before)
        os.utime(files / "tls.key")
        time.sleep(0.2)
    fresh = identities.authority.server("renewed")
    overwrite(files, fresh)
    wait_shown(proxy, fresh, identities.caller_directory)
    assert len(log_lines(proxy, "certificates reloaded")) == 1


def test_the_log_says_what_has_changed(start_proxy, identities, directory):
    old = identities.authority.server("server", dns=("localhost", "old.test"))
    home = old.write(directory / "pair")
    second = Authority("Second CA")
    write(home / "ca.crt", identities.authority.pem)
    proxy = start_proxy(SERVER_CERT_DIR=str(home))
    fresh = identities.authority.server("server", dns=("localhost", "new.test"))
    overwrite(home, fresh)
    write(home / "ca.crt", second.pem)
    line = wait_reloaded(proxy)
    said = line["server_certificate"]
    assert f"serial {hex_serial(old)} → {hex_serial(fresh)}" in said
    assert "new.test" in said and "old.test" in said
    assert fresh.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ") in said
    assert "CN=Second CA" in line["trust_for_clients_added"]
    assert "client_certificate" not in line and "trust_for_servers_added" not in line


def test_trust_that_is_taken_away_is_said(start_proxy, identities, directory):
    second = Authority("Second CA")
    trust = identities.authority.write(directory / "trust", "ca-bundle.pem")
    write(trust / "ca-bundle.pem", identities.authority.pem + second.pem)
    proxy = start_proxy(CA_DIR=str(trust))
    write(trust / "ca-bundle.pem", identities.authority.pem)
    line = wait_reloaded(proxy)
    assert "CN=Second CA" in line["trust_for_clients_removed"] and "CN=Second CA" in line["trust_for_servers_removed"]


def test_a_certificate_that_expires_sooner_is_warned_of(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    overwrite(files, identities.authority.server("older", not_after=timedelta(days=30)))
    wait_reloaded(proxy)
    wait_until(
        lambda: any("sooner than the old one" in line for line in proxy.process.stdout.splitlines()
                    if '"warning"' in line),
        "a warning in the log")


def test_established_connections_go_on(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    with proxy.connect() as first, h2wire.connect(proxy) as second:
        assert first.request("/echo").status == 200
        running = second.open("/slow/1.0")
        first.send(b"GET /slow/1.0 HTTP/1.1\r\nHost: a\r\n\r\n")
        fresh = identities.authority.server("renewed")
        overwrite(files, fresh)
        wait_shown(proxy, fresh, identities.caller_directory)
        answer = first.response()
        assert answer.status == 200 and not answer.closes
        assert second.wait_done(running).status == 200
        assert first.request("/echo").status == 200
        assert second.request("/echo").status == 200 and not second.goaways


def test_tickets_live_as_long_as_the_trust_set(start_proxy, identities, directory):
    home = identities.authority.server().write(directory / "pair")
    write(home / "ca.crt", identities.authority.pem)
    proxy = start_proxy(SERVER_CERT_DIR=str(home), WORKER_THREADS="2")
    context = client_context(identities.ca_file, identities.caller_directory)

    def open_with(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        plain = socket.create_connection(proxy.address, timeout=5)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as stream:
            stream.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.recv(65_536).startswith(b"HTTP/1.1 200")
            return stream.session_reused, stream.session

    _, session = open_with(None)
    resumed, session = open_with(session)
    assert resumed
    fresh = identities.authority.server("renewed")
    overwrite(home, fresh)
    wait_shown(proxy, fresh, identities.caller_directory)
    resumed, session = open_with(session)
    assert resumed, "another leaf under the same trust keeps its tickets"
    write(home / "ca.crt", identities.authority.pem + Authority("Second CA").pem)
    wait_reloaded(proxy, 2)
    resumed, _ = open_with(session)
    assert not resumed, "a ticket of the old trust set was accepted"


def test_trust_in_clients_follows_the_files(start_proxy, identities, directory):
    second = Authority("Second CA")
    newcomer = second.client("newcomer").write(directory / "newcomer")
    trust = directory / "trust"
    trust.mkdir()
    trust.chmod(0o755)
    write(trust / "ca.crt", identities.authority.pem)
    proxy = start_proxy(CA_DIR=str(trust))

    def status(caller) -> int:
        try:
            with connect_tls(proxy.address, client_context(identities.ca_file, caller)) as client:
                return client.request("/echo").status
        except (OSError, ssl.SSLError):
            return 0

    assert status(newcomer) == 0
    write(trust / "ca.crt", identities.authority.pem + second.pem)
    wait_until(lambda: status(newcomer) == 200, "the new authority's clients are let in", 3)
    assert status(identities.caller_directory) == 200
    write(trust / "ca.crt", second.pem)
    wait_until(lambda: status(identities.caller_directory) == 0, "the old authority's clients are refused", 3)
    assert status(newcomer) == 200


def test_pooled_connections_show_the_new_client_certificate(start_proxy, identities, directory):
    """Two sidecars: the second tells its application who the first says it is."""
    client = identities.authority.client("first").write(directory / "client")
    far = start_proxy(INJECT_CLIENT_HEADERS="cn")
    port = free_port()
    near = start_proxy(CLIENT_CERT_DIR=str(client), OUTBOUND_PROXY_PORT=str(port), TLS_LISTEN_PORT="", WORKER_THREADS="1")

    def seen() -> str:
        with connect_plain(("127.0.0.1", port)) as connection:
            answer = connection.request(f"http://localhost:{far.port}/echo", host=f"localhost:{far.port}")
            assert answer.status == 200
            return {name.lower(): value for name, value in answer.json["headers"]}["x-client-cn"]

    assert seen() == "first" and seen() == "first"
    overwrite(client, identities.authority.client("second"))
    wait_reloaded(near)
    assert seen() == "second"


def test_a_server_whose_authority_was_removed_is_not_resumed_but_refused(start_proxy, identities, directory):
    """Resuming skips the check of the server's certificate, so the session must go with the trust."""
    trust = identities.authority.write(directory / "trust")
    far = start_proxy()
    port = free_port()
    near = start_proxy(CA_DIR=str(trust), OUTBOUND_PROXY_PORT=str(port), TLS_LISTEN_PORT="", WORKER_THREADS="1")
    authority = f"localhost:{far.port}"
    with connect_plain(("127.0.0.1", port)) as connection:
        assert connection.request(f"http://{authority}/echo", host=authority).status == 200
        write(trust / "ca.crt", identities.stranger.pem)
        wait_reloaded(near)
        assert connection.request(f"http://{authority}/echo", host=authority).status == 502
        write(trust / "ca.crt", identities.authority.pem)
        wait_reloaded(near, 2)
        assert connection.request(f"http://{authority}/echo", host=authority).status == 200


def test_a_shared_http2_connection_takes_no_more_requests_but_finishes_those_it_has(start_proxy, identities, directory):
    client = identities.authority.client("first").write(directory / "client")
    far = start_proxy(INJECT_CLIENT_HEADERS="cn")
    port = free_port()
    near = start_proxy(CLIENT_CERT_DIR=str(client), OUTBOUND_PROXY_PORT=str(port), TLS_LISTEN_PORT="", WORKER_THREADS="1")
    authority = f"localhost:{far.port}"

    def seen(connection) -> str:
        answer = connection.request("/echo", authority=authority)
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.json["headers"]}["x-client-cn"]

    with h2wire.connect_plain(port) as connection:
        assert seen(connection) == "first"
        running = connection.open("/slow/1.5", authority=authority)
        connection.settle(0.2)
        overwrite(client, identities.authority.client("second"))
        wait_reloaded(near)
        assert seen(connection) == "second"
        assert connection.wait_done(running).status == 200


def test_many_small_changes_are_one_reload(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    fresh = [identities.authority.server(f"renewed-{number}") for number in range(6)]
    for pair in fresh:
        overwrite(files, pair)
        time.sleep(0.03)
    wait_shown(proxy, fresh[-1], identities.caller_directory)
    assert len(log_lines(proxy, "certificates reloaded")) <= 2


def test_a_directory_is_removed_and_comes_back(start_proxy, identities, files):
    proxy = start_proxy(SERVER_CERT_DIR=str(files))
    old = shown_serial(proxy, identities.caller_directory)
    remove(files)
    wait_until(lambda: "warning" in proxy.monitor("/ready")[1], "/ready warns", 3)
    assert proxy.monitor("/ready")[0] == 200
    assert shown_serial(proxy, identities.caller_directory) == old
    fresh = identities.authority.server("renewed")
    fresh.write(files)
    wait_shown(proxy, fresh, identities.caller_directory)
    assert proxy.monitor("/ready") == (200, "ok\n")
