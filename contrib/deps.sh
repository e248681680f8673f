#!/bin/sh
# contrib/deps.sh GROUP...: see that what a group needs is here, and get what is missing.
# Groups: build test lint peers fuzz bench.
#   DEPS=auto (default)  says what is missing and what it runs, then runs it
#   DEPS=ask             asks first         DEPS=no  only says what is missing, and fails
# It probes (compiles, requires) instead of asking dpkg, so other prefixes and distributions work.
# When nothing is missing it is silent and uses no network. System packages come by apt-get, with
# sudo only when not root; everything else goes below the git-ignored .deps/ and touches nothing.
set -eu
LUA=${LUA:-lua5.4}; CC=${CC:-cc}; DEPS=${DEPS:-auto}
here=$(cd "$(dirname "$0")/.." && pwd); deps=$here/.deps
export LUA_PATH="$deps/share/lua/5.4/?.lua;$deps/share/lua/5.4/?/init.lua;;"
export LUA_CPATH="$deps/lib/lua/5.4/?.so;;"

# Packages of Debian that .deps/ is made from, with the SHA-256 that they must have.
posix_version=36.3-1
posix_amd64=e027253b50ce62131943ac8986c84cded327798d76685394b88c8856d3f0628e
posix_arm64=512511ed3a25cb11be798099630e14f22e1a6ede8ff14d25dc002a0945946d8e
llhttp_version=8.1.0~5.15.0+dfsg1+~cs20.10.9.3-1+deb12u4
# Prosody's own specs, in Debian 13's source package (its pool has the file; that of 12 is gone).
specs_version=13.0.1
specs_all=7bde8a5bf3cce195fd454970001b9faeac1a4601bcaa5c74eed7c6b74e48d806
llhttp_all=fa9fe58b10e813e67f31713b48ac2b489a1ed3bf808f0bc89d137a18c6d0b67c

