"""One request has one id: the client's, or one made here; the application and the log know the same."""

from __future__ import annotations

import json
import re

import pytest
from kit.process import wait_until

MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def seen(proxy, name: str, *headers: tuple[str, str], target: str = "/echo") -> list[str]:
    with proxy.connect() as client:
        fields = client.request(target, headers=headers).json["headers"]
    return [value for key, value in fields if key.lower() == name]


def logged(proxy, path: str) -> dict:
    """The line of the access log about the one request for `path`."""
    line = wait_until(
        lambda: next((line for line in proxy.process.stdout.splitlines() if f'"path":"{path}"' in line), None),
        f"{path} is logged")
    return json.loads(line)


@pytest.mark.parametrize("brought", ["abc-123", "x" * 36, 'with "quotes" \\ and blanks', "a,b"])
def test_a_clients_id_is_kept_and_logged(start_proxy, brought):
    proxy = start_proxy()
    assert seen(proxy, "x-request-id", ("X-Request-Id", brought), target="/echo/kept") == [brought]
    assert logged(proxy, "/echo/kept")["request_id"] == brought


@pytest.mark.parametrize("headers", [(), (("X-Request-Id", ""),), (("x-request-id", " \t "),)],
                         ids=["absent", "empty", "blank"])
def test_an_id_is_made_where_there_is_none_and_logged(start_proxy, headers):
    proxy = start_proxy()
    [made] = seen(proxy, "x-request-id", *headers, target="/echo/made")
    assert MADE.fullmatch(made)
    assert logged(proxy, "/echo/made")["request_id"] == made


def test_no_two_requests_get_the_same_id(start_proxy):
    proxy = start_proxy(WORKER_THREADS="2")
    ids = []
    for _ in range(10):
        with proxy.connect() as client:
            for _ in range(20):
                fields = client.request("/echo").json["headers"]
                ids += [value for name, value in fields if name == "x-request-id"]
    assert len(set(ids)) == len(ids) == 200


@pytest.mark.parametrize("brought, kept", [
    (("one", "two"), "one"), (("one", "one"), "one"), (("", "two"), "two"), (("one", ""), "one"),
])
def test_of_several_ids_one_is_kept(start_proxy, brought, kept):
    """Two ids would let the application's log and this one speak of different requests."""
    proxy = start_proxy()
    headers = [("X-Request-Id", value) for value in brought]
    assert seen(proxy, "x-request-id", *headers, target="/echo/several") == [kept]
    assert logged(proxy, "/echo/several")["request_id"] == kept


def test_a_long_id_reaches_the_application_whole_and_the_log_in_part(start_proxy):
    proxy = start_proxy()
    brought = "long-" * 2000
    assert seen(proxy, "x-request-id", ("X-Request-Id", brought), target="/echo/long") == [brought]
    told = logged(proxy, "/echo/long")["request_id"]
    assert brought.startswith(told) and 32 <= len(told) <= 1024


def test_connection_cannot_take_the_id_away(proxy):
    """Named as a field of the connection it is not the client's to keep, so one is made."""
    [made] = seen(proxy, "x-request-id", ("Connection", "X-Request-Id"), ("X-Request-Id", "mine"))
    assert made == "mine" or MADE.fullmatch(made)


@pytest.mark.parametrize("name, value", [
    ("traceparent", TRACE), ("tracestate", "vendor=1,other=2"), ("baggage", "a=b"), ("b3", "0"),
    ("x-b3-traceid", "463ac35c9f6413ad"),
])
def test_tracing_headers_pass_through(proxy, name, value):
    assert seen(proxy, name, (name, value)) == [value]
