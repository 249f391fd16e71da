#!/bin/sh
# build.sh PROGRAM FOLDER: writes FOLDER/attache_VERSION_ARCHITECTURE.deb around a built program.
# Needs dpkg-dev and binutils. For what ships: cargo build --profile dist, then target/dist/attache.
set -eu
program=$(realpath "$1")
mkdir -p "$2"
into=$(realpath "$2")
packaging=$(dirname "$(dirname "$(realpath "$0")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
# the same program makes the same package
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog --file "$packaging/debian/changelog" --show-field Timestamp)
export SOURCE_DATE_EPOCH

cp -r "$packaging/debian" "$work/debian"
cd "$work"
root=$work/root
document=$root/usr/share/doc/attache

install -D --mode=0755 "$program" "$root/usr/bin/attache"
strip --strip-debug "$root/usr/bin/attache"
install -D --mode=0644 "$packaging/systemd/attache.service" "$root/lib/systemd/system/attache.service"
install -D --mode=0644 "$packaging/systemd/attache.sysusers" "$root/usr/lib/sysusers.d/attache.conf"
install -D --mode=0644 "$packaging/systemd/attache.tmpfiles" "$root/usr/lib/tmpfiles.d/attache.conf"
install -D --mode=0644 "$packaging/systemd/attache.toml" "$document/examples/attache.toml"
install -D --mode=0644 debian/copyright "$document/copyright"
install -D --mode=0644 debian/changelog "$document/changelog"
install -D --mode=0644 "$packaging/../CHANGELOG.md" "$document/CHANGELOG.md"
gzip --best --no-name "$document/changelog" "$document/CHANGELOG.md"
install -D --mode=0644 debian/attache.lintian-overrides "$root/usr/share/lintian/overrides/attache"

install -d "$root/DEBIAN"
install --mode=0755 debian/postinst debian/prerm debian/postrm "$root/DEBIAN"
(cd "$root" && find lib usr -type f -exec md5sum {} +) > "$root/DEBIAN/md5sums"
dpkg-shlibdeps "$root/usr/bin/attache"
dpkg-gencontrol -P"$root"
# a fifth larger than at its best, in a tenth of the time
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$into"
