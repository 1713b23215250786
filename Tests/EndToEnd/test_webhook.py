"""Admission reviews: what is answered, what is refused, and what the webhook survives."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.pki import Authority
from kit.process import Process, wait_until
from kit.webhook import NAME, Caller, Webhook, apply, patch_of, pod, review

INJECT = "sidecar.mtls.dev/inject"


@pytest.fixture(scope="module")
def pair(scratch: Path) -> tuple[Authority, Path]:
    """An authority, and the directory of a certificate for the webhook's Service."""
    authority = Authority("Webhook CA")
    directory = authority.server(dns=(NAME,)).write(scratch / "webhook-pair")
    return authority, directory


@pytest.fixture(scope="module")
def webhook(binary: Path, scratch: Path, pair) -> Iterator[Webhook]:
    """One webhook that many tests share; it must survive all of them."""
    shared = Webhook(binary, scratch, tls=pair[1]).wait_ready()
    yield shared
    assert shared.process.is_running, f"the shared webhook died:\n{shared.process.output_tail()}"
    shared.stop()


@pytest.fixture
def caller(webhook: Webhook, pair) -> Iterator[Caller]:
    with webhook.connect(pair[0].pem) as connection:
        yield connection


@pytest.fixture
def start(binary, directory, pair) -> Iterator[Callable[..., Webhook]]:
    started: list[Webhook] = []

    def launch(*options: str, tls: Path = pair[1], **settings: str) -> Webhook:
        started.append(Webhook(binary, directory, tls=tls, options=options, **settings))
        return started[-1].wait_ready()

    yield launch
    for webhook in started:
        webhook.stop()


# Reviews


def containers(of: dict) -> set[str]:
    return {one["name"] for kind in ("containers", "initContainers") for one in of["spec"].get(kind, [])}


def test_a_pod_gets_the_sidecar(caller):
    response = caller.ask(review(pod()))
    assert response["allowed"] is True
    changed = apply(patch_of(response), pod())
    assert containers(changed) == {"web", "sidecar", "sidecar-init"}
    assert "sidecar.mtls.dev/status" in changed["metadata"]["annotations"]


def test_a_pod_that_has_the_sidecar_is_left_as_it_is(caller):
    changed = apply(patch_of(caller.ask(review(pod()))), pod())
    response = caller.ask(review(changed))
    assert response["allowed"] is True and "patch" not in response


@pytest.mark.parametrize("where", ["labels", "annotations"])
@pytest.mark.parametrize("value", ["false", "disabled"])
def test_a_pod_that_opts_out_is_left_alone_and_its_owner_told(caller, where, value):
    response = caller.ask(review(pod(**{where: {INJECT: value}})))
    assert response["allowed"] is True and "patch" not in response
    assert len(response["warnings"]) == 1 and response["warnings"][0].startswith("sidecar: not injected: ")


def test_a_pod_on_the_nodes_network_is_left_alone_and_its_owner_told(caller):
    response = caller.ask(review(pod(hostNetwork=True)))
    assert response["allowed"] is True and "patch" not in response
    assert "hostNetwork" in response["warnings"][0]


@pytest.mark.parametrize(("wishes", "expected"), [
    ({}, False), ({"annotations": {INJECT: "true"}}, True), ({"labels": {INJECT: "enabled"}}, True),
    ({"labels": {INJECT: "true"}, "annotations": {INJECT: "false"}}, False),
])
def test_where_all_pods_are_shown_only_those_that_ask_get_it(caller, wishes, expected):
    response = caller.ask(review(pod(**wishes)), path="/mutate/if-asked")
    assert response["allowed"] is True and ("patch" in response) == expected


def test_a_wrong_annotation_refuses_the_pod_and_says_why(caller):
    response = caller.ask(review(pod(annotations={"sidecar.mtls.dev/outbound-verify": "sometimes"})))
    assert response["allowed"] is False and "patch" not in response
    assert response["status"]["code"] == 400
    assert "outbound-verify" in response["status"]["message"] and "sometimes" in response["status"]["message"]


def test_a_dry_run_is_answered_the_same(caller):
    assert patch_of(caller.ask(review(pod(), dryRun=True))) == patch_of(caller.ask(review(pod())))


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "CONNECT"])
def test_what_makes_no_pod_is_allowed_unchanged(caller, operation):
    fields = {"object": None} if operation == "DELETE" else {}
    response = caller.ask(review(pod(), operation=operation, **fields))
    assert response == {"uid": response["uid"], "allowed": True}


def test_other_kinds_are_allowed_unchanged(caller):
    response = caller.ask(review({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}}))
    assert response["allowed"] is True and "patch" not in response


