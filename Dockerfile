# The image of the sidecar: one static-runtime binary on a distroless base, without a shell. See docs/image.md.
#
#   podman build -t localhost/sidecar:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/sidecar:0.1.0 --push .

# Where it is compiled. An older Debian than the one below: what is linked here runs there, not the other way round.
ARG BUILDER_IMAGE=docker.io/library/swift:6.3-bookworm
# Where the shared libraries come from that the base lacks. The same Debian as the base.
ARG DEBIAN_IMAGE=docker.io/library/debian:trixie-slim
# What it runs on: libc, libstdc++, OpenSSL 3.5, certificates of the public authorities, and no shell.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot

FROM ${BASE_IMAGE} AS base

FROM ${BUILDER_IMAGE} AS builder
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The base image's tag says which Debian; its packages are to be the current ones.
# hadolint ignore=DL3008
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        ca-certificates git libmnl-dev libnftnl-dev libnghttp2-dev libssl-dev libyaml-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources ./Sources
# Not built here, but the package names their targets.
COPY Tests ./Tests
# More arguments for `swift build`, for example "-Xswiftc -g".
ARG SWIFT_BUILD_OPTIONS=""
# lld for packed relocations, which are a megabyte less; SwiftPM has the linker leave out unused sections.
# The options are several words.
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/src/.build,sharing=locked \
    swift build -c release --product sidecar --static-swift-stdlib \
        -Xswiftc -use-ld=lld -Xlinker -z -Xlinker pack-relative-relocs ${SWIFT_BUILD_OPTIONS} \
    && install -D .build/release/sidecar /out/sidecar \
    && strip --strip-all /out/sidecar

FROM ${DEBIAN_IMAGE} AS root
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        libcap2-bin libmnl0 libnftnl11 libnghttp2-14 libssl3 libstdc++6 libyaml-0-2 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=base / /base
COPY --from=builder /out/sidecar /root-of-image/usr/local/bin/sidecar
COPY scripts/image-libraries.sh /image-libraries.sh
# The capability is permitted but not effective: the binary starts without it too, and raises it when TRANSPARENT=true.
RUN sh /image-libraries.sh /root-of-image/usr/local/bin/sidecar /base /root-of-image \
    && setcap cap_net_raw+p /root-of-image/usr/local/bin/sidecar

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
# Version, revision and time of a build are given by `--label` (scripts/image.sh does): as arguments they would end the
# use of cached layers in docker, and podman would keep those of the layer's first build.
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Mutual TLS for Kubernetes pods, without a change to the application" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
COPY --from=root /root-of-image /
# PROXY_UID: the capture rules leave this user's traffic alone.
USER 1337:1337
WORKDIR /
EXPOSE 8443 8081
ENTRYPOINT ["/usr/local/bin/sidecar"]
CMD ["run"]
