"""The application learns who called, exactly, and from nobody but the proxy."""

import base64
import hashlib
import json
import urllib.parse

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

SERIAL = 0x12345678901234567890


@pytest.fixture(scope="module")
def pair(identities):
    return identities.authority.client(
        "billing", organization="Acme, Inc.", dns=("billing.example", "b2.example"),
        uris=("spiffe://test/ns/shop/sa/billing",), serial=SERIAL)


@pytest.fixture(scope="module")
def caller(identities, pair):
    return identities.write("billing", pair)


def identity_seen(proxy, caller, *headers: tuple[str, str]) -> dict[str, list[str]]:
    with proxy.connect(caller) as client:
        report = client.request("/echo", headers=headers).json
    seen: dict[str, list[str]] = {}
    for name, value in report["headers"]:
        seen.setdefault(name.lower(), []).append(value)
    return seen


def test_tls_info_is_the_specified_json_byte_for_byte(proxy, caller, pair):
    [value] = identity_seen(proxy, caller)["x-client-tls-info"]
    certificate = pair.certificate
    der = certificate.public_bytes(Encoding.DER)
    expected = {
        "subject": "CN=billing,O=Acme\\, Inc.",
        "uri_sans": ["spiffe://test/ns/shop/sa/billing"],
        "dns_sans": ["billing.example", "b2.example"],
        "hash": "sha256:" + hashlib.sha256(der).hexdigest(),
        "not_before": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "not_after": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "serial": hex(SERIAL),
    }
    assert base64.b64decode(value, validate=True).decode() == json.dumps(expected, separators=(",", ":"))


def test_common_name_and_subject(proxy, caller):
    seen = identity_seen(proxy, caller)
    assert seen["x-client-cn"] == ["billing"]
    assert seen["x-client-subject"] == ["CN=billing,O=Acme\\, Inc."]


def test_xfcc_follows_envoys_grammar(proxy, caller, pair):
    [value] = identity_seen(proxy, caller)["x-forwarded-client-cert"]
    digest = hashlib.sha256(pair.certificate.public_bytes(Encoding.DER)).hexdigest()
    assert f"Hash={digest}" in value
    assert 'Subject="CN=billing,O=Acme\\\\, Inc."' in value or 'Subject="CN=billing,O=Acme\\, Inc."' in value
    assert "URI=spiffe://test/ns/shop/sa/billing" in value
    assert "DNS=billing.example" in value and "DNS=b2.example" in value


def test_client_cert_is_the_certificate_as_a_byte_sequence(proxy, caller, pair):
    [value] = identity_seen(proxy, caller)["client-cert"]
    assert value.startswith(":") and value.endswith(":")
    assert base64.b64decode(value[1:-1], validate=True) == pair.certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("name", [
    "X-Client-TLS-Info", "X-Client-CN", "X-Client-Subject", "X-Forwarded-Client-Cert", "Client-Cert",
    "Client-Cert-Chain", "x-client-cn", "X-CLIENT-CN", "X-Client-Anything",
])
def test_a_spoofed_copy_never_reaches_the_application(proxy, start_proxy, caller, name):
    for target in (proxy, start_proxy()):
        seen = identity_seen(target, caller, (name, "Hash=spoofed"))
        assert not any("spoofed" in value for values in seen.values() for value in values)


def test_nothing_is_injected_by_default(start_proxy, caller):
    seen = identity_seen(start_proxy(), caller)
    assert not any(name.startswith("x-client-") for name in seen)
    assert "x-forwarded-client-cert" not in seen and "client-cert" not in seen


def test_true_means_the_three_x_client_headers(start_proxy, caller):
    seen = identity_seen(start_proxy(INJECT_CLIENT_HEADERS="true"), caller)
    assert {"x-client-tls-info", "x-client-cn", "x-client-subject"} <= set(seen)
    assert "x-forwarded-client-cert" not in seen and "client-cert" not in seen


def test_a_list_means_only_those(start_proxy, caller):
    seen = identity_seen(start_proxy(INJECT_CLIENT_HEADERS="cn,xfcc"), caller)
    assert "x-client-cn" in seen and "x-forwarded-client-cert" in seen
    assert "x-client-tls-info" not in seen and "x-client-subject" not in seen


@pytest.mark.parametrize("name", ["line\r\nX-Client-CN: admin", "naïve ☃", 'quote";,=', "nul\x00byte"])
def test_a_hostile_common_name_cannot_inject(proxy, identities, name):
    pair = identities.authority.client(name)
    directory = identities.write("hostile-" + urllib.parse.quote(name, safe=""), pair)
    seen = identity_seen(proxy, directory)
    assert len(seen.get("x-client-cn", [])) <= 1
    assert "admin" not in seen.get("x-client-cn", [])
    for values in seen.values():
        assert not any(character in value for value in values for character in "\r\n\0")


def test_two_callers_on_their_own_connections_are_told_apart(proxy, caller, identities):
    with proxy.connect(caller) as first, proxy.connect() as second:
        for _ in range(3):
            for client, name in ((first, "billing"), (second, "caller")):
                headers = dict((key.lower(), value) for key, value in client.request("/echo").json["headers"])
                assert headers["x-client-cn"] == name
