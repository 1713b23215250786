# What a user of a fresh machine needs: `make demo`, `make test`. Each target installs what it lacks when run as root on
# Debian or Ubuntu, and otherwise says what is missing.

SWIFT_BUILD = swift build -c release --product sidecar --static-swift-stdlib
BINARY = $(CURDIR)/.build/release/sidecar
VENV = .venv

.PHONY: help build test unit-test short-fuzz differential kept-differential end-to-end-test demo kind-demo manifests bench lint \
    fuzz image image-test clean

help:
	@echo "make build   the release binary, .build/release/sidecar"
	@echo "make demo    two pods on this machine, plain HTTP inside, mutual TLS between them"
	@echo "make kind-demo  the same in a Kubernetes cluster of its own; needs docker or podman, kind and kubectl"
	@echo "make test    lint, unit tests, short fuzz, the codec beside llhttp, end-to-end tests (as root: in network namespaces too)"
	@echo "make bench   CPU and memory beside haproxy, nginx, nghttpx and envoy; BENCH_OPTIONS=--quick"
	@echo "make lint    formatting and the rules of the house"
	@echo "make fuzz    the HTTP codec under libFuzzer, SECONDS=60"
	@echo "make differential  the HTTP/1.1 codec beside llhttp, on what fuzzing found too, DIFFERENTIAL_CASES=60000"
	@echo "make image   the container image, localhost/sidecar:VERSION, by podman or docker"
	@echo "make image-test  builds it and runs the demo's manifest as pods of podman, as root; takes minutes"
	@echo "make clean   remove what was built"

build:
	@scripts/install-deps.sh build
	$(SWIFT_BUILD)

test: lint unit-test short-fuzz kept-differential end-to-end-test

unit-test:
	@scripts/install-deps.sh test
	swift build --build-tests
	swift test --skip-build

end-to-end-test: build $(VENV)/ready
	cd Tests/EndToEnd && SIDECAR_BIN=$(BINARY) ../../$(VENV)/bin/python -m pytest

$(VENV)/ready: Tests/EndToEnd/requirements.txt
	@scripts/install-deps.sh test
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

demo: build
	@scripts/install-deps.sh demo
	@SIDECAR_BIN=$(BINARY) scripts/demo.sh

kind-demo:
	@scripts/kind-demo.sh

# install.yaml and what else is made of parts; a test compares.
manifests: build
	@SIDECAR_BIN=$(BINARY) scripts/render-manifests.sh

bench: build
	@scripts/install-deps.sh bench
	@SIDECAR_BIN=$(BINARY) scripts/bench.sh $(BENCH_OPTIONS)

lint:
	@scripts/lint.sh

# Long enough to see that the target builds and its corpus holds.
short-fuzz:
	@scripts/fuzz.sh 10

SECONDS ?= 60
fuzz:
	@scripts/install-deps.sh build
	@scripts/fuzz.sh $(SECONDS)

# Building SwiftNIO takes most of the time, once.
differential: $(VENV)/ready
	@scripts/differential.sh $(VENV)/bin/python

# Without what fuzzing found: the same inputs in every run.
kept-differential: $(VENV)/ready
	@scripts/differential.sh $(VENV)/bin/python kept

image:
	@scripts/image.sh

# Not part of `make test`: it compiles once more, in the builder's image.
image-test: $(VENV)/ready
	@scripts/install-deps.sh image-test
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r Tests/Image/requirements.txt
	cd Tests/Image && ../../$(VENV)/bin/python -m pytest

clean:
	rm -rf .build .build-* .cache $(VENV)
