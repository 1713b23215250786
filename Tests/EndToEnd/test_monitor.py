"""The monitor port says whether the proxy lives and is ready."""

import http.client
import json

from kit.process import wait_until
from kit.proxy import free_port


def test_live_and_ready_answer_200(proxy):
    assert proxy.monitor("/live")[0] == 200
    assert proxy.monitor("/ready")[0] == 200


def test_an_unknown_path_is_404(proxy):
    assert proxy.monitor("/nothing-here")[0] == 404


def test_live_does_not_depend_on_the_upstream(start_proxy):
    proxy = start_proxy(upstream_port=free_port())
    assert proxy.monitor("/live")[0] == 200
    assert proxy.monitor("/ready")[0] == 200


def test_monitor_port_0_disables_it_with_a_warning(start_proxy):
    proxy = start_proxy(wait=False, MONITOR_PORT="0")

    def served() -> bool:
        try:
            with proxy.connect() as client:
                return client.request("/echo").status == 200
        except OSError:
            return False

    wait_until(served, "the proxy serves without a monitor port")
    assert any(json.loads(line)["level"] == "warning" for line in proxy.process.stdout.splitlines())


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Which of two fields of one name counts, readers do not agree on."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def change_log_level(proxy, level: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.monitor_port, timeout=5)
    connection.request("PUT", "/loglevel", level)
    assert connection.getresponse().status == 200
    connection.close()


def test_every_line_of_the_log_is_json_with_the_fields(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.request("/echo/logged?password=secret")
    wait_until(lambda: "/echo/logged" in proxy.process.stdout, "the access log has the request")
    change_log_level(proxy, "debug")
    proxy.process.terminate()
    assert proxy.process.wait(3) == 0
    lines = [json.loads(line, object_pairs_hook=unique) for line in proxy.process.stdout.splitlines()]
    assert {"log level changed", "draining", "stopped"} <= {line["message"] for line in lines}
    assert all({"timestamp", "level", "message"} <= set(line) for line in lines)
    [entry] = [line for line in lines if line.get("path") == "/echo/logged"]
    assert (entry["method"], entry["response_code"], entry["protocol"]) == ("GET", 200, "HTTP/1.1")
    assert "caller" in entry["peer_identity"]
    assert "secret" not in proxy.process.stdout


def test_access_log_off_and_errors(start_proxy):
    quiet, errors = start_proxy(ACCESS_LOG="off"), start_proxy(ACCESS_LOG="errors")
    for proxy in (quiet, errors):
        with proxy.connect() as client:
            client.request("/echo/fine")
            client.request("/status/500")
    wait_until(lambda: "/status/500" in errors.process.stdout, "ACCESS_LOG=errors logs the failure")
    assert "/echo/fine" not in errors.process.stdout
    assert "/status/500" not in quiet.process.stdout and "/echo/fine" not in quiet.process.stdout


def test_a_refused_handshake_is_explained_in_the_log_and_not_to_the_peer(start_proxy, identities):
    proxy = start_proxy()
    stranger = identities.write("log-stranger", identities.stranger.client("mallory"))
    try:
        with proxy.connect(stranger) as client:
            client.request("/echo")
    except OSError:
        pass
    wait_until(lambda: "mallory" in proxy.process.stdout, "the log names the refused certificate")
