#!/bin/sh
# The demo in a cluster of its own: builds the image, makes a kind cluster, applies install.yaml, proves what it
# promises (cluster_proof.py), and removes the cluster. KEEP=1 leaves it for a look.
#
# Exit code 2 where a tool is missing, 1 where something did not hold.
set -eu
cd "$(dirname "$0")/.."
cluster=sidecar-demo
image=localhost/sidecar:0.1.0

missing() {
    echo "kind-demo: $1" >&2
    exit 2
}

engine=""
for candidate in docker podman; do
    # The command alone does not do: there must be an engine that answers.
    if [ -z "$engine" ] && command -v "$candidate" > /dev/null 2>&1 && "$candidate" info > /dev/null 2>&1; then
        engine=$candidate
    fi
done
[ -n "$engine" ] || missing "neither docker nor podman answers (\`docker info\`): install one of them and start it"
command -v kind > /dev/null 2>&1 || missing "kind is missing: install it, https://kind.sigs.k8s.io/docs/user/quick-start"
command -v kubectl > /dev/null 2>&1 || missing "kubectl is missing: install it, https://kubernetes.io/docs/tasks/tools"
command -v python3 > /dev/null 2>&1 || missing "python3 is missing: install it"
# What an earlier run was told to keep is not removed unasked.
if kind get clusters 2> /dev/null | grep -qx "$cluster"; then
    missing "a kind cluster named $cluster is there already: kind delete cluster --name $cluster"
fi
[ "$engine" = docker ] || export KIND_EXPERIMENTAL_PROVIDER=podman

scratch=$(mktemp -d)
begun=""
finish() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "${KEEP:-}" ] && [ -s "$scratch/kubeconfig" ]; then
        echo "kept: export KUBECONFIG=$scratch/kubeconfig; remove it with: kind delete cluster --name $cluster"
    else
        [ -z "$begun" ] || kind delete cluster --name "$cluster" --kubeconfig "$scratch/kubeconfig" || true
        rm -rf "$scratch"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ENGINE=$engine IMAGE=$image scripts/image.sh
# A kubeconfig of its own: the user's current context stays what it is.
begun=yes
kind create cluster --name "$cluster" --kubeconfig "$scratch/kubeconfig" --wait 120s
"$engine" save -o "$scratch/image.tar" "$image"
kind load image-archive "$scratch/image.tar" --name "$cluster"
rm "$scratch/image.tar"

KUBECTL="kubectl --kubeconfig $scratch/kubeconfig"
$KUBECTL apply -f install.yaml
# The wire between two pods is on the node, which is a container; only root of this very machine gets there.
if [ "$(id -u)" = 0 ] && command -v nsenter > /dev/null 2>&1; then
    node=$("$engine" inspect -f '{{.State.Pid}}' "$cluster-control-plane")
    [ ! -e "/proc/$node/ns/net" ] || NODE_NETWORK="nsenter -t $node -n"
fi
export KUBECTL NODE_NETWORK="${NODE_NETWORK:-}"
python3 scripts/cluster_proof.py install.yaml
