"""An OCI runtime that gives capabilities as Kubernetes does: oci_runtime.py MANNER RUNTIME ARGUMENTS...

podman makes what `capabilities.add` names ambient, so that any program of a non-root user has it. containerd and CRI-O
do not: it is in the permitted and in the bounding set of the first process, which loses the permitted set in execve(2)
unless the program's file capabilities say otherwise. dockerd leaves a non-root user the bounding set alone.
"""

import json
import os
import sys
from pathlib import Path

manner, runtime, *arguments = sys.argv[1:]
GONE = {"kubernetes": ("ambient", "inheritable"), "docker": ("ambient", "inheritable", "permitted", "effective"), "podman": ()}


def bundle() -> Path | None:
    for position, argument in enumerate(arguments):
        if argument in ("--bundle", "-b"):
            return Path(arguments[position + 1])
    return None


def rewrite(process: dict) -> None:
    sets = process.get("capabilities") or {}
    is_root = process.get("user", {}).get("uid", 0) == 0
    for name in GONE[manner]:
        if not is_root or name in ("ambient", "inheritable"):
            sets.pop(name, None)


if "create" in arguments and (directory := bundle()):
    file = directory / "config.json"
    configuration = json.loads(file.read_text())
    rewrite(configuration["process"])
    file.write_text(json.dumps(configuration))
if "exec" in arguments and "--process" in arguments:
    file = Path(arguments[arguments.index("--process") + 1])
    process = json.loads(file.read_text())
    rewrite(process)
    file.write_text(json.dumps(process))
os.execv(runtime, [runtime, *arguments])
