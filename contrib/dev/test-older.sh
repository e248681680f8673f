#!/bin/sh
# From an older commit's binary to this one and back: builds that commit in build/older and runs
# spec/system/older_version_spec.lua with both.
#   sh contrib/dev/test-older.sh [COMMIT]     default: HEAD~1
set -eu
commit=$(git rev-parse --verify "${1:-HEAD~1}^{commit}")
folder=$PWD/build/older/$commit
if [ ! -x "$folder/build/test/gadwall" ]; then
	rm -rf "$folder"
	mkdir -p "$folder"
	git archive "$commit" | tar -x -C "$folder"
	ln -s "$PWD/.deps" "$folder/.deps"
	make -s -C "$folder" DEPS=no BUILD=build/test FAILPOINTS=1 program
fi
echo "older: $(git log -1 --format='%h %s' "$commit")"
GADWALL_OLDER=$folder/build/test/gadwall GADWALL=build/test/gadwall TAGS=older SPEC_TIMEOUT=600 \
	BUSTED=$(command -v busted) "${LUA:-lua5.4}" contrib/dev/run-tests.lua spec/system/older_version_spec.lua
