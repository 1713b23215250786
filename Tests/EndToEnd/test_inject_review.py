"""`sidecar inject` with manifests that are rare, hostile or both."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from kit import injection

POD = """apiVersion: v1
kind: Pod
metadata:
  name: web  # the name
spec:
  containers:
  - name: app
    image: x
"""


@pytest.fixture
def inject(binary):
    def run(text: str | bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        data = text.encode() if isinstance(text, str) else text
        return subprocess.run(
            [str(binary), "inject", "-f", "-", *options], input=data, capture_output=True, timeout=20)

    return run


def objects(result: subprocess.CompletedProcess[bytes]) -> list[dict]:
    assert result.returncode == 0, result.stderr.decode()
    return injection.objects(result.stdout)


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029", "\r\n"], ids=["CR", "NEL", "LS", "PS", "CRLF"])
@pytest.mark.parametrize("where", ["everywhere", "in the middle", "at the end", "in a comment"])
def test_unusual_line_ends(inject, end: str, where: str) -> None:
    text = {
        "everywhere": POD.replace("\n", end),
        "in the middle": POD.replace("Pod\n", f"Pod{end}"),
        "at the end": POD[:-1] + end,
        "in a comment": POD.replace("the name", f"the{end}# name"),
    }[where]
    [thing] = objects(inject(text))
    assert injection.is_injected(thing)
    assert injection.without_sidecar(thing) == yaml.safe_load(POD)


def test_documents_divided_by_a_carriage_return(inject) -> None:
    assert [injection.is_injected(thing) for thing in objects(inject(f"{POD}---\r{POD}"))] == [True, True]
    # Without a newline before the marker kubectl sees one document.
    refused = inject(f"{POD}---\n{POD}".replace("\n", "\r"))
    assert refused.returncode == 1 and b"a second document begins" in refused.stderr
