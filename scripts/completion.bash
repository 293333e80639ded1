# SPDX-License-Identifier: Apache-2.0
# Completion of sentrybox's verbs, flags and containers, for bash. What there is the command's help says: nothing to keep in step.

_sentrybox()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd=${COMP_WORDS[0]} verb= root=() i
	local verbs flags=

	verbs=$("$cmd" --help 2>/dev/null | sed -nE '/^Verbs/,/^$/s/^  ([a-z]+) .*/\1/p')
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root) root=(--root "${COMP_WORDS[i + 1]}") ;;
		--) COMPREPLY=($(compgen -c -- "$cur")) && return ;;
		esac
		if [ -z "$verb" ] && [[ " ${verbs//$'\n'/ } help " == *" ${COMP_WORDS[i]} "* ]]; then
			verb=${COMP_WORDS[i]}
		fi
	done
	case $prev in
	--bundle | -b | --root-image | --root | --gate-cache) COMPREPLY=($(compgen -d -- "$cur")) && return ;;
	--log | --pid-file | --console-socket | --process | --env-file | --audit) COMPREPLY=($(compgen -f -- "$cur")) && return ;;
	--platform) COMPREPLY=($(compgen -W "notify ptrace" -- "$cur")) && return ;;
	--gate) COMPREPLY=($(compgen -W "on off" -- "$cur")) && return ;;
	--user) COMPREPLY=($(compgen -u -- "$cur")) && return ;;
	help) COMPREPLY=($(compgen -W "$verbs" -- "$cur")) && return ;;
	esac
	if [ -z "$verb" ]; then
		[[ $cur == -* ]] && flags=$("$cmd" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')
		COMPREPLY=($(compgen -W "$verbs help $flags" -- "$cur"))
		return
	fi
	if [[ $cur == -* ]]; then
		flags=$("$cmd" help "$verb" 2>/dev/null | grep -oE -- '(^|[ [,])--?[a-z][a-z-]*' | tr -d ' [,' | sort -u)
		COMPREPLY=($(compgen -W "$flags" -- "$cur"))
		return
	fi
	case $verb in
	do | harness) COMPREPLY=($(compgen -f -- "$cur")) ;;
	bench | features | spec | list | run | create) ;;
	*) COMPREPLY=($(compgen -W "$("$cmd" "${root[@]}" list -q 2>/dev/null)" -- "$cur")) ;;
	esac
}
complete -o default -F _sentrybox sentrybox
