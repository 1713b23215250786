"""A wrong setting ends the start with exit code 1 and a sentence that names it."""

from datetime import timedelta

import pytest
from kit.pki import CLIENT
from kit.proxy import free_port, run_once


@pytest.fixture
def settings(identities):
    return {
        "TLS_LISTEN_PORT": str(free_port()), "MONITOR_PORT": str(free_port()), "UPSTREAM_URL": "http://127.0.0.1:9",
        "SERVER_CERT_DIR": str(identities.server_directory), "CLIENT_CERT_DIR": str(identities.client_directory),
        "CA_DIR": str(identities.ca_directory),
    }


def complaint(binary, settings: dict[str, str]) -> str:
    """What the proxy says on stderr before it gives up."""
    done = run_once(binary, ["run"], settings)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr.strip(), "a fatal error says why on stderr"
    return done.stderr


@pytest.mark.parametrize("name, value", [
    ("TLS_LISTEN_PORT", "https"), ("TLS_LISTEN_PORT", "0"), ("TLS_LISTEN_PORT", "65536"), ("TLS_LISTEN_PORT", "-1"),
    ("MONITOR_PORT", "8081x"), ("UPSTREAM_URL", "ftp://localhost"), ("UPSTREAM_URL", "localhost:8000"),
    ("UPSTREAM_URL", ""), ("TLS_MIN_VERSION", "1.1"), ("INJECT_CLIENT_HEADERS", "cn,shoe-size"),
    ("INCLUDE_OUTBOUND_CIDRS", "10.0.0.0/33"), ("OUTBOUND_MTLS_CIDRS", "10.0.0/8"),
    ("EXCLUDE_OUTBOUND_CIDRS", "fd00::/129"),
    ("INCLUDE_INBOUND_PORTS", "80-70"), ("EXCLUDE_OUTBOUND_PORTS", "53,x"), ("EXCLUDE_OUTBOUND_UIDS", "root"),
    ("TRANSPARENT", "maybe"), ("INBOUND_PLAINTEXT", "sometimes"), ("OUTBOUND_DEFAULT", "tls"),
    ("OUTBOUND_VERIFY", "none"),
    ("OUTBOUND_VERIFY", "san:"), ("CAPTURE_MARK", "0x15c0/0xfff"), ("CAPTURE_TABLE", "254"),
    ("PROXY_UID", "0"), ("LOG_LEVEL", "loud"), ("ACCESS_LOG", "sometimes"), ("LOG_FORMAT", "xml"), ("ENABLE_METRICS", "1"),
    ("READINESS_TIMEOUT_SECS", "0"), ("UPSTREAM_READINESS_URL", "localhost"), ("WORKER_THREADS", "0"),
    ("MAX_CONNECTIONS", "many"), ("HEADER_TIMEOUT_SECS", "-1"), ("IDLE_TIMEOUT_SECS", "5m"), ("MAX_HEADER_BYTES", ""),
    ("PRESERVE_HOST", "ja"), ("OUTBOUND_PROXY_PORT", "8080x"), ("OUTBOUND_PROXY_PORT", "0"),
    ("SHUTDOWN_TIMEOUT_SECS", "99999999999999999999"),
])
def test_a_bad_value_is_named_with_its_variable(binary, settings, name, value):
    said = complaint(binary, settings | {name: value})
    assert name in said
    assert value in said


@pytest.mark.parametrize("name, value, shown", [
    ("UPSTREAM_READINESS_URL", "https://h/up?token=SECRET", "https://h/up?[redacted]"),
    ("UPSTREAM_READINESS_URL", "http://user:SECRET@h/", "http://[redacted]@h/"),
    ("UPSTREAM_URL", "http://user:SECRET@h/?t=SECRET", "http://[redacted]@h/?[redacted]"),
    ("APP_PROBES", '{"/app-health/web/livez":{"httpGet":{"port":1,"httpHeaders":"Bearer SECRET"}}}', "httpHeaders"),
    ("APP_PROBES", '{"/app-health/web/livez":{"httpGet":{"port":1,"path":"/ ?t=SECRET"}}}', "?[redacted]"),
])
@pytest.mark.parametrize("command", [["run"], ["init", "--dry-run"], ["doctor"]], ids=lambda command: command[0])
def test_secrets_of_a_bad_value_are_not_told(binary, settings, name, value, shown, command):
    done = run_once(binary, command, settings | {name: value})
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "SECRET" not in said and name in said and shown in said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"])
def test_the_monitor_port_is_no_application(binary, settings, host):
    """A peer's request would come to it from loopback, and might end the process."""
    said = complaint(binary, settings | {"UPSTREAM_URL": f"http://{host}:{settings['MONITOR_PORT']}"})
    assert "UPSTREAM_URL" in said and "MONITOR_PORT" in said


