"""Answers that have no body whatever their fields say (RFC 9112, 6.3)."""

import pytest


def test_head_has_the_length_but_no_body(proxy):
    with proxy.connect() as client:
        answer = client.request("/bytes/1234", method="HEAD")
        assert (answer.status, answer.header("content-length"), answer.body) == (200, "1234", b"")
        assert client.request("/echo").status == 200


def test_head_of_a_chunked_answer_has_no_chunks(proxy):
    with proxy.connect() as client:
        assert client.request("/chunked/1234", method="HEAD").status == 200
        assert client.request("/echo").status == 200


@pytest.mark.parametrize("status", [204, 304])
def test_no_content_and_not_modified_end_with_their_head(proxy, status):
    with proxy.connect() as client:
        answer = client.request(f"/status/{status}")
        assert (answer.status, answer.header("x-answer")) == (status, "yes")
        assert answer.all("transfer-encoding") == []
        assert client.request("/echo").status == 200


@pytest.mark.parametrize("status", [200, 201, 301, 404, 418, 500, 503])
def test_other_statuses_pass_through_with_their_body(proxy, status):
    with proxy.connect() as client:
        answer = client.request(f"/status/{status}")
    assert (answer.status, answer.reason, answer.body) == (status, "Answer", b"status\n")


def test_early_hints_pass_through_before_the_final_answer(proxy):
    with proxy.connect() as client:
        answer = client.request("/early")
    assert answer.informational == [103]
    assert answer.json == {"early": True}
