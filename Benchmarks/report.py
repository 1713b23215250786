"""What was measured, and the tables that are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from measure import Sample, median
from scenarios import GROUPS, Scenario


@dataclass
class Results:
    """By contender and scenario one sample a round, or why there is none to trust."""

    samples: dict[tuple[str, Scenario], list[Sample]] = field(default_factory=dict)
    failures: dict[tuple[str, Scenario], str] = field(default_factory=dict)
    memory: dict[tuple[str, Scenario], int] = field(default_factory=dict)
    idle_bytes: dict[str, float] = field(default_factory=dict)

    def values(self, name: str, scenario: Scenario, value: Callable[[Sample], float]) -> list[float] | None:
        if (name, scenario) in self.failures:
            return None
        return [value(sample) for sample in self.samples[name, scenario]]

    def json(self) -> dict[str, object]:
        return {
            "idle_bytes": self.idle_bytes,
            "memory": [{"contender": name, "scenario": scenario.title, "pss_bytes": pss}
                       for (name, scenario), pss in self.memory.items()],
            "samples": [{
                "contender": name, "scenario": scenario.title, "round": number, "requests": sample.requests,
                "seconds": sample.seconds, "cpu_seconds": sample.cpu,
                "p50_ms": sample.latency(50), "p99_ms": sample.latency(99)}
                for (name, scenario), rounds in self.samples.items() for number, sample in enumerate(rounds, 1)],
            "failures": [{"contender": name, "scenario": scenario.title, "reason": reason}
                         for (name, scenario), reason in self.failures.items()],
        }


def report(names: list[str], scenarios: list[Scenario], results: Results) -> None:
    reference = "haproxy" if "haproxy" in names else names[0]
    print(f"\nMedian of the rounds' ratios to {reference} (below 1 is better), absolute median in parentheses; memory "
          "is measured once.")
    for group in dict.fromkeys(scenario.group for scenario in scenarios):
        chosen = [scenario for scenario in scenarios if scenario.group == group]
        table(GROUPS[group], names, [
            (title, [cell(values.get(name), values.get(reference), unit) for name in names])
            for title, unit, values in measures(names, chosen, results)])
    print("\nThroughput at saturation, where load generator and upstream share a core and may be the limit.")
    table("requests a second, share of the core used", names, [
        (scenario.title, [throughput(results, name, scenario) for name in names])
        for scenario in scenarios if not scenario.total_rate])
    for (name, scenario), reason in results.failures.items():
        print(f"\n**{name} FAILED in “{scenario.title}”**: {reason}")


def measures(
    names: list[str], scenarios: list[Scenario], results: Results,
) -> list[tuple[str, str, dict[str, list[float] | None]]]:
    """The rows of one group: title, unit, each contender's values by round."""
    def row(title: str, unit: str, scenario: Scenario, value: Callable[[Sample], float]):
        return f"{title}, {scenario.load}", unit, {name: results.values(name, scenario, value) for name in names}

    rows = [row("CPU per request", "µs", scenario, lambda sample: sample.cpu_per_request) for scenario in scenarios]
    for scenario in scenarios:
        rows.append(row("p50", "ms", scenario, lambda sample: sample.latency(50)))
        rows.append(row("p99", "ms", scenario, lambda sample: sample.latency(99)))
    for scenario in [scenario for scenario in scenarios if not scenario.total_rate]:
        rows.append((f"memory (PSS), {scenario.load}", "MB", {
            name: [results.memory[name, scenario] / 1e6] if (name, scenario) in results.memory else None
            for name in names}))
    if scenarios[0].group == "h1":
        rows.append(("memory per idle mTLS connection", "KB", {
            name: [results.idle_bytes[name] / 1e3] if name in results.idle_bytes else None for name in names}))
    return rows


def cell(own: list[float] | None, base: list[float] | None, unit: str) -> str:
    if own is None:
        return "**FAILED**"
    absolute = f"({median(own):.3g} {unit})"
    if base is None:
        return f"– {absolute}"
    return f"{median([mine / other for mine, other in zip(own, base) if other > 0]):.2f} {absolute}"


def throughput(results: Results, name: str, scenario: Scenario) -> str:
    rates = results.values(name, scenario, lambda sample: sample.rate)
    shares = results.values(name, scenario, lambda sample: sample.cpu_share)
    return f"{median(rates):.0f}/s, {median(shares):.0f} %" if rates and shares else "**FAILED**"


def table(title: str, names: list[str], rows: list[tuple[str, list[str]]]) -> None:
    print(f"\n| {title} | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for row, cells in rows:
        print(f"| {row} | " + " | ".join(cells) + " |")