def test_text_of_any_script_comes_through(caller):
    value = "naïve \U0001f600 \"quoted\" \\ \n\t </script> \u2028"
    response = caller.ask(review(pod(annotations={"note": value})))
    assert apply(patch_of(response), pod(annotations={"note": value}))["metadata"]["annotations"]["note"] == value


def test_each_review_is_one_line_of_the_log(webhook, caller):
    uid = caller.ask(review(pod(name="logged")))["uid"]

    def line() -> dict | None:
        return next((line for line in webhook.log if line.get("uid") == uid), None)

    found = wait_until(line, "the review in the log")
    assert (found["outcome"], found["namespace"], found["name"], found["operation"]) == ("injected", "demo", "web", "CREATE")


# The protocol


@pytest.mark.parametrize("headers", [{}, {"transfer-encoding": "chunked"}, {"expect": "100-continue"}])
def test_a_body_comes_in_every_form(webhook, pair, headers):
    body = json.dumps(review()).encode()
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\n\r\n"
    with webhook.connect(pair[0].pem) as caller:
        fields = {"content-type": "application/json; charset=utf-8"} | headers
        if "transfer-encoding" not in headers:
            fields["content-length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        caller.socket.sendall(f"POST /mutate HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode())
        if "expect" in headers:
            assert caller.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.socket.sendall(framed if "transfer-encoding" in headers else body)
        assert caller.socket.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("fields", "status", "words"), [
    ({"path": "/"}, 404, "POST /mutate"), ({"path": "/mutate/x"}, 404, "POST /mutate"), ({"method": "GET"}, 405, "POST"),
    ({"method": "PUT"}, 405, "POST"), ({"content_type": "text/plain"}, 415, "application/json"),
    ({"content_type": None}, 415, "application/json"), ({"content_type": "application/json-patch+json"}, 415, "application/json"),
])
def test_a_wrong_request_is_told_what_is_right(caller, fields, status, words):
    assert (answer := caller.send(b"{}", **fields))[0] == status
    assert words in answer[1].decode() and answer[1].count(b"\n") == 1
    assert caller.ask(review())["allowed"] is True


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused(webhook, pair, chunked):
    for size, expected in ((3 << 20, 200), ((3 << 20) + 1, 413)):
        value = review(pod(annotations={"note": "x" * 1000}))
        body = json.dumps(value).encode()
        body += b" " * (size - len(body))
        with webhook.connect(pair[0].pem) as caller:
            if chunked:
                pieces = (body[start:start + 65536] for start in range(0, len(body), 65536))
                caller.connection.request("POST", "/mutate", pieces, {"content-type": "application/json"}, encode_chunked=True)
                response = caller.connection.getresponse()
                status, text = response.status, response.read()
            else:
                status, text = caller.send(body)
            assert status == expected
            if expected == 413:
                assert b"3145728" in text


def test_health_is_on_both_ports(webhook, caller):
    for path in ("/live", "/ready"):
        assert webhook.monitor(path)[0] == 200
        assert caller.send(b"", path=path, method="GET") == (200, b"ok\n")
    assert webhook.monitor("/x")[0] == 404


def test_metrics_tell_outcomes(webhook, caller):
    def value(outcome: str) -> float:
        return float(webhook.monitor("/metrics")[1].split(f'reviews_total{{outcome="{outcome}"}} ')[1].split()[0])

    before = {name: value(name) for name in ("injected", "skipped", "refused", "malformed")}
    caller.ask(review())
    caller.ask(review(pod(hostNetwork=True)))
    caller.ask(review(pod(annotations={INJECT: "perhaps"})))
    caller.send(b"nonsense")
    assert {name: value(name) - count for name, count in before.items()} == dict.fromkeys(before, 1)


# What it survives


def mutated(seed: random.Random) -> bytes:
    """A review with something wrong in it."""
    value = review(pod(annotations={"a": "b"}))
    text = bytearray(json.dumps(value).encode())
    match seed.randrange(7):
        case 0: return bytes(text[:seed.randrange(len(text))])
        case 1:
            for _ in range(seed.randrange(1, 8)):
                text[seed.randrange(len(text))] = seed.randrange(256)
            return bytes(text)
        case 2: return b"[" * seed.randrange(1, 200_000)
        case 3: return b'{"a":' * seed.randrange(1, 100_000)
        case 4:
            request = value["request"]
            request[seed.choice(list(request))] = seed.choice([None, 1, [], {}, "x", True, -1e300, "\u0000"])
            return json.dumps(value).encode()
        case 5:
            key = seed.choice(["metadata", "spec", "kind", "apiVersion"])
            value["request"]["object"][key] = seed.choice([None, 1, [], {}, "x", True, [None], {"containers": 1}])
            return json.dumps(value).encode()
        case _:
            spec = value["request"]["object"]["spec"]
            part = seed.choice(["containers", "volumes", "initContainers"])
            spec[part] = seed.choice([None, 7, "x", [1], [[]], [{}], [{"name": 1}], [{"name": "web", "ports": 3}],
                                      [{"name": "web", "ports": [{"containerPort": "http"}]}],
                                      [{"name": "web", "livenessProbe": {"httpGet": []}}]])
            return json.dumps(value).encode()


