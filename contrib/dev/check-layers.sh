#!/bin/sh
# check-layers.sh: the arrows of DESIGN's layers, checked. Prints every breach and fails.
#   base <- net, proc <- bindings <- main.c; Lua: host.* only in the runtime, modules never.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
# breach TEXT FILES_AND_LINES: reports what a grep found
breach() { [ -z "$2" ] || { printf '%s\n' "$2" | sed "s|^|$1: |"; bad=1; }; }
code() { grep -nE "$@" 2>/dev/null | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(\*|/\*|//|--)'; }

for layer in base net proc; do
	for file in host/"$layer"/*.[ch]; do
		[ -f "$file" ] || continue
		breach "host/$layer may include base/ and its own only" \
			"$(code '#include "' /dev/null "$file" | grep -vE "#include \"(base|$layer)/")"
		breach "lua.h belongs to bindings/" "$(code '#include <(lua|lauxlib|lualib)\.h>' /dev/null "$file")"
	done
done
for file in host/base/*.[ch] host/proc/*.[ch]; do
	[ -f "$file" ] || continue
	breach "ev.h belongs to net/ and bindings/" "$(code '#include <ev\.h>' /dev/null "$file")"
done
for file in host/proc/*.[ch]; do
	[ -f "$file" ] || continue
	breach "the keeper's side knows no OpenSSL" "$(code '#include <openssl/' /dev/null "$file")"
done
for file in host/main.c host/base/*.c host/net/*.c host/bindings/*.c; do
	[ -f "$file" ] || continue
	breach "processes are made and reaped in proc/ only" \
		"$(code '(^|[^_[:alnum:]."])(v?fork|exec(v|ve|vp|l|lp|le|veat)|f?execveat|posix_spawnp?|waitpid|waitid)\(' /dev/null "$file")"
done
for file in host/main.c host/*/*.c; do
	[ -f "$file" ] || continue
	# An l_* function that Lua itself called may raise; such a line says so.
	breach "lua_call raises out of C; use lua_host_call, or say /* under lua_host_call */" \
		"$(code '[^_[:alnum:]]lua_callk?\(' /dev/null "$file" | grep -v 'under lua_host_call')"
	[ "$file" = host/bindings/lua_host.c ] ||
		breach "exactly one function pcalls: lua_host_call" "$(code '[^_[:alnum:]]lua_pcallk?\(' /dev/null "$file")"
	header=${file%.c}.h
	[ ! -f "$header" ] || [ "$(grep -m1 '^#include' "$file")" = "#include \"${header#host/}\"" ] ||
		breach "a .c file includes its own header first" "$file"
done
breach "modules see module, core, net and util, never host" \
	"$(code 'require *\(? *"host[."]' -r modules contrib/examples --include='*.lua')"
breach "a module does not require another; use module:depends" \
	"$(code 'require *\(? *"mod_' -r modules contrib/examples --include='*.lua')"

# Sizes that are refused (the aims are much lower); a file may ask with a line "size: REASON".
big() {
	limit=$1; shift
	for file in "$@"; do
		[ -f "$file" ] || continue
		lines=$(wc -l <"$file")
		[ "$lines" -le "$limit" ] || grep -q 'size: ' "$file" || breach "longer than $limit lines" "$file: $lines"
	done
}
big 700 host/*.c host/*/*.c
big 300 host/*/*.h
# shellcheck disable=SC2046 # paths of ours, no spaces
big 400 $(find host/lua -name '*.lua')
big 350 modules/*.lua modules/*/*.lua contrib/examples/*.lua
exit $bad
