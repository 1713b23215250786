"""Requests from within a pod, for as long as something is done to the others."""

from __future__ import annotations

import subprocess
import threading
import time

from cluster import NAMESPACE, Cluster

#: What the pod's shell does until its input ends: requests with a connection each, and beside them requests that keep
#: theirs, eight at a time.
LOOP = """
each='%{http_code} %{errormsg}\\n'
(while :; do curl --silent --output /dev/null --max-time 10 --write-out "$each" http://web/; done) 2> /dev/null &
single=$!
(while :; do curl --silent --output /dev/null --max-time 10 --write-out "$each" --parallel --parallel-max 8 \
    'http://web/?[1-500]'; done) 2> /dev/null &
many=$!
read -r _
kill $single $many
"""


class ClusterLoad:
    def __init__(self, cluster: Cluster, pod: str, container: str):
        self.answered = 0
        self.failures: list[str] = []
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            cluster.argv("-n", NAMESPACE, "exec", "-i", pod, "-c", container, "--", "sh", "-c", LOOP),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("200"):
                self.answered += 1
            elif line.strip():
                self.failures.append(f"after {time.monotonic() - self.began:.1f} s: {line.strip()}")

    def stop(self) -> str:
        """Ends it and says in a sentence what became of the requests."""
        seconds = time.monotonic() - self.began
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("enough\n")
            self.process.stdin.close()
        except BrokenPipeError:
            self.failures.append("the load ended by itself")
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.reader.join(30)
        return f"{self.answered} requests in {seconds:.1f} s, {len(self.failures)} failed"
