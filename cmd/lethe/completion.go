package main

import (
	"context"
	"fmt"
	"strings"

	"lethe/internal/cli"
)

const (
	bashScript = `_lethe() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W '%[1]s --completion --help --version' -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
	%[2]s)
		COMP_WORDS=("${COMP_WORDS[@]:1}")
		((COMP_CWORD--))
		_${COMP_WORDS[0]}
		;;
	--completion)
		COMPREPLY=($(compgen -W 'bash zsh fish' -- "$cur"))
		;;
	esac
}
complete -F _lethe lethe
`
	zshScript = `_lethe() {
	if ((CURRENT == 2)); then
		compadd -- %[1]s --completion --help --version
		return
	fi
	case ${words[2]} in
	%[2]s)
		shift words
		((CURRENT--))
		_${words[1]}
		;;
	--completion)
		compadd -- bash zsh fish
		;;
	esac
}
if [[ ${funcstack[1]} == _lethe ]]; then
	_lethe "$@"
else
	compdef _lethe lethe
fi
`
	fishScript = `function __lethe_first
	test (count (commandline -opc)) -eq 1
end
function __lethe_is
	set -l words (commandline -opc)
	test (count $words) -ge 2
	and test $words[2] = $argv[1]
end
complete -c lethe -n __lethe_first -x -a '%[1]s'
complete -c lethe -n '__lethe_first; or __lethe_is --completion' -l completion -x -a 'bash zsh fish'
complete -c lethe -n __lethe_first -l help
complete -c lethe -n __lethe_first -l version
`
)

// completion returns a script that completes lethe in a shell: the name of a
// command as the first word, and after it what that command's own script
// completes. It has the scripts of the commands in it.
func completion(ctx context.Context, shell string) (string, error) {
	script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
	if !ok {
		return "", fmt.Errorf("--completion is %.100q, want bash, zsh or fish", shell)
	}
	var b strings.Builder
	if shell == "zsh" { // compinit looks at the first line
		b.WriteString("#compdef lethe\n")
	}
	var all []string
	for _, c := range commands {
		all = append(all, c.name)
		var own, stderr strings.Builder
		if code := c.run(ctx, []string{"--completion", shell}, strings.NewReader(""), &own, &stderr); code != cli.ExitOK {
			return "", fmt.Errorf("%s", strings.TrimSpace(stderr.String()))
		}
		b.WriteString(own.String())
		if shell == "fish" {
			b.WriteString(strings.ReplaceAll(own.String(), "complete -c "+c.name+" ", "complete -c lethe -n '__lethe_is "+c.name+"' "))
		}
	}
	fmt.Fprintf(&b, script, strings.Join(all, " "), strings.Join(all, "|"))
	return b.String(), nil
}
