#!/bin/sh
# clean-room.sh [root|user]: the README's two commands from a fresh clone of HEAD in a minimal Debian 12.
# Needs root and debootstrap. Works in a temp folder (ROOM=DIR keeps one between runs) and cleans up.
#   root  make run and make test as root          user  the same as a user with sudo
set -eu
as=${1:-root}; here=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "clean-room.sh: needs root (debootstrap, chroot)" >&2; exit 1; }
room=${ROOM:-$(mktemp -d)}; home=/root
in_room() { chroot "$room" "$@"; }
leave() {
	for m in dev/pts dev proc .; do mountpoint -q "$room/$m" && umount "$room/$m"; done
	[ -n "${ROOM:-}" ] || rm -rf --one-file-system "$room"
}
trap leave EXIT

# shellcheck disable=SC2016 # the $(…) is apt's, not the shell's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
[ -x "$room/usr/bin/apt-get" ] || debootstrap --variant=minbase bookworm "$room" "$mirror" >/dev/null
cp /etc/resolv.conf /etc/hosts "$room/etc/"
chmod 755 "$room"
# A mount of itself: a mount namespace (install_spec) wants the root to be one.
mount --bind "$room" "$room"
mount -t proc proc "$room/proc"; mount --bind /dev "$room/dev"; mount --bind /dev/pts "$room/dev/pts"
in_room sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends make git' >/dev/null 2>&1

if [ "$as" = user ]; then
	in_room sh -c 'apt-get install -y -qq --no-install-recommends sudo' >/dev/null 2>&1
	in_room sh -c 'id tester >/dev/null 2>&1 || useradd -m tester; echo "tester ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/tester'
	home=/home/tester
fi
rm -rf "$room$home/gadwall"; git clone -q "$here" "$room$home/gadwall"
[ "$as" = root ] || in_room chown -R tester: "$home/gadwall"
run_as() { if [ "$as" = root ]; then in_room sh -c "$1"; else in_room su - tester -c "$1"; fi; }

echo "== make run, as $as"
# shellcheck disable=SC2016 # expanded in the room
run_as "cd $home/gadwall && { make run >run.log 2>&1 & pid=\$!; i=0
	until build/gadwall status >/dev/null 2>&1 || [ \$i -gt 1200 ]; do i=\$((i + 1)); sleep 0.5; done
	build/gadwall status; build/gadwall stop; wait \$pid; echo \"make run ended with \$?\"; cat run.log | tail -n 40; }"
echo "== make test, as $as"
run_as "cd $home/gadwall && make test"
