"""What the monitor port says, read as strictly as Prometheus reads it."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def ask(host: str, port: int, path: str, method: str = "GET", seconds: float = 5) -> tuple[int, str]:
    """Status and text of a monitor port; status 0 when nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


@dataclass
class Family:
    name: str
    kind: str
    help: str
    #: (name, labels) → value
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)


class Metrics:
    """A page of metrics in the text format 0.0.4."""

    def __init__(self, text: str):
        self.text = text
        self.families: dict[str, Family] = {}
        assert text.endswith("\n"), "the last line must end"
        current: Family | None = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, help_text = line.removeprefix("# HELP ").partition(" ")
                assert name not in self.families, f"{name} comes twice"
                current = self.families[name] = Family(name, "", help_text)
            elif line.startswith("# TYPE "):
                name, _, kind = line.removeprefix("# TYPE ").partition(" ")
                assert current and current.name == name and not current.kind, line
                current.kind = kind
            else:
                self.add(current, line)

    @staticmethod
    def add(family: Family | None, line: str) -> None:
        assert family, f"a sample before its family: {line}"
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        name, labels, value = match[1], match[2] or "", match[3]
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        assert name in {family.name + suffix for suffix in suffixes}, f"{name} stands in {family.name}"
        pairs = LABEL.findall(labels)
        assert ",".join(f'{key}="{text}"' for key, text in pairs) == labels, f"labels of {line!r}"
        key = (name, tuple(sorted(pairs)))
        assert key not in family.samples, f"a sample comes twice: {line}"
        family.samples[key] = float(value)

    @property
    def names(self) -> set[str]:
        return {name for family in self.families.values() for name, _ in family.samples}

    @property
    def series(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {key for family in self.families.values() for key in family.samples}

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of a name that have these labels; there must be one."""
        found = [
            value for family in self.families.values() for (sample, pairs), value in family.samples.items()
            if sample == name and set(labels.items()) <= set(pairs)]
        assert found, f"no {name} with {labels}"
        return sum(found)


def metrics(proxy) -> Metrics:
    status, text = proxy.monitor("/metrics")
    assert status == 200, (status, text)
    return Metrics(text)
