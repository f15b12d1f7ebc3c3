#!/usr/bin/env bash
# The Debian package from its making to its purge, in a clean root with a network of its own, without systemd:
# install, check, start by the LSB script, mail by several ways in, an upgrade with mail in the queue, remove,
# purge; and upgrades from 0.1.0. Skipped loudly where a tool or the right is missing. Keeps the clean root in
# target/packages.
#
# GATEPOST_OLD_PROGRAM  the program of 0.1.0; without it the present one stands in, with the scripts and the
#                       configuration of 0.1.0's package
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: the Debian package: $*"
    exit 0
}
fail() {
    echo "FAILED: $*" >&2
    tail -n 20 $root/var/log/gatepost.log >&2 2>/dev/null || true
    exit 1
}
say() { echo "-- $*"; }

kept=target/packages
base=$kept/base
root=$kept/root

prepare() {
    [ "$(id -u)" = 0 ] || skip "not root"
    local tool
    for tool in dpkg-deb debootstrap unshare curl python3 readelf; do
        PATH=$PATH:/usr/sbin command -v $tool >/dev/null || skip "no $tool here"
    done
    unshare --mount --pid --fork --net true 2>/dev/null || skip "no namespaces here"
    mkdir -p $kept
    say "packages"
    one=$(GATEPOST_REVISION=1 packaging/build-deb $kept)
    program=$(packaging/build-program)
    two=$(GATEPOST_REVISION=2 GATEPOST_PROGRAM=$program packaging/build-deb $kept)
    again=$(GATEPOST_REVISION=1 GATEPOST_PROGRAM=$program packaging/build-deb $kept/again)
    cmp "$one" "$again" || fail "two builds of the same sources differ"
    rm -r $kept/again
    old=$(of_first_release "$one")
    looks "$one"
    if command -v lintian >/dev/null; then
        lintian --fail-on error,warning "$one" 2>/dev/null || fail "lintian"
    else
        echo "SKIPPED: no lintian here"
    fi
    if [ ! -d $base ]; then
        say "a clean root"
        rm -rf $base.part
        # Of this machine's own release, so that the program finds its C library.
        suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
        debootstrap --variant=minbase --include=adduser "$suite" $base.part >$kept/debootstrap.log 2>&1 ||
            skip "debootstrap failed, see $kept/debootstrap.log"
        mv $base.part $base
    fi
    rm -rf $root
    cp -a $base $root
    cp "$one" "$two" "$old" $root/root/
    # There is no init system, so somebody has to say that services may be started.
    printf '#!/bin/sh\nexit 0\n' >$root/usr/sbin/policy-rc.d
    chmod 755 $root/usr/sbin/policy-rc.d
    one=$(basename "$one") two=$(basename "$two") old=$(basename "$old")
    local code=0
    # What is started there ends with its process namespace.
    ONE=$one TWO=$two OLD=$old unshare --mount --pid --fork --net "$0" inside || code=$?
    rm -rf $root
    return $code
}

# The package as 0.1.0 made it: its scripts, its configuration as a conffile, its version.
of_first_release() {
    local tree=$kept/old first=tests/packages/v0.1.0 script
    rm -rf $tree
    dpkg-deb -R "$1" $tree
    for script in postinst prerm postrm; do
        install -m 755 $first/$script $tree/DEBIAN/$script
    done
    install -m 644 $first/conffiles $tree/DEBIAN/conffiles
    install -m 755 $first/sysv $tree/etc/init.d/gatepost
    install -D -m 644 $first/gatepost.ini $tree/etc/gatepost/gatepost.ini
    [ -z "${GATEPOST_OLD_PROGRAM:-}" ] || install -m 755 "$GATEPOST_OLD_PROGRAM" $tree/usr/sbin/gatepost
    sed -i 's/^Version: .*/Version: 0.1.0-1/' $tree/DEBIAN/control
    dpkg-deb --root-owner-group -Zgzip --build $tree $kept/gatepost_0.1.0.deb >/dev/null
    rm -r $tree
    echo $kept/gatepost_0.1.0.deb
}

# What the file of a package tells: nothing of this machine, and no more than small flash has room for.
looks() {
    local octets path
    octets=$(dpkg-deb --fsys-tarfile "$1" | tar -tv | awk '/^-/ { s += $3 } END { print s }')
    say "unpacked it has $octets octets"
    [ "$octets" -lt 4718592 ] || fail "4.5 MiB are not enough"
    for path in "$PWD/" "${CARGO_HOME:-$HOME/.cargo}/registry"; do
        if dpkg-deb --fsys-tarfile "$1" | grep -aF "$path" >/dev/null; then fail "the package has $path in it"; fi
    done
}

