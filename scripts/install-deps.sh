#!/bin/sh
# Makes sure that what a make target needs is on this machine: installs it where this is Debian or Ubuntu and the user
# is root, else says what is missing.
#
# install-deps.sh build|test|demo|bench|image-test
set -eu

target=${1:-build}
packages="libssl-dev libmnl-dev libnftnl-dev libnghttp2-dev libyaml-dev pkg-config"
case $target in
build) ;;
test) packages="$packages curl openssl iproute2 nftables nghttp2-client python3 python3-venv" ;;
demo) packages="$packages curl openssl iproute2 python3" ;;
image-test) packages="podman runc netavark nftables iproute2 iptables uidmap catatonit mmdebstrap skopeo git python3 python3-venv" ;;
bench) packages="$packages openssl python3 python3-venv gcc libc6-dev curl haproxy nginx-light nghttp2-client nghttp2-proxy nghttp2-server" ;;
*)
    echo "install-deps.sh: unknown target $target" >&2
    exit 2
    ;;
esac

if ! command -v swift >/dev/null 2>&1; then
    echo "swift is missing: install the Swift 6.2 toolchain or newer from https://www.swift.org/install/linux/" >&2
    exit 1
fi

missing=""
for package in $packages; do
    if command -v dpkg-query >/dev/null 2>&1; then
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
    # shellcheck disable=SC2086
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "missing packages:$missing" >&2
echo "install them, for example: sudo apt-get install$missing" >&2
exit 1
