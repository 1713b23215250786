"""The rules of `promtool check metrics`, and that dashboard and alerts ask only for what there is."""

import json
import re

import pytest
import yaml
from kit.monitor import Metrics, metrics
from kit.proxy import REPOSITORY, Proxy

DEPLOY = REPOSITORY / "deploy"
#: Words of PromQL that are no metrics, and labels that Prometheus adds by itself.
FUNCTIONS = {
    "sum", "min", "max", "count", "rate", "increase", "time", "histogram_quantile", "label_values", "by", "on", "and"}
TARGET_LABELS = {"namespace", "pod", "instance", "job", "le"}
#: promtool's: abbreviations and units that are no base units.
UNITS = ("milliseconds", "microseconds", "minutes", "hours", "kilobytes", "megabytes", "percent", "ms", "bits")


@pytest.fixture(scope="module")
def page(binary, identities, app, scratch) -> Metrics:
    proxy = Proxy(binary, identities, scratch, app["http"], ENABLE_METRICS="true").wait_ready()
    try:
        yield metrics(proxy)
    finally:
        proxy.stop()


def test_names_and_help_are_as_promtool_wants_them(page):
    for family in page.families.values():
        name = family.name
        assert re.fullmatch("[a-z][a-z0-9_]*", name), name
        assert family.kind in ("counter", "gauge", "histogram"), name
        assert len(family.help) > 10 and family.help.endswith("."), f"{name}: {family.help!r}"
        assert name.endswith("_total") == (family.kind == "counter"), f"{name} is a {family.kind}"
        assert not name.endswith(("_count", "_sum", "_bucket")), name
        assert not any(f"_{unit}" in name for unit in UNITS), f"{name}: seconds and bytes are the base units"
        assert family.kind not in name.split("_"), f"{name} holds its kind"
        assert family.samples or name == "sidecar_certificate_expiry_timestamp_seconds", f"{name} is empty"


def test_histograms_are_cumulative_and_end_with_infinity(page):
    for family in page.families.values():
        if family.kind != "histogram":
            continue
        groups: dict = {}
        for (name, labels), value in family.samples.items():
            rest = tuple(pair for pair in labels if pair[0] != "le")
            group = groups.setdefault(rest, {"buckets": {}})
            if name.endswith("_bucket"):
                group["buckets"][float(dict(labels)["le"])] = value
            else:
                group[name.removeprefix(family.name)] = value
        for group in groups.values():
            bounds = sorted(group["buckets"])
            assert bounds[-1] == float("inf")
            values = [group["buckets"][bound] for bound in bounds]
            assert values == sorted(values) and values[-1] == group["_count"]
            assert "_sum" in group


def expressions() -> dict[str, str]:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    found = {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"] for target in panel.get("targets", [])}
    found |= {
        f"variable {variable['name']}": variable["definition"]
        for variable in dashboard["templating"]["list"] if variable["type"] == "query"}
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    found |= {f"alert {rule['alert']}": rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    return found


def bare(expression: str) -> str:
    """Without strings, ranges and what stands in parentheses behind `by` and `on`: identifiers are metrics then."""
    expression = re.sub(r'"[^"]*"', '""', expression)
    expression = re.sub(r"\[[^]]*\]", "", expression)
    expression = re.sub(r"\b(by|on) \([^)]*\)", "", expression)
    return re.sub(r", (namespace|pod)\)", ")", expression)


def test_dashboard_and_alerts_use_metrics_that_exist(page):
    checked = set()
    for where, expression in expressions().items():
        text = bare(expression)
        for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r"\{[^}]*\}", "", text)):
            if name in FUNCTIONS:
                continue
            assert name in page.names, f"{where} asks for {name}"
            checked.add(name)
    assert len(checked) > 30


def test_dashboard_and_alerts_use_labels_and_values_that_exist(page):
    known: dict[str, set[tuple[str, str]]] = {}
    for family in page.families.values():
        for name, labels in family.samples:
            known.setdefault(name, set()).update(labels)
    known["sidecar_plaintext_requests_total"].add(("port", "8080"))
    for where, expression in expressions().items():
        labels = {key for key, _ in set().union(*(
            known[name] for name in known if re.search(rf"\b{name}\b", expression)))} | TARGET_LABELS
        for grouping in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            for label in re.split(r",\s*", grouping):
                assert label in labels, f"{where} groups by {label}"
        for name, matchers in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
                if label in TARGET_LABELS:
                    continue
                values = {text for key, text in known[name] if key == label}
                wanted = value.split("|") if "~" in operator else [value]
                assert set(wanted) <= values, f"{where}: {name} has no {label} {value}"


def test_each_role_of_certificates_has_an_alert_while_there_is_time(page):
    family = page.families["sidecar_certificate_expiry_timestamp_seconds"]
    roles = {dict(labels)["role"] for _, labels in family.samples}
    assert roles == {"server", "client", "client_ca", "server_ca"}
    ahead = " ".join(text for text in expressions().values() if family.name in text and "- time() <" in text)
    assert {role for matcher in re.findall(r'role=~"([^"]*)"', ahead) for role in matcher.split("|")} == roles


def test_probes_are_no_plaintext_that_alarms(page):
    labels = [dict(labels) for _, labels in page.families["sidecar_plaintext_requests_total"].samples]
    assert {each["verdict"] for each in labels} == {"allowed", "probe", "refused"}
    assert 'verdict="allowed"' in expressions()["alert SidecarPlaintext"]


def test_each_metric_is_on_the_dashboard_or_has_a_reason(page):
    shown = " ".join(expressions().values())
    hidden = {"process_virtual_memory_bytes", "process_max_fds", "process_start_time_seconds"}
    for name in page.families:
        assert name in hidden or re.search(rf"\b{name}(_bucket|_count)?\b", shown), f"{name} is nowhere"


def test_each_metric_is_in_the_documentation(page):
    text = (REPOSITORY / "docs" / "monitoring.md").read_text()
    for name in page.families:
        assert f"`{name}`" in text, f"docs/monitoring.md does not name {name}"