in_root() { chroot $root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
is() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }
owner_and_mode() { in_root stat -c '%U:%G %a' "$1"; }
wait_for() {
    local i
    for i in $(seq 200); do
        if "$@"; then return 0; fi
        sleep 0.05
    done
    fail "waited in vain for $*"
}
# How many messages postmaster has.
messages() { find $root/var/lib/gatepost/mail/postmaster/Maildir/new -type f 2>/dev/null | wc -l; }
has_messages() { [ "$(messages)" -eq "$1" ]; }
has_queued() { [ "$(in_root gatepost queue list 2>/dev/null | grep -c "id=")" -eq "$1" ]; }
pid() { cat $root/run/gatepost.pid; }
# The addresses of listeners, in hexadecimal as the kernel has them.
listeners() { awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 | sort | tr '\n' ' '; }
script() { in_root /etc/init.d/gatepost "$@" >/dev/null; }

inside() {
    mount -t proc proc $root/proc
    mount -t proc proc /proc
    python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))'
    printf 'From: <a@there.example>\nTo: <postmaster@here.example>\nSubject: one\n\nHello.\n' | sed 's/$/\r/' >$kept/letter
    comes_from_the_first_release unedited
    # The present program does not stand in here: its check refuses what 0.1.0 took.
    if [ -n "${GATEPOST_OLD_PROGRAM:-}" ]; then
        comes_from_the_first_release edited
    else
        echo "SKIPPED: an edited configuration of 0.1.0: no program of 0.1.0 here"
    fi
    installs
    is_configured
    takes_mail
    upgrades
    is_removed
    is_purged
    echo "the Debian package: good"
}

