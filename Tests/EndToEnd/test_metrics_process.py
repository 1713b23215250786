"""The process' own metrics against /proc, readiness, and what slow readers cost."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

from kit.moves import Cases, series
from kit.process import status_bytes, wait_until

CASES = Cases()
TICKS = os.sysconf("SC_CLK_TCK")
#: Why a series is in no case.
CONSTANT = {
    "sidecar_build_info": "says what runs, in labels; its value is always 1",
}


@CASES.parametrize()
def test_it_moves(case, bench):
    case.run(bench)


def stat(pid: int) -> list[str]:
    """proc_pid_stat(5): fields from the state on, the third."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def start_seconds(pid: int) -> float:
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return int(boot.split()[1]) + int(stat(pid)[19]) / TICKS


def clock_ticks(was: float, now: float) -> bool:
    return now - was >= 0.1


@CASES.moves({"process_cpu_seconds_total": clock_ticks})
def work(bench):
    yield (proxy := bench.proxy(ACCESS_LOG="off"))
    before = cpu_seconds(proxy.process.pid)
    told = series(proxy)["process_cpu_seconds_total"]
    assert abs(told - before) <= 0.03
    with proxy.connect() as client:
        while cpu_seconds(proxy.process.pid) < before + 0.15:
            client.send(b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            for _ in range(50):
                client.response()
    assert abs(series(proxy)["process_cpu_seconds_total"] - cpu_seconds(proxy.process.pid)) <= 0.03


@CASES.moves({"process_open_fds": 40})
def forty_connections(bench):
    """Each with one end here: the upstream's ends are shared, and one is open already."""
    yield (proxy := bench.proxy())
    with contextlib.ExitStack() as held:
        for _ in range(40):
            held.enter_context(proxy.connect())
        assert series(proxy)["process_open_fds"] <= proxy.process.open_descriptors() + 1
        yield


@CASES.moves({
    "process_resident_memory_bytes": lambda was, now: now - was > 4 << 20,
    "process_virtual_memory_bytes": lambda was, now: now > was})
def clients_that_do_not_read(bench):
    """Answers wait for them in memory: 64 KiB and more for each."""
    yield (proxy := bench.proxy(WORKER_THREADS="1"))
    with contextlib.ExitStack() as held:
        for _ in range(100):
            client = held.enter_context(proxy.connect())
            client.send(b"GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        yield


def test_memory_and_descriptors_are_those_that_proc_tells(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true")
    pid = proxy.process.pid

    def agrees() -> bool:
        page = series(proxy)
        return abs(page["process_resident_memory_bytes"] - status_bytes(pid, "VmRSS")) <= 256 << 10 and abs(
            page["process_virtual_memory_bytes"] - status_bytes(pid, "VmSize")) <= 256 << 10 and abs(
            page["process_open_fds"] - proxy.process.open_descriptors()) <= 1  # the scrape's own connection

    wait_until(agrees, "the page and /proc agree")


@CASES.moves({"process_start_time_seconds": lambda was, now: 1 <= now - was < 60})
def a_restart(bench):
    yield (proxy := bench.proxy())
    assert abs(series(proxy)["process_start_time_seconds"] - start_seconds(proxy.process.pid)) <= 2
    assert abs(series(proxy)["process_start_time_seconds"] - time.time()) < 10
    started = time.time()
    wait_until(lambda: time.time() > started + 1.1, "the clock goes on by a second")
    restart(proxy)
    assert abs(series(proxy)["process_start_time_seconds"] - time.time()) <= 2


@CASES.moves({"process_max_fds": lambda was, now: was != 777 and now == 777})
def another_limit(bench):
    """`ulimit -n`, by which MAX_CONNECTIONS must go too."""
    yield (proxy := bench.proxy(MAX_CONNECTIONS="100"))
    restart(proxy, "prlimit", "--nofile=777:777")


def restart(proxy, *prefix: str) -> None:
    """The same once more, its command behind `prefix`."""
    command, environment = proxy.process.command, proxy.process.environment
    proxy.stop()
    proxy.process.child = subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, env=environment)
    proxy.wait_ready()


# Readiness and slow readers


@CASES.moves({"sidecar_ready": -1, "sidecar_draining": 1})
def a_drain(bench):
    yield (proxy := bench.proxy())
    assert proxy.monitor("/drain", "POST")[0] in (200, 202, 204)


@CASES.moves({"sidecar_log_lines_dropped_total": lambda was, now: now > was})
def a_log_that_nobody_reads(bench):
    """Standard output is a pipe: it fills, then the queue does."""
    proxy = bench.proxy()
    command, environment = proxy.process.command, proxy.process.environment
    proxy.stop()
    reader, writer = os.pipe()
    proxy.process.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, env=environment)
    os.close(writer)
    try:
        yield proxy.wait_ready()
        request = b"GET /status/200 HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n\r\n" % (b"h" * 1000, b"i" * 1000)
        with proxy.connect() as client:
            for _ in range(40):
                client.send(request * 50)
                for _ in range(50):
                    client.response()
    finally:
        os.close(reader)


@CASES.moves({"sidecar_flow_lines_dropped_total": lambda was, now: now > was})
def a_reader_of_flows_that_does_not_read(bench):
    yield (proxy := bench.proxy(ACCESS_LOG="off"))
    with socket.socket() as reader, proxy.connect() as client:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", proxy.monitor_port))
        reader.sendall(b"GET /flows HTTP/1.1\r\nHost: m\r\n\r\n")
        request = b"GET /status/200 HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n\r\n" % (b"h" * 1000, b"i" * 1000)
        while not series(proxy)["sidecar_flow_lines_dropped_total"]:
            client.send(request * 50)
            for _ in range(50):
                client.response()
