#!/usr/bin/env bash
# The packages for arm64 and armhf: made, looked at, and the programs in them run by an emulator: `try --once`
# and the transcripts over TCP, STARTTLS and TLS. With --all, as before a release, further tests of the program,
# and for armhf, where a word has 32 bits, those of the library. Skipped loudly where a tool is missing.
#
# An emulator is no ARM machine: it has the kernel of this one, and says nothing of speed and memory.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: the packages for ARM: $*"
    exit 0
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
is() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }
say() { echo "-- $* ($SECONDS s)"; }

all=${1:-}
kept=target/packages
mkdir -p $kept
[ -z "$all" ] || [ "$all" = --all ] || fail "$all is not --all"
for tool in qemu-aarch64-static qemu-arm-static aarch64-linux-gnu-gcc arm-linux-gnueabihf-gcc dpkg-deb rpmbuild \
    readelf python3; do
    command -v $tool >/dev/null || skip "no $tool here"
done

# look ARCHITECTURE RPM_ARCHITECTURE MACHINE PROGRAM: the packages of a program that is built; unpacks one.
look() {
    local architecture=$1 deb rpm again
    deb=$(GATEPOST_PROGRAM=$4 packaging/build-deb "$architecture" $kept)
    again=$(GATEPOST_PROGRAM=$4 packaging/build-deb "$architecture" $kept/again)
    cmp "$deb" "$again" || fail "two packages of the same program differ"
    rm -r $kept/again
    is name "$(basename "$deb" | sed 's/.*_//')" "$architecture.deb"
    is architecture "$(dpkg-deb -f "$deb" Architecture)" "$architecture"
    is depends "$(dpkg-deb -f "$deb" Depends)" "libc6 (>= 2.34), libgcc-s1 (>= 4.2), adduser"
    [ "$(dpkg-deb -f "$deb" Installed-Size)" -lt 4608 ] || fail "4.5 MiB are not enough"
    if command -v lintian >/dev/null; then
        lintian --fail-on error,warning "$deb" 2>/dev/null || fail lintian
    fi
    rpm=$(GATEPOST_PROGRAM=$4 packaging/build-rpm "$2" $kept)
    is "the RPM's architecture" "$(rpm -qp --qf '%{ARCH}' "$rpm")" "$2"
    is libraries "$(rpm -qp --requires "$rpm" | grep -o '^lib[a-z_]*\.so\.[0-9]*' | sort -u | tr '\n' ' ')" \
        "libc.so.6 libgcc_s.so.1 "

    rm -rf "$kept/$architecture"
    dpkg-deb -x "$deb" "$kept/$architecture"
    program=$kept/$architecture/usr/sbin/gatepost
    is machine "$(readelf -h "$program" | sed -n 's/^ *Machine: *//p')" "$3"
    is needed "$(readelf -dW "$program" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' | sort | tr '\n' ' ')" \
        "libc.so.6 libgcc_s.so.1 "
    for path in "$PWD/" "${CARGO_HOME:-$HOME/.cargo}/registry"; do
        if grep -qaF "$path" "$program"; then fail "the program has $path in it"; fi
    done
    echo "$architecture: the program has $(stat -c %s "$program") octets, the package $(stat -c %s "$deb")," \
        "unpacked $(find "$kept/$architecture" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')"
}

# run EMULATOR GNU TESTS...: the program of the package that was looked at.
run() {
    local emulator="$1 -L /usr/$2" compiler=$2-gcc
    shift 2
    $emulator "$program" try --once >/dev/null || fail "try"
    GATEPOST_UNDER_TEST="$emulator $PWD/$program" GATEPOST_CC=$compiler \
        cargo test --quiet --locked $(printf -- '--test %s ' "$@") || fail "the tests of the program"
}

of_program=(transcripts)
[ -z "$all" ] || of_program+=(chunking quota)

say "build"
packaging/build-program arm64 >$kept/arm64.path 2>$kept/arm64.log &
armhf=$(packaging/build-program armhf 2>$kept/armhf.log) || { tail -n 20 $kept/armhf.log >&2; fail "the build for armhf"; }
wait $! || { tail -n 20 $kept/arm64.log >&2; fail "the build for arm64"; }
arm64=$(cat $kept/arm64.path)

say "armhf"
look armhf armv7hl ARM "$armhf"
run qemu-arm-static arm-linux-gnueabihf "${of_program[@]}"
say "arm64"
look arm64 aarch64 AArch64 "$arm64"
run qemu-aarch64-static aarch64-linux-gnu "${of_program[@]}"

if [ -n "$all" ]; then
    say "armhf: the library's tests"
    # Not debug, in which the emulator takes its time over password hashes.
    CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
        CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER="qemu-arm-static -L /usr/arm-linux-gnueabihf" \
        packaging/build-program armhf test --quiet --lib 2>$kept/armhf.log ||
        { tail -n 20 $kept/armhf.log >&2; fail "the library's tests"; }
fi

echo "the packages for ARM: good ($SECONDS s)"
