#!/bin/sh
# kernel.sh DIR: Debian's own kernels below DIR, fetched and unpacked there where
# they are not yet, and not installed: the one for a PC, and the same as a process of
# Linux (user-mode Linux). Prints the folder that holds `boot`, `lib` and `usr`.
set -eu

# What this script would unpack: a kernel that an older one unpacked may lack modules.
complete=complete.$(cksum <"$0" | cut -d ' ' -f 1)
mkdir -p "$1"
cd "$1"
if [ -f "kernel/$complete" ]; then
    echo "$PWD/kernel"
    exit 0
fi

as_root=
sandbox=
if [ "$(id -u)" = 0 ]; then
    # Without this, apt warns that its own user may not write here.
    sandbox="-o APT::Sandbox::User=root"
else
    as_root=sudo
fi

# linux-image-amd64 only names the real package. It can be an old name, whose
# file is gone from the archive: then the lists need an update.
fetch() {
    package=$(apt-cache depends linux-image-amd64 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    # shellcheck disable=SC2086 # two words or none
    [ -n "$package" ] && apt-get $sandbox -q download "$package" user-mode-linux
}
rm -f ./*.deb
fetch >&2 || {
    $as_root apt-get update -q >&2
    fetch >&2
}

rm -rf kernel.new
mkdir kernel.new
# unpack PACKAGE MEMBER...: the whole packages take 500 MB, what we load from them a tenth of that.
unpack() {
    package=$1
    shift
    dpkg-deb --fsys-tarfile "$package" | tar -x -C kernel.new --wildcards '*/modules.builtin' \
        '*/kernel/crypto/*' '*/kernel/lib/*' '*/kernel/fs/*' '*/kernel/drivers/md/*' \
        '*/kernel/drivers/cdrom/*' "$@"
    rm "$package"
}
unpack linux-image-*.deb './boot/vmlinuz-*' '*/kernel/drivers/block/*' \
    '*/kernel/drivers/virtio/*' '*/kernel/drivers/char/virtio*' '*/kernel/arch/x86/crypto/*'
unpack user-mode-linux_*.deb './usr/bin/linux.uml' '*/kernel/drivers/block/loop.ko'
touch "kernel.new/$complete"
rm -rf kernel
mv kernel.new kernel
echo "$PWD/kernel"