def test_problems_are_logged_in_the_format_that_was_asked_for(binary, settings):
    done = run_once(binary, ["run"], settings | {"LOG_FORMAT": "text", "LOG_LEVEL": "loud"})
    assert done.returncode == 1
    assert " FATAL LOG_LEVEL=loud is not valid" in done.stdout and not done.stdout.startswith("{")
    done = run_once(binary, ["run"], settings | {"LOG_FORMAT": "xml"})
    assert done.stdout.startswith("{") and "LOG_FORMAT=xml" in done.stdout


@pytest.mark.parametrize("name, value", [
    ("POLICY_FILE", "/etc/sidecar/policy.yaml"), ("FORWARD_PORT", "3000"), ("TLS_CERT_URI", "kbs:///a/b/c"),
])
def test_a_setting_that_is_not_supported_yet_is_refused_not_ignored(binary, settings, name, value):
    """Each line goes when its feature comes: the value is then valid and the proxy starts."""
    said = complaint(binary, settings | {name: value})
    assert name in said


@pytest.mark.parametrize("value, reason", [
    ("x", "is not valid JSON, at byte 1"),
    ('{"/health":{"tcpSocket":{"port":80}}}', "/health: the path is not valid"),
    ('{"/app-health/web/livez":{"exec":{"command":["true"]}}}', "/app-health/web/livez: exec"),
    ('{"/app-health/web/livez":{"httpGet":{"port":"http"}}}', "/app-health/web/livez: httpGet.port"),
])
def test_a_bad_probe_is_named_with_its_path(binary, settings, value, reason):
    assert f"APP_PROBES {reason}" in complaint(binary, settings | {"APP_PROBES": value})


def test_a_probe_of_the_sidecar_itself_is_a_problem(binary, settings):
    probe = '{"/app-health/web/livez":{"tcpSocket":{"port":%s}}}' % settings["MONITOR_PORT"]
    said = complaint(binary, settings | {"APP_PROBES": probe})
    assert "/app-health/web/livez" in said and "MONITOR_PORT" in said


def test_all_problems_are_told_at_once(binary, settings):
    said = complaint(binary, settings | {"TLS_LISTEN_PORT": "x", "LOG_LEVEL": "y", "OUTBOUND_MTLS_CIDRS": "z"})
    assert all(name in said for name in ("TLS_LISTEN_PORT", "LOG_LEVEL", "OUTBOUND_MTLS_CIDRS"))


def test_aliases_that_disagree_are_a_problem(binary, settings):
    said = complaint(binary, settings | {"HTTPS_PORT": str(free_port())})
    assert "TLS_LISTEN_PORT" in said and "HTTPS_PORT" in said


def test_two_listeners_on_one_port_are_a_problem(binary, settings):
    said = complaint(binary, settings | {"MONITOR_PORT": settings["TLS_LISTEN_PORT"]})
    assert "TLS_LISTEN_PORT" in said and "MONITOR_PORT" in said


def test_marks_that_cannot_be_told_apart_are_a_problem(binary, settings):
    said = complaint(binary, settings | {"CAPTURE_MARK": "0x5c1/0xfff"})
    assert "CAPTURE_MARK" in said and "PROXY_MARK" in said


def test_a_port_that_is_taken_is_named(binary, settings, app):
    assert str(app["http"]) in complaint(binary, settings | {"TLS_LISTEN_PORT": str(app["http"])})


def test_a_missing_directory_is_named(binary, settings, directory):
    assert str(directory / "nowhere") in complaint(binary, settings | {"SERVER_CERT_DIR": str(directory / "nowhere")})


