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
program=$(packaging/build-program)
two=$(GATEPOST_REVISION=2 GATEPOST_PROGRAM=$program packaging/build-rpm $kept)
trap 'rm -rf "$root"' EXIT
rm -rf "$root"
cp -a $base "$root"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
in_rpm() { rpm --root "$root" --define "_dbpath /var/lib/rpm" "$@"; }
owner_and_mode() { in_root stat -c '%U:%G %a' "$1"; }

# The package as 0.1.0 had it, as far as an upgrade sees it: the configuration is a file of its own.
of_first_release() {
    local top files
    top=$(mktemp -d)
    files=$top/files
    install -D -m 755 "$program" "$files/usr/sbin/gatepost"
    install -D -m 644 tests/packages/v0.1.0/gatepost.ini "$files/etc/gatepost/gatepost.ini"
    cat >"$top/old.spec" <<END
Name: gatepost
Version: 0.1.0
Release: 1
Summary: The release before
License: MIT
AutoReqProv: no
%description
It.
%install
cp -a $files/. %{buildroot}/
%files
/usr/sbin/gatepost
%dir /etc/gatepost
%config(noreplace) /etc/gatepost/gatepost.ini
END
    rpmbuild -bb --quiet --define "_topdir $top" --define "debug_package %{nil}" \
        --define "__os_install_post %{nil}" "$top/old.spec" >&2
    cp "$top"/RPMS/*/*.rpm $kept/gatepost-0.1.0.rpm
    rm -r "$top"
}

# 0.1.0's configuration is handed over as it is, edited or not.
of_first_release 2>/dev/null || fail "no package of 0.1.0"
for edited in no yes; do
    rm -rf "$root"
    cp -a $base "$root"
    in_rpm --initdb
    in_rpm -ivh --nodeps --quiet $kept/gatepost-0.1.0.rpm >$kept/rpm-old.log 2>&1 || { cat $kept/rpm-old.log >&2; fail "install 0.1.0"; }
    if [ $edited = yes ]; then
        sed -i 's/^;hostname = .*/hostname = mx.here.example/' "$root/etc/gatepost/gatepost.ini"
    fi
    settings=$(md5sum "$root"/etc/gatepost/gatepost.ini)
    in_rpm -Uvh --nodeps --quiet "$one" >$kept/rpm-old.log 2>&1 || { cat $kept/rpm-old.log >&2; fail "upgrade from 0.1.0"; }
    is "settings of 0.1.0, edited: $edited" "$(md5sum "$root"/etc/gatepost/gatepost.ini*)" "$settings"
done
rm -rf "$root"
cp -a $base "$root"

libraries=$(rpm -qp --requires "$one" | grep -o '^lib[a-z_]*\.so\.[0-9]*' | sort -u | tr '\n' ' ')
is libraries "$libraries" "libc.so.6 libgcc_s.so.1 "

in_rpm --initdb
in_rpm -ivh --nodeps --quiet "$one" >$kept/rpm-install.log 2>&1 || { cat $kept/rpm-install.log >&2; fail install; }
# What a log may keep is no secret, and nothing is started.
grep -q 'gatepost passwd postmaster' $kept/rpm-install.log || fail "the way to a password is not told"
grep -q 'systemctl enable --now gatepost' $kept/rpm-install.log || fail "the way to a start is not told"
if grep -E '(^|[^0-9a-z])[2-9a-km-z]{19}([^0-9a-z]|$)' $kept/rpm-install.log; then fail "a password is printed"; fi
for made in gatepost.ini users aliases certificate.pem private_key.pem; do
    [ -s "$root/etc/gatepost/$made" ] || fail "no $made"
done
is users "$(owner_and_mode /etc/gatepost/users)" "gatepost:gatepost 600"
is spool "$(owner_and_mode /var/spool/gatepost)" "gatepost:gatepost 711"
is drop "$(owner_and_mode /var/spool/gatepost/drop)" "gatepost:gatepost 3733"
is mail "$(owner_and_mode /var/lib/gatepost/mail)" "gatepost:gatepost 700"
in_root gatepost check >$kept/check.log 2>&1 || { cat $kept/check.log >&2; fail check; }
[ -f "$root/usr/share/man/man7/gatepost-recipes.7.gz" ] || fail "no page of recipes"
[ -f "$root/usr/share/doc/gatepost/recipes/dovecot.conf" ] || fail "no recipes"
is check "$(grep -c ' 127.0.0.1:' $kept/check.log) of $(grep -c . $kept/check.log)" "3 of 3"

sed -i 's/^hostname = .*/hostname = mx.here.example/' "$root/etc/gatepost/gatepost.ini"
mkdir -p "$root/var/lib/gatepost/mail/postmaster/Maildir/new"
touch "$root/var/lib/gatepost/mail/postmaster/Maildir/new/1"
settings=$(md5sum "$root"/etc/gatepost/*)
in_rpm -Uvh --nodeps --quiet "$two" >$kept/rpm-upgrade.log 2>&1 || { cat $kept/rpm-upgrade.log >&2; fail upgrade; }
if grep -q passwd $kept/rpm-upgrade.log; then fail "an upgrade made users"; fi
is settings "$(md5sum "$root"/etc/gatepost/*)" "$settings"

in_rpm -e gatepost >$kept/rpm-erase.log 2>&1 || { cat $kept/rpm-erase.log >&2; fail erase; }
find "$root/etc/gatepost" -name 'gatepost.ini*' -exec grep -q 'mx.here.example' {} + || fail "erase took the configuration"
for kept_file in etc/gatepost/users \
    var/lib/gatepost/mail/postmaster/Maildir/new/1; do
    [ -e "$root/$kept_file" ] || fail "erase took $kept_file"
done
[ ! -e "$root/usr/sbin/sendmail" ] || fail "erase left sendmail"
echo "the RPM package: good"
