#!/bin/sh
# The whole story on one machine, without a cluster: see demo.py. Run by `make demo` after the build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${SIDECAR_BIN:=$here/../.build/release/sidecar}"
if [ ! -x "$SIDECAR_BIN" ]; then
    echo "demo: no sidecar at $SIDECAR_BIN; run 'make build' or set SIDECAR_BIN" >&2
    exit 1
fi
for tool in python3 openssl curl; do
    command -v "$tool" >/dev/null || { echo "demo: $tool is missing" >&2; exit 1; }
done
if [ "$(id -u)" = 0 ]; then
    for tool in ip setpriv; do
        command -v "$tool" >/dev/null || { echo "demo: $tool is missing" >&2; exit 1; }
    done
fi
export SIDECAR_BIN
exec python3 "$here/demo.py"