# 0.1.0's configuration is handed over as it is, its mistakes too: mail is taken before and after.
comes_from_the_first_release() {
    say "from 0.1.0, its configuration $1"
    local settings before etc=$root/etc/gatepost
    in_root dpkg -i "/root/$OLD" >$kept/old.log 2>&1 || { cat $kept/old.log >&2; fail "install 0.1.0"; }
    wait_for is_greeting
    if [ "$1" = edited ]; then
        # What 0.1.0 took in silence.
        sed -i 's/^;hostname = .*/hostname = mx.here.example/
            s/^\[aliases\]/&\nfile = aliases/; s/^\[senders\]/&\ndeny = *@spam.example/' $etc/gatepost.ini
        printf 'info@mx.here.example: postmaster\n' >$etc/aliases
        script restart || fail "0.1.0 does not take it"
        wait_for is_greeting
    fi
    settings=$(md5sum $etc/*)
    before=$(pgrep_one)
    in_root dpkg -i "/root/$ONE" </dev/null >$kept/old-upgrade.log 2>&1 ||
        { cat $kept/old-upgrade.log >&2; fail "upgrade from 0.1.0"; }
    is settings "$(md5sum $etc/*)" "$settings"
    wait_for is_greeting
    [ "$(pgrep_one)" != "$before" ] || { cat $kept/old-upgrade.log >&2; fail "0.1.0 still runs"; }
    if [ "$1" = edited ]; then
        grep -q '\[senders\] deny: .*spam' $kept/old-upgrade.log || { cat $kept/old-upgrade.log >&2; fail "a mistake is not told"; }
    fi
    script restart || fail "a restart after the upgrade"
    wait_for is_greeting
    mails smtp://127.0.0.1:25 --mail-rcpt postmaster || fail "mail after the upgrade"
    wait_for has_messages 1
    in_root dpkg -P gatepost >$kept/old-purge.log 2>&1 || { cat $kept/old-purge.log >&2; fail "purge"; }
    rm -rf $root/var/lib/gatepost
    [ ! -e $etc/gatepost.ini ] || fail "purge left the configuration"
    rm -rf $etc
}

installs() {
    say "install"
    in_root dpkg -i "/root/$ONE" >$kept/install.log 2>&1 || { cat $kept/install.log >&2; fail "install"; }
    # What apt keeps in its log is no secret.
    grep -q 'gatepost passwd postmaster' $kept/install.log || fail "the way to a password is not told"
    if grep -E '(^|[^0-9a-z])[2-9a-km-z]{19}([^0-9a-z]|$)' $kept/install.log; then fail "a password is printed"; fi
    password=sesame
    wait_for is_greeting
    if mails -k smtps://127.0.0.1:465 --user postmaster: --mail-rcpt postmaster 2>/dev/null; then fail "a login without a password"; fi
    printf '%s\n' $password | in_root gatepost passwd postmaster >/dev/null || fail "passwd"
    is users "$(owner_and_mode /etc/gatepost/users)" "gatepost:gatepost 600"
    is key "$(owner_and_mode /etc/gatepost/private_key.pem)" "gatepost:gatepost 600"
    is spool "$(owner_and_mode /var/spool/gatepost)" "gatepost:gatepost 711"
    is drop "$(owner_and_mode /var/spool/gatepost/drop)" "gatepost:gatepost 3733"
    is mail "$(owner_and_mode /var/lib/gatepost/mail)" "gatepost:gatepost 700"
    is configuration "$(owner_and_mode /etc/gatepost/gatepost.ini)" "root:root 644"
    is aliases "$(owner_and_mode /etc/gatepost/aliases)" "root:root 644"
    is certificate "$(owner_and_mode /etc/gatepost/certificate.pem)" "root:root 644"
    is leftovers "$(find $root/etc/gatepost -mindepth 1 | wc -l)" 5
    [ -f $root/usr/share/doc/gatepost/examples/gatepost.ini ] || fail "no sample"
    in_root gatepost check >$kept/check.log 2>&1 || { cat $kept/check.log >&2; fail "check"; }
    is warnings "$(grep -c '(W-' $kept/check.log || true)" 0
    # A recipe needs nothing but what is installed.
    cp $root/usr/share/doc/gatepost/recipes/dovecot.ini $root/etc/gatepost/
    in_root gatepost check --config /etc/gatepost/dovecot.ini >$kept/check.log 2>&1 ||
        { cat $kept/check.log >&2; fail "check of a recipe"; }
    rm $root/etc/gatepost/dovecot.ini
    # 127.0.0.1:25 and :465 and nothing else: nothing is open to the world.
    wait_for is_greeting
    is listeners "$(listeners)" "0100007F:0019 0100007F:01D1 "
    [ "$(in_root dpkg-query -W -f '${Installed-Size}' gatepost)" -lt 4608 ] || fail "4.5 MiB are not enough"
    local libraries
    libraries=$(in_root ldd /usr/sbin/gatepost | awk '{ print $1 }' | grep -v -e vdso -e ld-linux | sort | tr '\n' ' ')
    is libraries "$libraries" "libc.so.6 libgcc_s.so.1 "
    is sendmail "$(in_root readlink -f /usr/sbin/sendmail)" /usr/sbin/gatepost
}

is_greeting() { in_root gatepost status >/dev/null 2>&1; }

is_configured() {
    say "the operator edits, a mistake first"
    local ini=$root/etc/gatepost/gatepost.ini before
    before=$(pid)
    sed -i 's/^addresses = .*/addresses = 0.0.0.0/; s/^local_domains = .*/local_domains = here.example, nonsense..example/' $ini
    if script restart 2>/dev/null; then fail "a restart with a mistake"; fi
    is "what runs" "$(pid)" "$before"
    sed -i 's/, nonsense..example//; s/^hostname = .*/hostname = mx.here.example/' $ini
    # Outside mail of those who have logged in goes to a smarthost, where nobody listens.
    printf '\n[smarthost]\nhost = 127.0.0.1\nport = 9\ntls = none\n' >>$ini
    in_root gatepost check 2>&1 >/dev/null | grep -q 'W-17' || fail "the certificate is for another name"
    in_root gatepost certificate >/dev/null || fail certificate
    in_root gatepost check >/dev/null 2>$kept/check.log || { cat $kept/check.log >&2; fail "check"; }
    script reload || fail "reload"
    is listeners "$(listeners)" "00000000:0019 00000000:01D1 "
    script stop && wait_for not_listening
    if script status; then fail "status says that it runs"; fi
    script start || fail "start"
    script start || fail "a second start"
    script status || fail "status"
    is account "$(awk '/^Uid:/ { print $2 }' "/proc/$(pgrep_one)/status")" "$(in_root id -u gatepost)"
}

# mails ARGUMENTS...: a message by curl.
mails() { curl -sS --max-time 20 --mail-from a@there.example -T $kept/letter "$@"; }
not_listening() { [ -z "$(listeners)" ]; }
pgrep_one() {
    local status
    for status in /proc/[0-9]*/status; do
        if grep -q '^Name:.gatepost$' "$status" 2>/dev/null; then basename "$(dirname "$status")"; fi
    done
}

takes_mail() {
    say "mail"
    curl -sS --max-time 20 smtp://127.0.0.1:25 --mail-from a@there.example \
        --mail-rcpt postmaster@here.example -T $kept/letter || fail "over TCP"
    curl -sS --max-time 20 --ssl-reqd -k smtp://127.0.0.1:25 --mail-from a@there.example \
        --mail-rcpt postmaster@here.example -T $kept/letter || fail "with STARTTLS"
    curl -sS --max-time 20 -k smtps://127.0.0.1:465 --user "postmaster:$password" \
        --mail-from postmaster@here.example --mail-rcpt postmaster@here.example -T $kept/letter || fail "with a login"
    if curl -sS --max-time 20 -k smtps://127.0.0.1:465 --user postmaster:wrong \
        --mail-from postmaster@here.example --mail-rcpt postmaster@here.example -T $kept/letter 2>/dev/null; then
        fail "a wrong password"
    fi
    # Cron's way, as an account that may do nothing.
    in_root su -s /bin/sh nobody -c 'printf "Subject: cron\n\nDone.\n" | /usr/sbin/sendmail postmaster' ||
        fail "sendmail"
    wait_for has_messages 4
    # root is an alias of postmaster's as installed.
    printf 'Hello.\n' | in_root /usr/sbin/sendmail root || fail "sendmail to root"
    wait_for has_messages 5
    curl -sS --max-time 20 -k smtps://127.0.0.1:465 --user "postmaster:$password" \
        --mail-from postmaster@here.example --mail-rcpt b@there.example -T $kept/letter || fail "outside mail"
    wait_for has_queued 1
}

upgrades() {
    say "upgrade with mail in the queue"
    local before settings
    before=$(pgrep_one)
    settings=$(md5sum $root/etc/gatepost/*)
    in_root dpkg -i "/root/$TWO" >$kept/upgrade.log 2>&1 || { cat $kept/upgrade.log >&2; fail "upgrade"; }
    if grep -q passwd $kept/upgrade.log; then fail "an upgrade made users"; fi
    is version "$(in_root dpkg-query -W -f '${Version}' gatepost)" "${TWO:9:-10}"
    is settings "$(md5sum $root/etc/gatepost/*)" "$settings"
    wait_for is_greeting
    [ "$(pgrep_one)" != "$before" ] || fail "the old program still runs"
    is program "$(readlink "/proc/$(pgrep_one)/exe" | grep -c deleted || true)" 0
    wait_for has_queued 1
    grep -q 'event=stopped' $root/var/log/gatepost.log || fail "it did not end gently"
    curl -sS --max-time 20 smtp://127.0.0.1:25 --mail-from a@there.example \
        --mail-rcpt postmaster@here.example -T $kept/letter || fail "after the upgrade"
    wait_for has_messages 6
}

is_removed() {
    say "remove"
    in_root dpkg -r gatepost >$kept/remove.log 2>&1 || { cat $kept/remove.log >&2; fail "remove"; }
    is processes "$(pgrep_one)" ""
    for kept_file in etc/gatepost/gatepost.ini etc/gatepost/users var/spool/gatepost/drop; do
        [ -e $root/$kept_file ] || fail "remove took $kept_file"
    done
    has_messages 6 || fail "remove took mail"
    grep -q ' 1 accepted messages wait' $kept/remove.log || fail "what waits is not told"
    [ ! -e $root/usr/sbin/sendmail ] || fail "remove left sendmail"
    say "install again, what waited still waits"
    in_root dpkg -i "/root/$TWO" >$kept/again.log 2>&1 || { cat $kept/again.log >&2; fail "install again"; }
    if grep -q passwd $kept/again.log; then fail "users were made anew"; fi
    wait_for is_greeting
    wait_for has_queued 1
}

is_purged() {
    say "purge with mail in the queue"
    in_root dpkg -P gatepost >$kept/purge.log 2>&1 || { cat $kept/purge.log >&2; fail "purge"; }
    grep -q ' 1 accepted messages .* are kept' $kept/purge.log || { cat $kept/purge.log >&2; fail "what is kept is not told"; }
    [ -d $root/var/spool/gatepost ] || fail "purge took mail that was accepted"
    in_root dpkg -i "/root/$TWO" >$kept/again.log 2>&1 || { cat $kept/again.log >&2; fail "install after a purge"; }
    wait_for is_greeting
    wait_for has_queued 1
    in_root gatepost queue delete --all >/dev/null || fail "queue delete"
    wait_for has_queued 0
    say "purge"
    in_root dpkg -P gatepost >$kept/purge.log 2>&1 || { cat $kept/purge.log >&2; fail "purge"; }
    is processes "$(pgrep_one)" ""
    for gone in etc/gatepost etc/init.d/gatepost var/spool/gatepost var/log/gatepost.log run/gatepost; do
        [ ! -e $root/$gone ] || fail "purge left $gone"
    done
    is links "$(find $root/etc/rc?.d -name '*gatepost' | wc -l)" 0
    has_messages 6 || fail "purge took mail"
}

case "${1:-}" in
inside) inside ;;
*) prepare ;;
esac
