# bash completion for gadwall; made by `gadwall completion bash`
_gadwall() {
	local cur=${COMP_WORDS[COMP_CWORD]} word= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c|--config|--socket|--timeout|--color) ((i++)) ;;
		-*) ;;
		*) word=${COMP_WORDS[i]}; break ;;
		esac
	done
	case ${COMP_WORDS[COMP_CWORD-1]} in
	-c|--config|--socket|--binary|--dir) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	esac
	local list=
	case $word in
	"") list="run check status reload drain undrain finish stop upgrade rollback activate shell lua new completion --config --socket --json --timeout --quiet --color --help --version --list-failpoints" ;;
	run) list="--passive --detach --print-config --config --socket --json --timeout --quiet --color --help" ;;
	check) list="--strict --dump --no-bind --config --socket --json --timeout --quiet --color --help" ;;
	status) list="--watch --json-lines --config --socket --json --timeout --quiet --color --help" ;;
	reload) list="--host --config --socket --json --timeout --quiet --color --help $(gadwall shell complete 'module reload ' 2>/dev/null)" ;;
	drain) list="--wait --reason --config --socket --json --timeout --quiet --color --help $(gadwall shell complete 'server drain ' 2>/dev/null)" ;;
	undrain) list="--config --socket --json --timeout --quiet --color --help $(gadwall shell complete 'server drain ' 2>/dev/null)" ;;
	finish) list="--no-wait --idle-wait --config --socket --json --timeout --quiet --color --help" ;;
	stop) list="--no-wait --plan --reason --code --now --hammer --extend --abort --config --socket --json --timeout --quiet --color --help" ;;
	upgrade) list="--no-wait --check --binary --config --socket --json --timeout --quiet --color --help" ;;
	rollback) list="--no-wait --config --socket --json --timeout --quiet --color --help" ;;
	activate) list="--config --socket --json --timeout --quiet --color --help" ;;
	shell) list="--width --config --socket --json --timeout --quiet --color --help" ;;
	lua) list="--execute --config --socket --json --timeout --quiet --color --help" ;;
	new) list="--tcp --http --timer --dir --config --socket --json --timeout --quiet --color --help module" ;;
	completion) list="--config --socket --json --timeout --quiet --color --help bash zsh fish" ;;
	esac
	if [[ $word == lua ]]; then COMPREPLY=($(compgen -f -- "$cur")); return; fi
	COMPREPLY=($(compgen -W "$list" -- "$cur"))
}
complete -F _gadwall gadwall
