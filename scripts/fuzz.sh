#!/bin/sh
# Runs the HTTP codec, compiled from the product's own files, under libFuzzer and AddressSanitizer for a number of
# seconds. An input that breaks it is left in .build-fuzz/.
set -eu
seconds=${1:-60}
cd "$(dirname "$0")/.."
mkdir -p .build-fuzz/found
# shellcheck disable=SC2046
swiftc -sanitize=fuzzer,address -parse-as-library -swift-version 6 -O -module-name HTTPFuzz \
    $(find Sources/Proxy/HTTP -name '*.swift' ! -name HTTP2Session.swift ! -name HTTP2Library.swift) Sources/Proxy/Worker/RequestIDs.swift Tests/Fuzz/HTTPFuzz.swift \
    -o .build-fuzz/HTTPFuzz
cd .build-fuzz
# New inputs go to a folder of their own; the committed corpus is only read.
./HTTPFuzz -max_total_time="$seconds" -max_len=8192 -timeout=5 -print_final_stats=1 found ../Tests/Fuzz/Corpus/http
