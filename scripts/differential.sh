#!/bin/sh
# Holds the HTTP/1.1 codec, compiled from the product's own files, against llhttp (by SwiftNIO): on the fuzz corpus, on
# what fuzzing has found here, on the vectors of the smuggling tests, and on generated connections.
#
# differential.sh PYTHON, one that has the packages of the end-to-end tests. DIFFERENTIAL_CASES and DIFFERENTIAL_SEED
# say how much is generated, and which.
set -eu
python=$1
cd "$(dirname "$0")/.."
swift build -c release --package-path Tests/Differential --scratch-path .build-differential
inputs=".build-differential/vectors Tests/Fuzz/Corpus/http"
$python Tests/Differential/export_vectors.py .build-differential/vectors
[ ! -d .build-fuzz/found-http ] || inputs="$inputs .build-fuzz/found-http"
# shellcheck disable=SC2086
.build-differential/release/Differential $inputs
