"""The same question over HTTP/1.1 and over HTTP/2, and what either kind of application reports, in one form."""

from __future__ import annotations

from . import h2wire
from .wire import Connection

VERSIONS = ("http1", "h2")


class Caller:
    """A client of one version. Answers have `status`, `headers`, `body`, `trailers`, `informational`, `all`, `header`."""

    def __init__(self, version: str, client: Connection | h2wire.Client):
        self.version, self.client = version, client

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(
        self, path: str = "/echo", method: str = "GET", *, headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None, length: bool = True, trailers: tuple[tuple[str, str], ...] = (),
        host: str = "localhost",
    ):
        """`length` is whether the body is announced with one; in HTTP/1.1 it is sent in chunks else."""
        if body is not None and length:
            headers += (("content-length", str(len(body))),)
        if isinstance(self.client, h2wire.Client):
            return self.client.request(path, method, headers=headers, body=body, trailers=trailers, authority=host)
        chunked = body is not None and not length
        if chunked:
            headers += (("transfer-encoding", "chunked"),)
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers)]
        self.client.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        self.client.send(chunks(body, trailers) if chunked else body or b"")
        return self.client.response(method)


def chunks(content: bytes, trailers: tuple[tuple[str, str], ...]) -> bytes:
    pieces = [content[start:start + 50_000] for start in range(0, len(content), 50_000)]
    end = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode()
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + end + b"\r\n"


def connect(proxy, version: str) -> Caller:
    return Caller(version, h2wire.connect(proxy) if version == "h2" else proxy.connect())


def seen(report: dict) -> dict[str, list[str]]:
    """The fields that the application saw, by lower-case name; HTTP/2's :authority counts as Host."""
    fields: dict[str, list[str]] = {}
    for name, value in report["headers"]:
        fields.setdefault(name.lower(), []).append(value)
    if authority := report.get("pseudo", {}).get(":authority"):
        assert fields.get("host", [authority]) == [authority], "Host and :authority differ"
        fields["host"] = [authority]
    return fields


def lower(fields) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in fields]