def test_hundreds_of_malformed_reviews_are_answered_and_the_next_good_one_too(webhook, pair):
    seed = random.Random(20_261_121)
    statuses: dict[int, int] = {}
    memory = webhook.process.rss_bytes()
    with webhook.connect(pair[0].pem) as caller:
        for number in range(800):
            body = mutated(seed)
            status, answer = caller.send(body)
            statuses[status] = statuses.get(status, 0) + 1
            assert status in (200, 400), (status, body[:300])
            if status == 400:
                assert answer.endswith(b"\n") and len(answer) < 600, answer
            else:
                assert "allowed" in json.loads(answer)["response"]
            if number % 20 == 0:
                assert caller.ask(review())["allowed"] is True
        assert caller.ask(review())["allowed"] is True
    assert statuses[400] > 200 and statuses[200] > 100, statuses
    assert webhook.process.rss_bytes() < memory + (32 << 20)


def test_clients_that_stop_halfway_hold_up_nobody(webhook, pair):
    body = json.dumps(review()).encode()
    halves = []
    for _ in range(40):
        half = webhook.connect(pair[0].pem)
        half.socket.sendall(b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body[:50])
        halves.append(half)
    silent = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(40)]
    with webhook.connect(pair[0].pem) as caller:
        assert caller.ask(review())["allowed"] is True
    for connection in halves + silent:
        connection.close()


def test_bodies_that_never_end_hold_bounded_memory(webhook, pair):
    """Each may have 3 MiB, all together 32 MiB: who comes after that is asked to try again."""
    memory = webhook.process.rss_bytes()
    piece = b"x" * ((3 << 20) - 1)
    halves = [webhook.connect(pair[0].pem) for _ in range(30)]
    for half in halves:
        half.socket.settimeout(5)
        with contextlib.suppress(OSError):  # refused before it was all sent
            half.socket.sendall(b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (3 << 20) + piece)
    refused: set[Caller] = set()

    def some_are_refused() -> bool:
        for half in set(halves) - refused:
            half.socket.settimeout(0.01)
            with contextlib.suppress(OSError):
                if half.socket.recv(20).startswith(b"HTTP/1.1 503"):
                    refused.add(half)
        return len(refused) >= 5

    wait_until(some_are_refused, "some are refused", seconds=9)
    assert webhook.process.rss_bytes() < memory + (72 << 20)
    for half in halves:
        half.close()
    with webhook.connect(pair[0].pem) as caller:
        wait_until(lambda: caller.ask(review())["allowed"], "reviews are answered again")


def test_plain_http_on_the_tls_port_is_refused_and_logged(webhook):
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=5) as plain:
        plain.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n")
        while plain.recv(100):
            pass
    wait_until(lambda: any("plain HTTP" in line.get("reason", "") for line in webhook.log), "the reason in the log")


# Certificates of a directory


def test_a_certificate_of_a_directory_is_exchanged_and_no_connection_suffers(start, pair, directory):
    authority, _ = pair
    place = authority.server(dns=(NAME,)).write(directory / "pair")
    webhook = start(tls=place)
    with webhook.connect(authority.pem) as standing:
        old = standing.serial
        standing.ask(review())
        authority.server(dns=(NAME,)).write(place)

        def changed() -> bool:
            with webhook.connect(authority.pem) as fresh:
                fresh.ask(review())
                return fresh.serial != old

        wait_until(changed, "new connections get the new certificate")
        standing.ask(review())
        (place / "tls.crt").write_bytes(b"broken")
        wait_until(lambda: any("not reloaded" in line["message"] for line in webhook.log), "the broken one is reported")
        assert changed(), "what is in force stays"


def test_a_directory_without_a_pair_is_named(binary, directory):
    empty = directory / "empty"
    empty.mkdir()
    webhook = Webhook(binary, directory, tls=empty)
    assert webhook.process.wait(5) == 1
    assert f"--tls-dir ({empty})" in webhook.process.stderr and "tls.crt" in webhook.process.stderr


# The end


