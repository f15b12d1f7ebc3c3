#!/usr/bin/env bash
# The RPM package: made, installed by rpm into the clean root of deb.sh, checked, upgraded and erased there.
# It is no Fedora, so dependencies are not asked for, and nothing is started. Skipped loudly where a tool or
# the right is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: the RPM package: $*"
    exit 0
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
is() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }

kept=target/packages
base=$kept/base
root=$PWD/$kept/rpm-root

[ "$(id -u)" = 0 ] || skip "not root"
for tool in rpmbuild rpm python3; do
    command -v $tool >/dev/null || skip "no $tool here"
done
[ -d $base ] || skip "no clean root, deb.sh makes it"
one=$(GATEPOST_REVISION=1 packaging/build-rpm $kept)
two=$(GATEPOST_REVISION=2 GATEPOST_PROGRAM=target/release/gatepost packaging/build-rpm $kept)
trap 'rm -rf "$root"' EXIT
rm -rf "$root"
cp -a $base "$root"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
in_rpm() { rpm --root "$root" --define "_dbpath /var/lib/rpm" "$@"; }
owner_and_mode() { in_root stat -c '%U:%G %a' "$1"; }

libraries=$(rpm -qp --requires "$one" | grep -o '^lib[a-z_]*\.so\.[0-9]*' | sort -u | tr '\n' ' ')
is libraries "$libraries" "libc.so.6 libgcc_s.so.1 "

in_rpm --initdb
in_rpm -ivh --nodeps --quiet "$one" >$kept/rpm-install.log 2>&1 || { cat $kept/rpm-install.log >&2; fail install; }
grep -q '^    [2-9a-z]\{19\}$' $kept/rpm-install.log || fail "no password is printed"
is users "$(owner_and_mode /etc/gatepost/users)" "gatepost:gatepost 600"
is spool "$(owner_and_mode /var/spool/gatepost)" "gatepost:gatepost 711"
is drop "$(owner_and_mode /var/spool/gatepost/drop)" "gatepost:gatepost 3733"
is mail "$(owner_and_mode /var/lib/gatepost/mail)" "gatepost:gatepost 700"
in_root gatepost check >$kept/check.log 2>&1 || { cat $kept/check.log >&2; fail check; }
[ -f "$root/usr/share/man/man7/gatepost-recipes.7.gz" ] || fail "no page of recipes"
[ -f "$root/usr/share/doc/gatepost/recipes/dovecot.conf" ] || fail "no recipes"
is check "$(grep -c ' 127.0.0.1:' $kept/check.log) of $(grep -c . $kept/check.log)" "3 of 3"

sed -i 's/^;hostname = .*/hostname = mx.here.example/' "$root/etc/gatepost/gatepost.ini"
mkdir -p "$root/var/lib/gatepost/mail/postmaster/Maildir/new"
touch "$root/var/lib/gatepost/mail/postmaster/Maildir/new/1"
settings=$(md5sum "$root"/etc/gatepost/*)
in_rpm -Uvh --nodeps --quiet "$two" >$kept/rpm-upgrade.log 2>&1 || { cat $kept/rpm-upgrade.log >&2; fail upgrade; }
if grep -q password $kept/rpm-upgrade.log; then fail "an upgrade made users"; fi
is settings "$(md5sum "$root"/etc/gatepost/*)" "$settings"

in_rpm -e gatepost >$kept/rpm-erase.log 2>&1 || { cat $kept/rpm-erase.log >&2; fail erase; }
for kept_file in etc/gatepost/gatepost.ini.rpmsave etc/gatepost/users \
    var/lib/gatepost/mail/postmaster/Maildir/new/1; do
    [ -e "$root/$kept_file" ] || fail "erase took $kept_file"
done
[ ! -e "$root/usr/sbin/sendmail" ] || fail "erase left sendmail"
echo "the RPM package: good"
