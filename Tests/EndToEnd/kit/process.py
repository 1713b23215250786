"""Processes with their output kept, waited for by polling with a deadline, ended by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], what: str, seconds: float = 10) -> Value:
    """Polls until `condition` answers something true; fails with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """A child process whose stdout and stderr go to files."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None):
        self.command, self.environment = command, environment
        self.stdout_path, self.stderr_path = log.with_suffix(".out"), log.with_suffix(".err")
        with self.stdout_path.open("wb") as out, self.stderr_path.open("wb") as err:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.child.poll() is None

    def wait(self, seconds: float) -> int:
        """The exit code; a process that does not end in time fails the test."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.describe()} still runs after {seconds} s") from None

    def wait_for_line(self, marker: str, seconds: float = 10) -> str:
        """The first line of stdout that contains `marker`."""

        def look() -> str | None:
            found = next((line for line in self.stdout.splitlines() if marker in line), None)
            if found is None and not self.is_running:
                raise AssertionError(f"{self.describe()} ended with {self.child.returncode}:\n{self.output_tail()}")
            return found

        return wait_until(look, f"{marker!r} in the output of {self.describe()}", seconds)

    def terminate(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.is_running:
            self.child.kill()
        self.child.wait()

    def stop(self) -> None:
        """Asks first, then kills; for tear-down."""
        if self.is_running:
            self.terminate()
            try:
                self.child.wait(2)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return status_bytes(self.pid, "VmRSS")

    def peak_rss_bytes(self) -> int:
        """The most that was ever resident."""
        return status_bytes(self.pid, "VmHWM")

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def describe(self) -> str:
        return " ".join(self.command)[-160:]

    def output_tail(self) -> str:
        return f"stdout:\n{self.stdout[-3000:]}\nstderr:\n{self.stderr[-3000:]}"


def status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} for process {pid}")
