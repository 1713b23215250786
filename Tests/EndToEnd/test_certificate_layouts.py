"""The files of docs/certificates.md in each of their spellings."""

import subprocess

import pytest


def served(start_proxy, **directories: str) -> int:
    with start_proxy(**directories).connect() as client:
        return client.request("/echo").status


def test_certificate_and_private_key_are_the_second_choice(start_proxy, identities, directory):
    home = identities.authority.server().write(directory / "pair", certificate="certificate", key="private_key")
    assert served(start_proxy, SERVER_CERT_DIR=str(home)) == 200


def test_tls_crt_may_hold_everything(start_proxy, identities, directory):
    pair = identities.authority.server()
    home = pair.write(directory / "all")
    (home / "tls.crt").write_bytes(pair.key_pem + pair.certificate_pem + identities.authority.pem)
    assert served(start_proxy, SERVER_CERT_DIR=str(home)) == 200


def test_the_root_stays_at_home(proxy, identities):
    """Who does not have it would not trust it (RFC 8446 section 4.4.2)."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-showcerts", "-CAfile", identities.ca_file,
         "-cert", identities.caller_directory / "tls.crt", "-key", identities.caller_directory / "tls.key"],
        input="", capture_output=True, text=True, timeout=10).stdout
    assert shown.count("BEGIN CERTIFICATE") == 1, shown
    assert "Verify return code: 0" in shown


@pytest.mark.parametrize("name", ["ca-bundle.pem", "ca-bundle.crt", "ca.crt"])
def test_each_name_of_the_bundle_is_read(start_proxy, identities, directory, name):
    home = identities.authority.write(directory / "trust", name)
    assert served(start_proxy, CA_DIR=str(home)) == 200


@pytest.mark.parametrize("name", ["ca.crt", "issuing_ca"])
def test_the_server_directory_may_bring_the_ca_that_verifies_clients(start_proxy, identities, directory, name):
    home = identities.authority.server().write(directory / "pair")
    (home / name).write_bytes(identities.authority.pem)
    trust = identities.stranger.write(directory / "other-trust")
    # Without it the default directories of this machine would be asked for the client pair.
    client = identities.stranger.client("sidecar-client").write(directory / "client")
    assert served(
        start_proxy, SERVER_CERT_DIR=str(home), CA_DIR=str(trust), CLIENT_CERT_DIR=str(client)) == 200


def test_an_alias_that_agrees_is_no_problem(start_proxy, identities):
    directory = str(identities.server_directory)
    assert served(start_proxy, CERT_DIR=directory, SERVER_CERT_DIR=directory) == 200
