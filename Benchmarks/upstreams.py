"""What the proxies stand in front of: nginx for HTTP/1.1, nghttpd for gRPC over HTTP/2 without TLS."""

from __future__ import annotations

import os
from pathlib import Path

from contenders import nginx_command
from scenarios import LARGE, SMALL, UNARY

# Not compressed, 64 bytes long, one protobuf field: bytes = 1.
GRPC_MESSAGE = b"\0" + (64).to_bytes(4, "big") + b"\x0a\x3e" + b"x" * 62


def write_bodies(scratch: Path) -> dict[str, bytes]:
    """Every path's one true answer, and the files that hold it."""
    bodies = {SMALL: b"x" * 64, LARGE: os.urandom(65536), UNARY: GRPC_MESSAGE}
    for path in (LARGE, UNARY):
        file = scratch / "bodies" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bodies[path])
    return bodies


def http1(scratch: Path, port: int, bodies: dict[str, bytes]) -> list[str]:
    """64 bytes from the configuration, 64 KiB by sendfile from memory."""
    return nginx_command(scratch, "upstream", f"""
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = {SMALL} {{ return 200 "{bodies[SMALL].decode()}"; }}
        location = {LARGE} {{ root {scratch}/bodies; }}
    }}""")


def grpc(scratch: Path, port: int) -> list[str]:
    """A static file with the content type and the trailer of a successful call."""
    types = scratch / "mime.types"
    types.write_text("application/grpc grpc\n")
    return ["nghttpd", "--no-tls", "--address=127.0.0.1", f"--htdocs={scratch}/bodies", f"--mime-types-file={types}",
            "--no-content-length", "--trailer=grpc-status: 0", str(port)]
