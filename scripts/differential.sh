#!/bin/sh
# Holds the HTTP/1.1 codec, compiled from the product's own files, against llhttp (by SwiftNIO): on the fuzz corpus, on
# the vectors of the smuggling tests, on generated connections, and on what fuzzing has found here.
#
# differential.sh PYTHON [kept], a Python that has the packages of the end-to-end tests; with `kept` only on what is the
# same in every run, so that a test does not fail by luck. DIFFERENTIAL_CASES and DIFFERENTIAL_SEED say how much is
# generated, and which.
set -eu
python=$1
cd "$(dirname "$0")/.."
swift build -c release --package-path Tests/Differential --scratch-path .build-differential
inputs=".build-differential/vectors Tests/Fuzz/Corpus/http"
$python Tests/Differential/export_vectors.py .build-differential/vectors
[ "${2:-}" = kept ] || [ ! -d .build-fuzz/found-http ] || inputs="$inputs .build-fuzz/found-http"
# shellcheck disable=SC2086
.build-differential/release/Differential $inputs
