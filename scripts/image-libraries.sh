#!/bin/sh
# Puts the shared libraries that a program needs and the base image lacks beneath the root of an image, with their
# licences and, for scanners, the records of their packages. Run by the Dockerfile, in Debian.
#
# image-libraries.sh PROGRAM BASE ROOT
set -eu
program=$1 base=$2 root=$3

if ldd "$program" | grep 'not found'; then
    echo "image-libraries.sh: install the packages of these libraries in the stage \"root\" of the Dockerfile" >&2
    exit 1
fi
ldd "$program" | awk '$2 == "=>" { print $3 }' | while read -r library; do
    directory=$(cd "$(dirname "$library")" && pwd -P)
    name=$(basename "$library")
    # /lib is a link to /usr/lib in Debian; a base image may have the library in either.
    if [ -e "$base$directory/$name" ] || [ -e "$base${directory#/usr}/$name" ]; then
        continue
    fi
    package=$(dpkg-query -S "*/$name" | head -n 1 | cut -d : -f 1)
    echo "from $package: $directory/$name"
    install -D -m 0644 "$directory/$name" "$root$directory/$name"
    install -D -m 0644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
    mkdir -p "$root/var/lib/dpkg/status.d"
    dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
done
