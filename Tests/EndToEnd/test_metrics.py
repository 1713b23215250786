"""Every metric of SPEC section 12 is there from the start, and moves when what it counts happens."""

from kit.monitor import metrics

FROM_OLD = {
    "tls_reloads_total", "mtls_failures_total", "requests_total", "outbound_requests_total",
    "outbound_request_failures_total", "outbound_connect_success_total", "outbound_connect_failure_total",
    "outbound_upgrade_success_total", "outbound_upgrade_failure_total", "outbound_bytes_sent_total",
    "outbound_bytes_received_total",
}


def test_all_are_there_from_the_start(start_proxy):
    page = metrics(start_proxy(ENABLE_METRICS="true"))
    for name in FROM_OLD:
        assert page.value(name) == 0, name
    print(page.text)
    print({n: page.families[n].kind for n in page.families})
