"""Two pods without a cluster. Plain HTTP between their applications, mutual TLS on the wire.

As root: network namespaces joined by a bridge, each with `sidecar init`, `sidecar run` and an
application that knows nothing of TLS. Otherwise: the explicit mode on loopback, with the same proofs.
Exit code 0 only if every step holds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests/EndToEnd"))
from kit.capture import Capture, not_tls  # noqa: E402
from kit.pod import KIT, Network, Pod, url  # noqa: E402
from kit.process import Process, wait_until  # noqa: E402
from kit.volume import Volume  # noqa: E402
from kit.wire import client_context  # noqa: E402

from demo_rotation import Load, Site, rotate, secret  # noqa: E402
from story import Story, shown  # noqa: E402

SECRET = "the-secret-of-the-demo"
APP_PORT = 8000


class Certificates:
    """A CA and pairs, made with openssl as an operator without cert-manager would."""

    def __init__(self, directory: Path, name: str = "Demo CA"):
        self.directory = directory
        directory.mkdir(mode=0o755)
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
            f"/CN={name}", "-keyout", "ca.key", "-out", "ca.crt")

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    def openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")

    def issue(self, name: str, *names: str) -> Path:
        """A directory with `tls.crt` and `tls.key` for both directions; the next pair takes the place of the last."""
        home = self.directory / name
        home.mkdir(mode=0o755, exist_ok=True)
        (self.directory / "extensions").write_text(
            "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
            f"subjectAltName={','.join(('URI:spiffe://demo/' + name, *names))}\n")
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O=Demo/CN={name}",
            "-keyout", f"{name}/tls.key", "-out", "request")
        self.openssl(
            "x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
            "-extfile", "extensions", "-out", f"{name}/tls.crt")
        # The sidecar runs as a user of its own; a Secret volume would give it these rights by fsGroup.
        (home / "tls.key").chmod(0o644)
        return home


def describe(answer: str) -> dict[str, str]:
    """The header fields that the application reports to have seen."""
    return {name.lower(): value for name, value in json.loads(answer)["headers"]}


def check_wire(story: Story, contents: list[bytes]) -> None:
    for content in contents[:4]:
        story.tell(shown(content))
    only_tls = bool(contents) and all(not_tls(content) is None for content in contents)
    story.check(only_tls, "every byte is part of a TLS record")
    story.check(not any(SECRET.encode() in content for content in contents), f"“{SECRET}” is nowhere to be read")


def check_refused(story: Story, done: subprocess.CompletedProcess, claim: str) -> None:
    story.tell(done.stderr or done.stdout)
    story.check(done.returncode != 0 and "target" not in done.stdout, claim)


def transparent(story: Story, binary: Path, scratch: Path) -> None:
    story.step("Three pods on one network; two of them get a sidecar, the third is a stranger")
    network = Network(scratch)
    try:
        shop, bank, stranger = (network.add_pod(name) for name in ("shop", "bank", "stranger"))
        authority = Certificates(scratch / "certificates")
        volumes = {}
        for pod in (shop, bank):
            volume = volumes[pod.name] = Volume(scratch / f"{pod.name}-secret", secret(issue_for(authority, pod)))
            pod.start_app("--http", str(APP_PORT))
            pod.start_sidecar(
                binary, {"SERVER_CERT_DIR": volume.path, "CLIENT_CERT_DIR": volume.path, "CA_DIR": authority.directory},
                INJECT_CLIENT_HEADERS="true")
            memory = pod.sidecar.rss_bytes() / 1e6 if pod.sidecar else 0
            story.tell(f"{pod.name}: {pod.ipv4}, {pod.ipv6}; application on port {APP_PORT}; sidecar {memory:.1f} MB")
        story.check(True, "`sidecar init` and `sidecar run` stand in both pods; the proxy holds CAP_NET_RAW only")
        call_each_other(story, network, shop, bank)
        refuse_strangers(story, scratch, authority, bank, stranger)
        renew(story, authority, volumes["bank"], shop, bank, stranger)
        fail_closed(story, network, shop, bank)
    finally:
        network.remove()


def call_each_other(story: Story, network: Network, shop: Pod, bank: Pod) -> None:
    for family, address in (("IPv4", bank.ipv4), ("IPv6", bank.ipv6)):
        target = url(address, APP_PORT, f"/pay?{SECRET}")
        story.step(f"The shop's application calls the bank's with plain HTTP over {family}")
        story.tell(f"shop$ curl -d {SECRET} {target}")
        with Capture(network.namespace, bank.port) as capture:
            done = shop.curl("-d", SECRET, target)
        story.tell(done.stderr)
        story.check(done.returncode == 0 and "target" in done.stdout, "answered")
        if done.returncode == 0:
            headers = describe(done.stdout)
            identity = headers.get("x-client-cn")
            story.tell(f"the bank's application sees: X-Client-CN: {identity}")
            story.tell(f"                             X-Client-Subject: {headers.get('x-client-subject')}")
            story.check(identity == "shop", "the application knows who called, by certificate")
        story.tell("on the wire:")
        check_wire(story, list(capture.contents().values()))


def refuse_strangers(story: Story, scratch: Path, authority: Certificates, bank: Pod, stranger: Pod) -> None:
    target = url(bank.ipv4, APP_PORT, "/steal")
    secure = target.replace("http://", "https://")
    story.step("The stranger has no certificate")
    story.tell(f"stranger$ curl {secure}")
    check_refused(story, stranger.curl("--cacert", str(authority.ca_file), secure), "refused")
    story.step("The stranger has a certificate of another CA")
    forged = Certificates(scratch / "forged", "Forged CA").issue("shop")
    story.tell(f"stranger$ curl --cert forged.crt {secure}")
    check_refused(story, stranger.curl(
        "--cacert", str(authority.ca_file), "--cert", str(forged / "tls.crt"), "--key", str(forged / "tls.key"),
        secure), "refused")
    story.step("The stranger tries plain HTTP")
    story.tell(f"stranger$ curl {target}")
    check_refused(story, stranger.curl(target, seconds=5), "refused")
    # Loopback traffic of a pod is never captured: this asks the application itself.
    seen = bank.curl(url("127.0.0.1", APP_PORT, "/seen")).stdout
    story.check("/pay" in seen and "/steal" not in seen, "the bank's application saw none of the three")


def issue_for(authority: Certificates, pod: Pod) -> Path:
    return authority.issue(pod.name, f"DNS:{pod.name}.demo", f"IP:{pod.ipv4}", f"IP:{pod.ipv6}")


def renew(story: Story, authority: Certificates, volume: Volume, shop: Pod, bank: Pod, stranger: Pod) -> None:
    story.step("The bank's certificate is renewed, as a kubelet does it, while the shop's application calls")
    # The stranger looks at the certificate that it is shown, and trusts nobody.
    onlooker = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    onlooker.check_hostname, onlooker.verify_mode = False, ssl.CERT_NONE
    site = Site(
        volume, issue=lambda: issue_for(authority, bank), dial=lambda: stranger.connect(bank.ipv4, APP_PORT),
        context=onlooker, certs=lambda: bank.monitor("/certs")[1])
    load = Load(lambda: shop.connect(bank.ipv4, APP_PORT), bank.ipv4)
    try:
        rotate(story, site, load)
    finally:
        load.stop()


def fail_closed(story: Story, network: Network, shop: Pod, bank: Pod) -> None:
    story.step("The shop's sidecar dies; its application must not fall back to plain text")
    assert shop.sidecar is not None
    shop.sidecar.kill()
    with Capture(network.namespace, shop.port) as capture:
        done = shop.curl("-d", SECRET, url(bank.ipv4, APP_PORT, f"/pay?{SECRET}"), seconds=2)
    check_refused(story, done, "the call fails")
    story.check(not capture.holds(SECRET.encode()), "nothing readable left the pod")


class Recorder:
    """A TCP relay that keeps what passes: the wire, for those who may not capture."""

    def __init__(self, target: int):
        self.target = target
        self.contents: list[bytearray] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink in ((client, server), (server, client)):
                content = bytearray()
                self.contents.append(content)
                threading.Thread(target=self.relay, args=(source, sink, content), daemon=True).start()

    @staticmethod
    def relay(source: socket.socket, sink: socket.socket, content: bytearray) -> None:
        try:
            while piece := source.recv(65_536):
                content += piece
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def curl(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--max-time", "10", *arguments], capture_output=True, text=True)


def explicit(story: Story, binary: Path, scratch: Path) -> None:
    story.tell("Not root, so no namespaces: the explicit mode on loopback (run as root for the transparent one).")
    story.step("A plain application, and a sidecar with mutual TLS before it")
    authority = Certificates(scratch / "certificates")
    def issue() -> Path:
        return authority.issue("bank", "DNS:localhost", "IP:127.0.0.1")

    bank = Volume(scratch / "bank-secret", secret(issue()))
    shop = authority.issue("shop")
    port, monitor = free_port(), free_port()
    processes = [Process([sys.executable, str(KIT / "app.py"), "--http", "0"], scratch / "app")]
    try:
        app_port = json.loads(processes[0].wait_for_line("http"))["http"]
        processes.append(Process([str(binary), "run"], scratch / "sidecar", {
            "PATH": os.environ["PATH"], "TLS_LISTEN_PORT": str(port), "UPSTREAM_URL": f"http://127.0.0.1:{app_port}",
            "SERVER_CERT_DIR": str(bank.path), "CLIENT_CERT_DIR": str(bank.path), "CA_DIR": str(authority.directory),
            "MONITOR_PORT": str(monitor), "INJECT_CLIENT_HEADERS": "true",
        }))
        wait_until(lambda: curl("-f", f"http://127.0.0.1:{monitor}/ready").returncode == 0, "the sidecar is ready")
        story.check(True, f"application on port {app_port}, sidecar on port {port}")
        recorder = Recorder(port)
        target = f"https://localhost:{recorder.port}/pay?{SECRET}"
        trust = ("--cacert", str(authority.ca_file))
        story.step("The shop calls with its certificate")
        story.tell(f"$ curl --cert shop.crt {target}")
        done = curl(*trust, "--cert", str(shop / "tls.crt"), "--key", str(shop / "tls.key"), "-d", SECRET, target)
        story.tell(done.stderr)
        story.check(done.returncode == 0 and "target" in done.stdout, "answered")
        if done.returncode == 0:
            identity = describe(done.stdout).get("x-client-cn")
            story.tell(f"the bank's application sees: X-Client-CN: {identity}")
            story.check(identity == "shop", "the application knows who called, by certificate")
        story.tell("on the wire:")
        check_wire(story, [bytes(content) for content in recorder.contents])
        story.step("A stranger has no certificate")
        check_refused(story, curl(*trust, target), "refused")
        story.step("A stranger has a certificate of another CA")
        forged = Certificates(scratch / "forged", "Forged CA").issue("shop")
        check_refused(story, curl(
            *trust, "--cert", str(forged / "tls.crt"), "--key", str(forged / "tls.key"), target), "refused")
        story.step("A stranger tries plain HTTP")
        check_refused(story, curl(target.replace("https://", "http://")), "refused")
        seen = json.loads(curl(f"http://127.0.0.1:{app_port}/seen").stdout)["targets"]
        story.check(seen == [f"/pay?{SECRET}", "/seen"], "the application saw none of the three")
        story.step("The certificate is renewed, as a kubelet does it, while the shop calls")
        context = client_context(authority.ca_file, shop)

        def dial() -> socket.socket:
            return socket.create_connection(("127.0.0.1", port), timeout=10)

        load = Load(lambda: context.wrap_socket(dial(), server_hostname="localhost"), f"localhost:{port}")
        try:
            rotate(story, Site(
                bank, issue, dial, context, certs=lambda: curl(f"http://127.0.0.1:{monitor}/certs").stdout), load)
        finally:
            load.stop()
    finally:
        for process in reversed(processes):
            process.stop()


def main() -> int:
    # The sidecar runs as another user: its program and certificates must lie where that user can read.
    scratch = Path(tempfile.mkdtemp(prefix="sidecar-demo-"))
    scratch.chmod(0o755)
    # A terminated demo must clean up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    story = Story()
    try:
        binary = Path(shutil.copy(os.environ["SIDECAR_BIN"], scratch / "sidecar"))
        binary.chmod(0o755)
        (transparent if os.geteuid() == 0 else explicit)(story, binary, scratch)
    except (RuntimeError, AssertionError, OSError, subprocess.SubprocessError) as error:
        story.check(False, str(error))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{'All of it held.' if story.failures == 0 else f'{story.failures} claim(s) did not hold.'}")
    return 0 if story.failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