def test_sigterm_lets_every_review_finish(start, pair):
    webhook = start("--drain-seconds", "2")
    failures: list[str] = []
    answered = [0]
    told = threading.Event()
    stop = threading.Event()

    def work() -> None:
        try:
            caller = webhook.connect(pair[0].pem)
            while not stop.is_set():
                assert caller.ask(review())["allowed"]
                answered[0] += 1
                if caller.response.getheader("connection") == "close":
                    told.set()
                    caller.close()
                    if stop.wait(0.05):
                        return
                    caller = webhook.connect(pair[0].pem)
        except Exception as error:  # noqa: BLE001
            if not stop.is_set():
                failures.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: answered[0] > 50 or failures, "reviews flow")
    begin = time.monotonic()
    webhook.process.terminate()
    wait_until(lambda: webhook.monitor("/ready")[0] == 503, "/ready answers 503")
    assert told.wait(5), "clients are asked to go"
    time.sleep(0.5)  # the server still serves those that come
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert webhook.process.wait(10) == 0
    assert time.monotonic() - begin > 1.5


def test_idle_connections_do_not_hold_up_the_end(start, pair):
    webhook = start("--drain-seconds", "1")
    with webhook.connect(pair[0].pem) as caller:
        caller.ask(review())
        webhook.process.terminate()
        assert webhook.process.wait(8) == 0
        assert caller.socket.recv(1) == b""


def test_a_second_signal_ends_it_at_once(start):
    webhook = start("--drain-seconds", "60")
    webhook.process.terminate()
    wait_until(lambda: webhook.monitor("/ready")[0] == 503, "it drains")
    webhook.process.child.send_signal(signal.SIGINT)
    assert webhook.process.wait(5) == 0


@pytest.mark.parametrize(("options", "words"), [
    (("--port", "0"), "--port"), (("--certificate-lifetime", "5"), "certificate-lifetime"),
    (("--certificate-lifetime", "20d", "--authority-lifetime", "10d"), "--authority-lifetime"),
    (("--failure-policy", "maybe"), "failure-policy"), (("--drain-seconds", "-1"), "--drain-seconds"),
])
def test_wrong_options_are_usage_errors(binary, directory, pair, options, words):
    webhook = Webhook(binary, directory, tls=pair[1], options=options)
    assert webhook.process.wait(5) == 2
    assert words in webhook.process.stderr


def test_a_port_that_is_taken_is_named(binary, directory, pair, webhook):
    other = Webhook(binary, directory, tls=pair[1], options=("--port", str(webhook.port)))
    assert other.process.wait(5) == 1
    assert "--port: cannot listen" in other.process.stderr


def test_it_needs_no_privilege_and_writes_no_file(binary, directory, pair):
    """As the manifest runs it: another user, no capability, a root file system that is read-only."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv: runs on Debian and Ubuntu, whose util-linux has it")
    if os.geteuid() != 0:
        pytest.skip("another user: runs as root (`make test` as root on Linux, as CI does)")
    readable = directory / "pair"
    shutil.copytree(pair[1], readable)
    webhook = Webhook(binary, directory, tls=readable)
    webhook.stop()
    command = ["setpriv", "--reuid=1337", "--regid=1337", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    process = Process(
        [*command, *webhook.process.command], directory / "unprivileged", webhook.process.environment)
    webhook.process = process
    try:
        webhook.wait_ready()
        with webhook.connect(pair[0].pem) as caller:
            assert caller.ask(review())["allowed"] is True
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "CapPrm:\t0000000000000000" in status and "Uid:\t1337" in status
    finally:
        process.stop()


# Variables as the kubelet reads them


def expanded(text: str, variables: dict[str, str]) -> str:
    """What the kubelet makes of a variable's value: $$ is a dollar, $(NAME) a variable that stands before."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)",
        lambda match: "$" if match[0] == "$$" else variables.get(match[1], match[0]), text)


@pytest.mark.parametrize("path", ["/a$(POD_NAME)", "/a$$(POD_NAME)", "/a$$$(POD_NAME)", "/$", "/$$", "/$$$b$$("])
def test_no_dollar_lets_another_variable_in(caller, path):
    probe = {"httpGet": {"path": path, "port": 8080}}
    original = pod(containers=[{"name": "web", "image": "nginx", "livenessProbe": probe}])
    changed = apply(patch_of(caller.ask(review(original))), original)
    sidecar = next(one for one in changed["spec"]["initContainers"] if one["name"] == "sidecar")
    value = next(one["value"] for one in sidecar["env"] if one["name"] == "APP_PROBES")
    asked = json.loads(expanded(value, {"POD_NAME": "stolen"}))["/app-health/web/livez"]["httpGet"]["path"]
    assert asked == path
    again = caller.ask(review(changed))
    assert again["allowed"] is True and "patch" not in again
