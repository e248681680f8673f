#!/bin/sh
# embed.sh ROOT FILE...: writes assembler that holds each FILE as text and a table of {name, text, end}.
# The name is the path below ROOT without ".lua", with dots: util/set.lua -> util.set
set -eu
root=$1; shift
printf '\t.section .rodata\n'
i=0
for f in "$@"; do
	n=${f#"$root"/}; n=$(printf '%s' "${n%.lua}" | tr / .)
	printf 'n%d:\t.asciz "%s"\ns%d:\t.incbin "%s"\ne%d:\t.byte 0\n' $i "$n" $i "$f" $i
	i=$((i + 1))
done
printf '\t.section .data.rel.ro,"aw"\n\t.balign 8\n\t.globl embedded_files\nembedded_files:\n'
j=0
while [ $j -lt $i ]; do printf '\t.quad n%d, s%d, e%d\n' $j $j $j; j=$((j + 1)); done
printf '\t.quad 0, 0, 0\n\t.section .note.GNU-stack,"",@progbits\n'
