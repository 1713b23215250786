"""gRPC as applications use it: every kind of call, its status and its end, through one sidecar and through two."""

import hashlib
import json
import subprocess
import sys

import pytest
from conftest import KIT
from kit import h2wire
from kit.grpcapp import DETAILS, MEGABYTE, MESSAGE, STREAMED
from kit.pod import APP_UID
from kit.process import Process
from kit.proxy import Proxy, free_port

PORT = 50_051
CALLS = str(KIT / "grpccalls.py")
STREAM = {
    "count": STREAMED,
    "sha256": hashlib.sha256(b"".join(bytes([index]) * MEGABYTE for index in range(STREAMED))).hexdigest()}


@pytest.fixture(scope="module")
def grpcapp(scratch):
    process = Process([sys.executable, str(KIT / "grpcapp.py"), "0"], scratch / "grpcapp")
    try:
        yield json.loads(process.wait_for_line("grpc"))["grpc"]
    finally:
        process.stop()


def call(port: int, identities, *options: str) -> dict:
    """All calls over mTLS as the good caller."""
    done = subprocess.run(
        [sys.executable, CALLS, f"localhost:{port}", "--ca", str(identities.ca_file),
         "--pair", str(identities.caller_directory), *options], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def explicit(grpcapp, binary, identities, scratch):
    """mTLS with ALPN h2 to the sidecar, HTTP/2 with prior knowledge from there, without any setting."""
    proxy = Proxy(binary, identities, scratch, grpcapp)
    try:
        yield call(proxy.wait_ready().port, identities)
        assert proxy.process.is_running
    finally:
        proxy.stop()


@pytest.fixture(scope="module")
def transparent(pods):
    """Plain gRPC from one pod to the other, mTLS between their sidecars."""
    server = pods.b.start("grpc", pods.b.command(
        sys.executable, str(KIT / "grpcapp.py"), str(PORT), "--uid", str(APP_UID)))
    server.wait_for_line("grpc")
    done = pods.a.run(sys.executable, CALLS, f"{pods.b.ipv4}:{PORT}", seconds=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["explicit", "transparent"])
def outcomes(request):
    return request.getfixturevalue(request.param)


def test_a_unary_call_of_a_megabyte_with_its_metadata(outcomes):
    outcome = outcomes["unary"]
    assert outcome.get("same") and outcome["code"] == "OK", outcome
    assert outcome["initial"] | {"x-initial": "first", "x-test": "kept", "x-test-bin": "0001fe"} == outcome["initial"]
    assert outcome["trailing"] == {"x-trailing": "last", "x-bytes-bin": "00ff"}


def test_an_empty_message(outcomes):
    assert outcomes["empty"] == {"length": 0}


@pytest.mark.parametrize("kind", ["client_stream", "server_stream", "bidirectional"])
def test_streams_of_megabytes(outcomes, kind):
    assert outcomes[kind] == STREAM


def test_hundreds_of_calls_at_once(outcomes):
    assert outcomes["many"] == {"same": True}


def test_a_status_with_its_message_and_details(outcomes):
    outcome = outcomes["fail"]
    assert (outcome["code"], outcome["message"]) == ("NOT_FOUND", MESSAGE)
    assert outcome["trailing"]["grpc-status-details-bin"] == DETAILS.hex()


def test_a_status_after_an_answer_has_begun(outcomes):
    outcome = outcomes["fail_late"]
    assert outcome["received"] == ["one"]
    assert (outcome["code"], outcome["message"]) == ("RESOURCE_EXHAUSTED", MESSAGE)
    assert outcome["trailing"]["grpc-status-details-bin"] == DETAILS.hex()


def test_a_method_that_is_not_there(outcomes):
    assert outcomes["unknown"]["code"] == "UNIMPLEMENTED"


def test_the_server_hears_of_a_cancelled_call(outcomes):
    assert outcomes["cancel"] == {"code": "CANCELLED", "server heard": True}


def test_the_deadline_is_known_to_the_server_and_ends_the_call(outcomes):
    outcome = outcomes["deadline"]
    assert outcome["code"] == "DEADLINE_EXCEEDED"
    assert outcome["server knew"] and outcome["server heard"]


def test_an_error_in_one_head_stays_in_one_head(proxies):
    """Trailers-Only: clients tell it from an answer without trailers by END_STREAM on the first HEADERS."""
    with h2wire.connect(proxies["h2"]) as client:
        stream = client.request(
            "/trailers-only", "POST", headers=(("content-type", "application/grpc"), ("te", "trailers")), body=bytes(5))
    assert stream.header("grpc-status") == "5" and stream.header("grpc-message") == "no such thing"
    assert stream.trailers == [] and not stream.body


def test_an_application_that_is_down_is_unavailable(start_proxy, identities):
    proxy = start_proxy(upstream_port=free_port())
    assert call(proxy.port, identities, "--only", "fail")["fail"]["code"] == "UNAVAILABLE"


def test_an_application_that_is_down_is_unavailable_through_two_sidecars(pods):
    done = pods.a.run(sys.executable, CALLS, f"{pods.b.ipv4}:{PORT + 1}", "--only", "fail", seconds=60)
    assert json.loads(done.stdout)["fail"]["code"] == "UNAVAILABLE", done.stderr


def test_an_application_that_dies_in_a_call_is_unavailable_not_an_answer(start_proxy, h2app, identities):
    """A reset connection toward the application must end as a status of gRPC, or as a reset stream that means one."""
    proxy = start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{h2app}")
    with h2wire.connect(proxy) as client:
        stream = client.wait_done(client.open(
            "/drop", "POST", headers=(("content-type", "application/grpc"), ("te", "trailers")), body=bytes(5)))
        assert stream.reset is not None or stream.status in (502, 503) or stream.header("grpc-status") == "14"
        assert client.request("/echo").status == 200
