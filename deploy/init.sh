#!/bin/sh
# Builds the init of containers that stand by, agent/init/init.c, for each architecture whose compiler is there. They are
# Debian's: gcc, gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu.
# `deploy/init.sh --check` builds aside and compares. Other compilers give other bytes, so where those that built a program
# are not there, nothing is said of it.
set -eu
cd "$(dirname "$0")/.."
folder=agent/init
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

for names in amd64:x86_64 arm64:aarch64 riscv64:riscv64; do
    architecture=${names%:*}
    tools=${names#*:}-linux-gnu
    if ! command -v "$tools-gcc" >/dev/null; then
        echo "  $architecture: left as it is, there is no $tools-gcc"
        continue
    fi
    versions="gcc $("$tools-gcc" -dumpfullversion), ld $("$tools-ld" --version | sed -n '1s/.* //p')"
    if [ "${1:-}" = --check ] && ! grep -qx "$architecture: $versions" "$folder/compilers"; then
        echo "  $architecture: not compared, it was not built by $versions"
        continue
    fi
    case $architecture in
        amd64) flags="-fcf-protection=none -mno-red-zone" ;;
        riscv64) flags="-mno-relax -msmall-data-limit=0 -Wl,--no-relax" ;;
        *) flags= ;;
    esac
    # shellcheck disable=SC2086  # Several words.
    "$tools-gcc" -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -fno-stack-protector \
        -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns $flags -nostdlib -static \
        -Wl,--build-id=none,-z,noseparate-code,-z,noexecstack,-s -o "$fresh/$architecture" "$folder/init.c"
    "$tools-objcopy" --remove-section=.comment --remove-section=.riscv.attributes "$fresh/$architecture"
    if [ "${1:-}" = --check ]; then
        cmp "$fresh/$architecture" "$folder/$architecture" && continue
        echo "$folder/$architecture is not what init.c gives: run deploy/init.sh and commit the result" >&2
        exit 1
    fi
    cp "$fresh/$architecture" "$folder/$architecture"
    { grep -v "^$architecture:" "$folder/compilers" 2>/dev/null || true; echo "$architecture: $versions"; } >"$fresh/compilers"
    cp "$fresh/compilers" "$folder/compilers"
done
