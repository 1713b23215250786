"""Where mutual TLS applies, whom it trusts, and what is left alone."""

import json

import pytest
from kit.capture import Capture, assert_only_tls
from kit.pod import url
from kit.transparent import ALL_PORTS, HTTP

MARKER = b"policy-secret-93d1"


def call(pods, address: str, *, host: str | None = None):
    target = url(address, HTTP, f"/echo/{MARKER.decode()}")
    extra = ("-H", f"Host: {host}") if host else ()
    return pods.a.curl("-w", "\n%{http_code}", *extra, target)


def answered(done) -> bool:
    return done.stdout.endswith("\n200")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_destinations_outside_the_mtls_cidrs_pass_through_untouched(fresh_pods, family):
    pods = fresh_pods
    pods.start(pods.a, OUTBOUND_MTLS_CIDRS="192.0.2.0/24,2001:db8::/32")
    pods.b.start_app(*ALL_PORTS)
    with Capture(pods.network.namespace, pods.b.port) as capture:
        done = call(pods, getattr(pods.b, family))
    assert answered(done), done.stderr
    assert capture.holds(MARKER), "passthrough is plain text: that is what was asked for"
    report = json.loads(done.stdout.rpartition("\n")[0])
    assert not any(name.lower().startswith("x-forwarded") for name, _ in report["headers"])


@pytest.mark.parametrize("settings", [
    {"EXCLUDE_OUTBOUND_CIDRS": "10.77.0.3/32,fd77::3/128"}, {"INCLUDE_OUTBOUND_CIDRS": "192.0.2.0/24"},
    {"EXCLUDE_OUTBOUND_PORTS": f"53,{HTTP}"}, {"INCLUDE_OUTBOUND_PORTS": "1-7999"}, {"EXCLUDE_OUTBOUND_UIDS": "1000"},
])
def test_an_excluded_destination_is_never_captured(fresh_pods, settings):
    pods = fresh_pods
    pods.start(pods.a, **settings)
    pods.b.start_app(*ALL_PORTS)
    for address in pods.b.addresses:
        with Capture(pods.network.namespace, pods.b.port) as capture:
            assert answered(call(pods, address))
        assert capture.holds(MARKER)


@pytest.mark.parametrize("settings", [{"EXCLUDE_INBOUND_PORTS": str(HTTP)}, {"INCLUDE_INBOUND_PORTS": "1-7999"}])
def test_an_excluded_inbound_port_reaches_the_application_directly(fresh_pods, settings):
    pods = fresh_pods
    pods.start(pods.b, **settings)
    for address in pods.b.addresses:
        done = pods.stranger.curl(url(address, HTTP, "/echo"))
        assert done.returncode == 0, done.stderr


def test_the_default_deny_refuses_and_nothing_leaves(fresh_pods):
    pods = fresh_pods
    pods.start(pods.a, OUTBOUND_DEFAULT="deny")
    pods.start(pods.b)
    for address in pods.b.addresses:
        with Capture(pods.network.namespace, pods.b.port) as capture:
            assert not answered(call(pods, address))
        assert not capture.holds(MARKER)


@pytest.fixture
def start(fresh_pods):
    """Pod a with a way of verification, pod b with names of its own."""

    def begin(verify: str, **names: object):
        fresh_pods.start(fresh_pods.a, OUTBOUND_VERIFY=verify)
        pair = fresh_pods.identity(fresh_pods.b, **names)
        fresh_pods.start(fresh_pods.b, pair)
        return fresh_pods

    return begin


NOT_ITS_ADDRESS = {"addresses": ("192.0.2.1",)}


def test_full_needs_the_address_that_was_called_in_the_certificate(start):
    pods = start("full", **NOT_ITS_ADDRESS)
    for address in pods.b.addresses:
        with Capture(pods.network.namespace, pods.b.port) as capture:
            done = call(pods, address)
        assert done.stdout.endswith("\n502"), done.stdout
        assert not capture.holds(MARKER)
        assert answered(call(pods, address, host="b.test")), "by its name it is the right one"


def test_san_needs_one_of_the_list(start):
    pods = start("san:spiffe://test/*", **NOT_ITS_ADDRESS)
    assert answered(call(pods, pods.b.ipv4))


def test_san_refuses_others(start):
    pods = start("san:spiffe://prod/*,c.test", **NOT_ITS_ADDRESS)
    with Capture(pods.network.namespace, pods.b.port) as capture:
        assert call(pods, pods.b.ipv4).stdout.endswith("\n502")
    assert not capture.holds(MARKER)


def test_ca_needs_the_chain_only(start):
    pods = start("ca", **NOT_ITS_ADDRESS)
    with Capture(pods.network.namespace, pods.b.port) as capture:
        assert answered(call(pods, pods.b.ipv6))
    assert_only_tls(capture, MARKER)


def start_tls_server(pods, authority) -> None:
    """A TLS server in b that is no sidecar and asks for no certificate."""
    home = pods.write("tls-server", authority.server("b", addresses=pods.b.addresses))
    pods.b.start_app("--tls", str(HTTP), "--certificate", str(home / "tls.crt"), "--key", str(home / "tls.key"))


@pytest.mark.parametrize("verify", ["full", "ca", "san:*"])
def test_no_verification_accepts_a_server_of_another_ca(fresh_pods, verify):
    fresh_pods.start(fresh_pods.a, OUTBOUND_VERIFY=verify)
    start_tls_server(fresh_pods, fresh_pods.other_authority)
    with Capture(fresh_pods.network.namespace, fresh_pods.b.port) as capture:
        assert call(fresh_pods, fresh_pods.b.ipv4).stdout.endswith("\n502")
    assert not capture.holds(MARKER)


@pytest.mark.parametrize("verify", ["full", "ca", "san:localhost"])
def test_a_good_server_that_is_no_sidecar_is_reached(fresh_pods, verify):
    fresh_pods.start(fresh_pods.a, OUTBOUND_VERIFY=verify)
    start_tls_server(fresh_pods, fresh_pods.authority)
    with Capture(fresh_pods.network.namespace, fresh_pods.b.port) as capture:
        assert answered(call(fresh_pods, fresh_pods.b.ipv4))
    assert_only_tls(capture, MARKER)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_preserve_source_ip_shows_the_application_the_client(fresh_pods, family):
    pods = fresh_pods
    pods.start(pods.a)
    pods.start(pods.b, PRESERVE_SOURCE_IP="true")
    done = call(pods, getattr(pods.b, family))
    assert answered(done), done.stdout + done.stderr
    assert json.loads(done.stdout.rpartition("\n")[0])["peer"] == getattr(pods.a, family)


def test_without_preserve_source_ip_the_application_sees_loopback(pods):
    done = call(pods, pods.b.ipv4)
    assert json.loads(done.stdout.rpartition("\n")[0])["peer"] == "127.0.0.1"
