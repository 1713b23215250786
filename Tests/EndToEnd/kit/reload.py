"""What tests of certificate reloads look at: the leaf that a handshake shows, and the log."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

from cryptography import x509

from .pki import Pair
from .process import wait_until
from .proxy import Proxy
from .wire import client_context, connect_tls


def shown_serial(proxy: Proxy, caller: Path, authority: Path | None = None) -> int:
    """The serial number that a new handshake shows, never a resumed one."""
    with connect_tls(proxy.address, client_context(authority or proxy.identities.ca_file, caller)) as client:
        der = client.stream.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


def wait_shown(proxy: Proxy, pair: Pair, caller: Path, authority: Path | None = None, seconds: float = 3) -> None:
    serial = pair.certificate.serial_number

    def shown() -> bool:
        try:
            return shown_serial(proxy, caller, authority) == serial
        except (OSError, ssl.SSLError):
            return False

    wait_until(shown, "a handshake shows the new certificate", seconds)


def log_lines(proxy: Proxy, message: str) -> list[dict[str, str]]:
    return [line for line in map(json.loads, proxy.process.stdout.splitlines()) if line["message"] == message]


def wait_reloaded(proxy: Proxy, count: int = 1, seconds: float = 3) -> dict[str, str]:
    """The log's line about the `count`-th reload."""
    wait_until(
        lambda: len(log_lines(proxy, "certificates reloaded")) >= count,
        f"reload {count} in the log", seconds)
    return log_lines(proxy, "certificates reloaded")[count - 1]


def hex_serial(pair: Pair) -> str:
    return hex(pair.certificate.serial_number)
