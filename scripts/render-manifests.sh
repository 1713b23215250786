#!/bin/sh
# Writes the manifests that are made of others: parts of deploy/ and the plain workloads of examples/, the latter with
# the sidecar as `sidecar inject` adds it. A test compares the committed files with what this writes.
#
# render-manifests.sh [DIRECTORY]    into DIRECTORY instead of the repository
set -eu
cd "$(dirname "$0")/.."
: "${SIDECAR_BIN:=.build/release/sidecar}"
target=${1:-.}
if [ ! -x "$SIDECAR_BIN" ]; then
    echo "render-manifests: no sidecar at $SIDECAR_BIN; run 'make build' or set SIDECAR_BIN" >&2
    exit 1
fi
mkdir -p "$target/deploy"
whole=$(mktemp)
changed=$(mktemp)
trap 'rm -f "$whole" "$changed"' EXIT

# One document after the other; every part begins without a separator and ends with a line's end.
join() { # title, parts...
    printf '# %s\n# Made by scripts/render-manifests.sh: change its parts instead.\n' "$1"
    shift
    for part; do
        cat "$part"
        [ "$part" = "$whole" ] || echo '---'
    done
}

# Into a file first: a failure of `sidecar inject` must not leave half a manifest behind.
"$SIDECAR_BIN" inject -f examples/web.yaml > "$whole"
echo '---' >> "$whole"
"$SIDECAR_BIN" inject -f examples/client.yaml >> "$whole"
join 'The webhook and the demo, for Kubernetes 1.29 and newer: kubectl apply -f install.yaml' \
    deploy/webhook.yaml deploy/admission.yaml deploy/demo-certificates.yaml "$whole" > "$target/install.yaml"

sed -e 's/args: \[webhook,/args: [webhook, --no-native-sidecars,/' deploy/webhook.yaml > "$changed"
"$SIDECAR_BIN" inject --no-native-sidecars -f examples/web.yaml > "$whole"
echo '---' >> "$whole"
"$SIDECAR_BIN" inject --no-native-sidecars -f examples/client.yaml >> "$whole"
join 'The webhook and the demo, for clusters without native sidecars (before Kubernetes 1.29).' \
    "$changed" deploy/admission-before-1.28.yaml deploy/demo-certificates.yaml "$whole" \
    > "$target/deploy/install-without-native-sidecars.yaml"

# The explicit mode needs no privilege, so its namespace allows none.
sed -e 's/sidecar-demo/sidecar-explicit/' -e '/NET_ADMIN/d' -e 's/enforce: privileged/enforce: restricted/' \
    deploy/demo-certificates.yaml > "$changed"
"$SIDECAR_BIN" inject -f examples/explicit.yaml > "$whole"
join 'The demo in the explicit mode: no capability, no root. kubectl apply -f deploy/explicit.yaml' \
    "$changed" "$whole" > "$target/deploy/explicit.yaml"

# The alert rules for the Prometheus Operator.
{
    cat << 'RULE'
# The rules of deploy/alerts.yaml for the Prometheus Operator.
# Made by scripts/render-manifests.sh: change its parts instead.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sidecar
  namespace: monitoring
spec:
RULE
    sed -e '/^#/d' -e 's/^\(.\)/  \1/' deploy/alerts.yaml
} > "$target/deploy/prometheusrule.yaml"
