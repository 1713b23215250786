#!/bin/sh
# Runs the HTTP codec, compiled from the product's own files, under libFuzzer and AddressSanitizer: HTTP/1.1, then HTTP/2
# over libnghttp2, for a number of seconds altogether. An input that breaks it is left in .build-fuzz/.
#
# fuzz.sh [SECONDS [http|http2]]
set -eu
seconds=${1:-60}
targets=${2:-http http2}
[ $# -ge 2 ] || seconds=$(((seconds + 1) / 2))
cd "$(dirname "$0")/.."
mkdir -p .build-fuzz

# The package manager makes this map for itself.
cat >.build-fuzz/module.modulemap <<EOF
module CNghttp2 { umbrella header "$PWD/Sources/CNghttp2/include/CNghttp2.h" export * link "nghttp2" }
EOF
clang -c -O -I Sources/CNghttp2/include Sources/CNghttp2/CNghttp2.c -o .build-fuzz/CNghttp2.o

run() { # target, source
    # shellcheck disable=SC2046
    swiftc -sanitize=fuzzer,address -parse-as-library -swift-version 6 -O -package-name sidecar -module-name "$2" -I .build-fuzz \
        $(find Sources/Proxy/HTTP -name '*.swift') Tests/Fuzz/Hold.swift "Tests/Fuzz/$2.swift" .build-fuzz/CNghttp2.o -lnghttp2 \
        -o ".build-fuzz/$2"
    # New inputs go to a folder of their own; the committed corpus is only read.
    mkdir -p ".build-fuzz/found-$1"
    # libFuzzer prints the stack; Swift's own printer would hang in its handler.
    (cd .build-fuzz && SWIFT_BACKTRACE=enable=no "./$2" -max_total_time="$seconds" -max_len=8192 -timeout=5 -print_final_stats=1 \
        "found-$1" "../Tests/Fuzz/Corpus/$1")
}

for target in $targets; do
    case $target in
    http) run http HTTPFuzz ;;
    http2) run http2 HTTP2Fuzz ;;
    *) echo "fuzz.sh: unknown target $target" >&2 && exit 2 ;;
    esac
done
