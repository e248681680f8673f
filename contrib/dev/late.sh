#!/bin/sh
# late.sh LIBRARY... -- OBJECT...: writes, to stdout, assembler (x86-64) that stands for the
# functions of the libraries (-lNAME) which the objects call, so that the program need not be
# linked with them: a jump for each, through a slot that host/base/late.c fills when the library is
# loaded. What PLT and GOT are for a library that the program begins with.
# NM, READELF and CC may be set; CC may be several words.
set -eu
export LC_ALL=C
libraries=
while [ "$1" != -- ]; do
	libraries="$libraries $1"
	shift
done
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# names: of nm's symbols, one a line, without their versions
names() { sed -n 's/^.* \([A-Za-z_][A-Za-z0-9_]*\)@*.*$/\1/p' | sort -u; }

"${NM:-nm}" -u "$@" | names >"$work/wanted"
for library in $libraries; do
	# shellcheck disable=SC2086
	file=$(${CC:-cc} -print-file-name="lib$library.so")
	[ -f "$file" ] || { echo "late.sh: lib$library.so is not there" >&2; exit 1; }
	soname=$("${READELF:-readelf}" -d "$file" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
	# W and T: functions. What is data cannot come later.
	"${NM:-nm}" -D --defined-only "$file" | grep ' [TWi] ' | names >"$work/has"
	comm -12 "$work/wanted" "$work/has" >"$work/functions"
	[ -s "$work/functions" ] || { echo "late.sh: nothing of $soname is used" >&2; exit 1; }
	printf '\t.section .rodata\n%s:\t.asciz "%s"\n%s_so:\t.asciz "%s"\n%s_names:\n' \
		"$library" "$library" "$library" "$soname" "$library"
	sed 's/.*/\t.asciz "&"/' "$work/functions"
	# Read-only but for the moment in which late.c fills them, as a GOT is.
	printf '\t.byte 0\n\t.section .data.rel.ro,"aw"\n\t.balign 8\n%s_slots:\n' "$library"
	sed 's/.*/at_&:\t.quad late_missing/' "$work/functions"
	printf '\t.text\n'
	# Hidden: a library of a module of somebody's is not to find them.
	sed 's/.*/\t.globl &\n\t.hidden &\n\t.type &,@function\n&:\tendbr64\n\tjmp *at_&(%rip)/' "$work/functions"
done
printf '\t.section .data.rel.ro,"aw"\n\t.balign 8\n\t.globl late_libraries\nlate_libraries:\n'
for library in $libraries; do
	printf '\t.quad %s, %s_so, %s_names, %s_slots\n' "$library" "$library" "$library" "$library"
done
printf '\t.quad 0, 0, 0, 0\n\t.section .note.GNU-stack,"",@progbits\n'
