"""No metric is without proof: each series of the page is in a case that moves it, or in a list that says why it is not.

A new metric, or a new value of a label, fails here until somebody has shown that it moves.
"""

import pytest
import test_metrics_handshakes
import test_metrics_plaintext
import test_metrics_process
import test_metrics_reloads
import test_metrics_requests
import test_metrics_upstream
from kit.forward import ForwardProxy
from kit.moves import series

FILES = (
    test_metrics_handshakes, test_metrics_plaintext, test_metrics_process, test_metrics_reloads, test_metrics_requests,
    test_metrics_upstream)
REASONS = (test_metrics_handshakes.UNPROVOKABLE, test_metrics_upstream.UNPROVOKABLE)


@pytest.fixture(scope="module")
def cases():
    return [case for file in FILES for case in file.CASES]


def moved(cases) -> set[str]:
    """The series that some case expects to move: a growth of 0 proves nothing."""
    return {name for case in cases for name, growth in case.expected.items() if growth != 0}


def explained() -> set[str]:
    return {name for reasons in REASONS for name in reasons}


def bare(name: str) -> str:
    """`sidecar_build_info` has its versions for labels."""
    return name.partition("{")[0] if name.startswith("sidecar_build_info") else name


def test_each_series_of_the_page_is_moved_by_a_case(start_proxy, cases):
    page = {bare(name) for name in series(ForwardProxy(start_proxy, ENABLE_METRICS="true").proxy)}
    assert len(page) > 120
    left = page - moved(cases) - explained() - test_metrics_process.CONSTANT.keys()
    assert not left, sorted(left)


def test_no_case_is_about_a_series_that_there_is_not(start_proxy, cases):
    page = set(series(ForwardProxy(start_proxy, ENABLE_METRICS="true").proxy))
    named = {name for case in cases for name in case.expected} | explained()
    # A port has its row when its application has answered.
    strange = {name for name in named - page if not name.startswith('sidecar_plaintext_requests_total{port="8000"')}
    assert not strange, sorted(strange)


def test_what_is_said_to_be_unprovokable_is_not_provoked(cases):
    assert not moved(cases) & explained()
