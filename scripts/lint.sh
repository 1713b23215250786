#!/bin/sh
# Formatting, and the rules of the house that a compiler does not know.
set -eu
cd "$(dirname "$0")/.."
swift format lint --strict -r Sources Tests Package.swift

failed=0
forbid() { # pattern, reason, paths...
    pattern=$1 reason=$2
    shift 2
    if found=$(grep -rnE "$pattern" "$@" --include='*.swift'); then
        echo "$reason:" && echo "$found" && failed=1
    fi
}
forbid '^ *(package |public )?import Foundation' 'Foundation is not linked' Sources
forbid 'try!|fatalError\(\)|@unchecked Sendable|nonisolated\(unsafe\)' 'not in shipped code' Sources
# HTTP2Session and HTTP2Library speak to libnghttp2; everything else about HTTP is pure.
forbid '^import|^(package |public )import' 'the HTTP codec imports nothing' Sources/Proxy/Relay/Pipe.swift \
    $(find Sources/Proxy/HTTP -name '*.swift' ! -name HTTP2Session.swift ! -name HTTP2Library.swift)
forbid '^ *#if' 'no conditional compilation' Sources
[ $failed = 0 ] && echo "lint: clean"
exit $failed