def test_a_missing_key_is_named(binary, settings, identities, directory):
    home = identities.authority.server().write(directory / "no-key")
    (home / "tls.key").unlink()
    assert str(home) in complaint(binary, settings | {"SERVER_CERT_DIR": str(home)})


@pytest.mark.parametrize("file", ["tls.crt", "tls.key"])
def test_garbage_in_a_pair_names_the_file(binary, settings, identities, directory, file):
    home = identities.authority.server().write(directory / "garbage")
    (home / file).write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert str(home) in complaint(binary, settings | {"SERVER_CERT_DIR": str(home)})


def test_a_garbage_bundle_names_the_file(binary, settings, directory):
    (directory / "ca.crt").write_text("not a certificate")
    assert str(directory / "ca.crt") in complaint(binary, settings | {"CA_DIR": str(directory)})


def test_a_key_of_another_certificate_is_an_error(binary, settings, identities, directory):
    home = identities.authority.server().write(directory / "mismatch")
    (home / "tls.key").write_bytes(identities.authority.server().key_pem)
    said = complaint(binary, settings | {"SERVER_CERT_DIR": str(home)})
    assert str(home) in said and "match" in said


def test_an_encrypted_key_is_a_clear_error(binary, settings, identities, directory):
    pair = identities.authority.server()
    home = pair.write(directory / "encrypted")
    (home / "tls.key").write_bytes(pair.encrypted_key_pem(b"secret"))
    said = complaint(binary, settings | {"SERVER_CERT_DIR": str(home)})
    assert str(home) in said and ("encrypted" in said or "passphrase" in said)


@pytest.mark.parametrize("fields, fault", [
    ({"not_before": timedelta(days=-2), "not_after": timedelta(hours=-1)}, "expired at"),
    ({"not_before": timedelta(days=2), "not_after": timedelta(days=3)}, "not valid before"),
    ({"usages": (CLIENT,)}, "serverAuth"),
], ids=["expired", "not yet valid", "client only"])
def test_an_unusable_server_certificate_is_an_error(binary, settings, identities, directory, fields, fault):
    authority = identities.authority
    pair = authority.issue("c", **fields) if "usages" in fields else authority.server(**fields)
    home = pair.write(directory / "unusable")
    said = complaint(binary, settings | {"SERVER_CERT_DIR": str(home)})
    assert str(home) in said and fault in said
    assert len(said.splitlines()) == 1, said


def test_no_trust_anchor_at_all_is_fatal(binary, settings, directory):
    assert str(directory) in complaint(binary, settings | {"CA_DIR": str(directory)})


def test_an_unknown_command_is_a_usage_error(binary):
    assert run_once(binary, ["dance"], {}).returncode == 2


def test_an_unknown_option_is_a_usage_error(binary):
    assert run_once(binary, ["run", "--fast"], {}).returncode == 2


@pytest.mark.parametrize("name", [
    "MONITOR_PORT", "FORWARD_PORT", "HTTPS_PORT", "TLS_LISTEN_PORT", "OUTBOUND_PROXY_PORT", "INBOUND_CAPTURE_PORT",
])
def test_a_service_of_the_namespace_is_no_setting(binary, name):
    """Kubernetes puts the address of a Service `monitor` into MONITOR_PORT of every container."""
    link = {name: "tcp://10.96.0.3:80"}
    host = name.removesuffix("_PORT") + "_SERVICE_HOST"
    plan = run_once(binary, ["init", "--dry-run"], {})
    assert plan.returncode == 0
    assert run_once(binary, ["init", "--dry-run"], link | {host: "10.96.0.3"}).stdout == plan.stdout
    # Without the Service's other variables somebody has meant it.
    alone = run_once(binary, ["init", "--dry-run"], link)
    assert alone.returncode == 1 and "tcp://10.96.0.3:80" in alone.stderr


def test_the_helpers_find_the_monitor_port_next_to_a_service_of_its_name(binary):
    asked = run_once(
        binary, ["probe", "live"], {"MONITOR_PORT": "udp://10.96.0.3:53", "MONITOR_SERVICE_HOST": "10.96.0.3"})
    assert asked.returncode != 0 and "8081" in asked.stderr and "MONITOR_PORT" not in asked.stderr, asked.stderr