say() { printf 'deps: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
# compiles LIBS...: the program on stdin links
compiles() { cat >"$t/p.c"; have "$CC" && "$CC" "$t/p.c" -o "$t/p" "$@" >/dev/null 2>&1; }
links() { header=$1; shift; printf '#include <stdio.h>\n#include <%s>\nint main(void){return 0;}\n' "$header" | compiles "$@"; }
lmod() { "$LUA" -e "require '$1'" >/dev/null 2>&1; }
need() { package=$1; shift; "$@" || miss="$miss $package"; }
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'; }
pooled() { v=$(candidate "$1"); [ -n "$v" ] && dpkg --compare-versions "$v" ge "$2"; }

# One program for all headers and libraries: the usual case costs one compiler run.
build_libraries() {
	printf '#include <stdio.h>\n#include <%s>\n#include <%s>\n#include <%s>\n#include <%s>\n#include <%s>\n#include <%s>\n#include <%s>\nint main(void){return 0;}\n' \
		lua5.4/lua.h ev.h openssl/evp.h histedit.h ares.h hiredis/hiredis.h sha2.h |
		compiles -llua5.4 -lev -lssl -lcrypto -ledit -lcares -lhiredis -lmd
}
want_build() {
	need make have make; need pkg-config have pkg-config; need lua5.4 have "$LUA"
	if ! build_libraries; then
		need gcc have "$CC"; need libc6-dev links stdlib.h; need liblua5.4-dev links lua5.4/lua.h -llua5.4
		need libev-dev links ev.h -lev; need libssl-dev links openssl/evp.h -lssl -lcrypto
		need libedit-dev links histedit.h -ledit; need libc-ares-dev links ares.h -lcares
		need libhiredis-dev links hiredis/hiredis.h -lhiredis; need libmd-dev links sha2.h -lmd
	fi
	need lua-dkjson lmod dkjson
	lmod posix || own="$own posix"
	[ -f "$deps/src/llhttp/llhttp.c" ] || pkg-config --exists libllhttp 2>/dev/null || own="$own llhttp"
}
has_icu() { for f in /usr/lib/*/libicui18n.so.[0-9]*; do [ ! -e "$f" ] || return 0; done; return 1; }
# The version is in its name; Prosody's package says which one it was built with.
icu_package() {
	p=$(apt-cache depends prosody 2>/dev/null | sed -n 's/.*Depends: \(libicu[0-9]*\)$/\1/p' | head -n 1)
	printf '%s' "${p:-libicu72}"
}
want_test() {
	need lua-busted lmod busted.runner; need netcat-openbsd have nc; need socat have socat
	need iproute2 have ss; need procps have ps; need curl have curl; need lua-check have luacheck
	need openssl have openssl; need python3 have python3; need systemd have systemd-analyze
	# What Prosody itself needs, to run beside ours as the oracle.
	need lua-expat lmod lxp; need lua-socket lmod socket; need lua-sec lmod ssl; need lua-filesystem lmod lfs
	has_icu || need "$(icu_package)" false
}
want_lint() {
	need clang-format have clang-format; need clang-tidy have clang-tidy; need cppcheck have cppcheck
	need lua-check have luacheck; need shellcheck have shellcheck; need codespell have codespell
	need mandoc have mandoc; need pyflakes3 have pyflakes3
}
want_fuzz() {
	need clang have clang
	CC=clang compiles -fsanitize=fuzzer,address <<-C || miss="$miss clang libclang-rt-dev"
		#include <stddef.h>
		int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { (void)d; (void)n; return 0; }
	C
}
# A peer is run or read beside the tests, from .deps/peers/: never installed, never left running.
# redis-server's program and two of its libraries are packages of their own, and so are haproxy's.
haproxy_all="haproxy libopentracing-c-wrapper0 libopentracing1 liblua5.3-0 libpcre2-8-0"
want_peers_of() {
	for p in "$@"; do [ -e "$deps/peers/.$p" ] || case $peers in *" $p"*) ;; *) peers="$peers $p" ;; esac; done
}
want_peers() {
	# shellcheck disable=SC2086 # a list of words on purpose
	want_peers_of prosody prosody-modules lua-sec libfaketime prosody-specs redis-server redis-tools \
		liblzf1 libjemalloc2 $haproxy_all
}

# What `make bench` compares with. nginx's Lua needs LuaJIT and two of its libraries; node only where there is none.
want_bench() {
	# shellcheck disable=SC2086 # a list of words on purpose
	want_peers_of prosody lua-sec nginx libnginx-mod-http-lua libnginx-mod-http-ndk libnginx-mod-stream \
		libluajit2-5.1-2 libluajit2-5.1-common lua-resty-core lua-resty-lrucache $haproxy_all libpcre3 \
		lua-luv libuv1 lua-cqueues
	have node || want_peers_of nodejs
}

t=$(mktemp -d); trap 'rm -rf "$t"' EXIT
miss=; own=; peers=
[ $# -gt 0 ] || { say "usage: contrib/deps.sh GROUP... (build test lint peers fuzz bench)"; exit 2; }
for group in "$@"; do case $group in
	build | test | lint | peers | fuzz | bench) "want_$group" ;;
	*) say "unknown group '$group' (build, test, lint, peers, fuzz, bench)"; exit 2 ;;
esac; done
[ "${DEPS_AGAIN:-}" = yes ] && peers=
[ -n "$miss$own$peers" ] || exit 0
have apt-get || { say "missing:$miss$own$peers"; say "no apt-get here: install these (Debian's names), then run make again"; exit 1; }

# Runs one shell line as root; sudo drops the environment, so what apt needs is set in the line.
as=; [ "$(id -u)" = 0 ] || { as=sudo; have sudo || as='su -c'; }
root() { case $as in '') sh -c "$1" ;; sudo) sudo sh -c "$1" ;; *) su -c "$1" ;; esac; }
options='-qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0'
update() { say "will run: ${as:+$as }apt-get update"; root "apt-get $options update" >&2; }
install() { root "DEBIAN_FRONTEND=noninteractive apt-get $options install -y --no-install-recommends$miss" >&2; }
# shellcheck disable=SC2086 # a list of words on purpose
simulates() { apt-get -qq -s install $miss >/dev/null 2>&1; }

# Where the distribution's own package is new enough, it serves instead of .deps/.
left=
for o in $own; do
	case $o in
		posix) new=lua-posix; v=$(candidate $new); { [ -n "$v" ] && dpkg --compare-versions "$v" ge 35; } || new= ;;
		llhttp) new=libllhttp-dev; [ -n "$(candidate $new)" ] || new= ;;
	esac
	if [ -n "$new" ]; then miss="$miss $new"; else left="$left $o"; fi
done
own=$left
[ -z "$miss" ] || { say "missing packages:$miss"; say "will run: ${as:+$as }apt-get install -y --no-install-recommends$miss"; }
for o in $own; do case $o in
	posix) say "missing: luaposix for Lua 5.4; Debian 13's package lua-posix $posix_version will be unpacked into .deps/" ;;
	llhttp) say "missing: llhttp's C source; the package node-llhttp will be unpacked into .deps/src/" ;;
esac; done
[ -z "$peers" ] || say "missing peers:$peers (will be unpacked into .deps/peers/)"
case $DEPS in
	no) say "DEPS=no: nothing was installed"; exit 1 ;;
	ask) printf 'deps: go on? [y/N] ' >&2; read -r answer || answer=; case $answer in y* | Y*) ;; *) exit 1 ;; esac ;;
esac

if [ -n "$miss" ]; then
	simulates || update || true
	install || { update && install; } || { say "that failed (no network?). By hand: ${as:+$as }apt-get install -y --no-install-recommends$miss"; exit 1; }
fi

# shellcheck disable=SC2016 # the $(…) is apt's, not the shell's
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1; }
# fetch POOLPATH FILE SHA256: one file from the mirror that apt on this machine is configured with
fetch() {
	base=$(mirror); [ -n "$base" ] || { update; base=$(mirror); }
	[ -n "$base" ] || { say "apt here knows no Debian mirror"; return 1; }
	/usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$base$1/$2" "$t/$2" "SHA256:$3" >&2
}
get_posix() {
	arch=$(dpkg --print-architecture)
	case $arch in
		amd64) sum=$posix_amd64 ;; arm64) sum=$posix_arm64 ;;
		*) say "no pinned luaposix for $arch; by hand: luarocks --lua-version=5.4 install luaposix"; return 1 ;;
	esac
	deb=lua-posix_${posix_version}_$arch.deb
	fetch pool/main/l/lua-posix "$deb" "$sum" || { say "could not get $deb; by hand: luarocks --lua-version=5.4 install luaposix"; return 1; }
	dpkg-deb -x "$t/$deb" "$t/posix"; mkdir -p "$deps/share/lua/5.4" "$deps/lib/lua/5.4"
	cp -rL "$t/posix/usr/share/lua/5.4/posix" "$deps/share/lua/5.4/"
	cp -rL "$t"/posix/usr/lib/*/lua/5.4/posix "$deps/lib/lua/5.4/"
}
get_llhttp() {
	[ -n "$(candidate node-llhttp)" ] || update
	(cd "$t" && apt-get -qq -o APT::Sandbox::User=root download node-llhttp >&2) || { say "could not get node-llhttp"; return 1; }
	printf '%s  %s\n' "$llhttp_all" "$(ls "$t"/node-llhttp_*.deb)" | sha256sum -c --quiet >&2 ||
		{ say "node-llhttp is not the pinned $llhttp_version: look at it, then change the sum in contrib/deps.sh"; return 1; }
	dpkg-deb -x "$t"/node-llhttp_*.deb "$t/llhttp"; mkdir -p "$deps/src/llhttp"
	cp "$t"/llhttp/usr/share/include/llhttp/llhttp.h "$t"/llhttp/usr/share/llhttp/api.c "$t"/llhttp/usr/share/llhttp/http.c \
		"$t"/llhttp/usr/share/llhttp/llhttp.c "$deps/src/llhttp/"
}
get_specs() {
	tar=prosody_$specs_version.orig.tar.gz
	fetch pool/main/p/prosody "$tar" "$specs_all" && mkdir -p "$deps/peers/prosody-specs" &&
		tar -xzf "$t/$tar" -C "$deps/peers/prosody-specs" --strip-components=1 "prosody-$specs_version/spec" &&
		: >"$deps/peers/.prosody-specs"
}
get_peer() {
	[ "$1" != prosody-specs ] || { get_specs; return; }
	[ -n "$(candidate "$1")" ] || update || return 1
	mkdir -p "$t/$1" "$deps/peers"
	(cd "$t/$1" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2) && dpkg-deb -x "$t/$1"/*.deb "$deps/peers" && : >"$deps/peers/.$1"
}
for o in $own; do "get_$o" || exit 1; done
for p in $peers; do get_peer "$p" || say "peer $p cannot be had here: what needs it is skipped"; done
cd "$here"; DEPS=no DEPS_AGAIN=yes exec contrib/deps.sh "$@"
