#!/bin/sh
# Builds the image from the Dockerfile with podman or docker: image.sh [OPTION FOR BUILD...]
#
# ENGINE=podman|docker chooses; IMAGE=NAME:TAG names it, localhost/sidecar:VERSION otherwise.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/.*static let text = "\([0-9][^"]*\)".*/\1/p' Sources/sidecar/Sidecar.swift)
image=${IMAGE:-localhost/sidecar:$version}
engine=${ENGINE:-}
if [ -z "$engine" ]; then
    for candidate in podman docker; do
        if command -v "$candidate" >/dev/null; then engine=$candidate && break; fi
    done
fi
if [ -z "$engine" ]; then
    echo "image.sh: neither podman nor docker is installed, for example: apt-get install podman" >&2
    exit 1
fi

set -- --label "org.opencontainers.image.version=$version" "$@"
if git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    revision=$(git rev-parse HEAD)
    [ -z "$(git status --porcelain --untracked-files=no)" ] || revision=$revision-changed
    set -- --label "org.opencontainers.image.revision=$revision" \
        --label "org.opencontainers.image.created=$(git log -1 --format=%cI)" "$@"
fi
echo "building $image with $engine"
"$engine" build --tag "$image" "$@" .
