"""Reloads that are refused, for each reason; what `/ready` and the log say meanwhile is test_certificate_reload_broken."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from kit.moves import Case, Cases
from kit.pki import Authority
from kit.volume import write
from test_certificate_reload_broken import TABLE, Broken, Homes

CASES = Cases()


@CASES.parametrize()
def test_it_moves(case, bench):
    case.run(bench)


def weak_key(homes: Homes, identities) -> None:
    identities.authority.server("weak", key=rsa.generate_private_key(65_537, 1024)).write(homes.server)


def refused(broken: Broken) -> Case:
    """The directories are made, then broken."""

    def action(bench):
        homes = Homes(
            bench.directory / "pair", bench.directory / "client", bench.directory / "trust",
            (Authority("Second CA"), Authority("Third CA")))
        bench.identities.authority.server().write(homes.server)
        homes.repair(bench.identities)
        yield bench.proxy(
            SERVER_CERT_DIR=str(homes.server), CLIENT_CERT_DIR=str(homes.client), CA_DIR=str(homes.ca),
            OUTBOUND_PROXY_PORT="")
        broken.act(homes, bench.identities)

    action.__name__ = broken.name
    return Case(action, {
        f'sidecar_tls_reload_failures_total{{reason="{broken.reason}"}}': lambda was, now: now >= was + 1,
        "sidecar_tls_reload_failing": 1, "tls_reloads_total": 0})


#: One of each reason; of those that the table has twice the first.
FIRST = {broken.reason: broken for broken in reversed(TABLE)} | {
    "unusable": Broken("weak key", weak_key, "unusable", ())}
CASES += [refused(broken) for broken in FIRST.values()]
