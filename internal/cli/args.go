package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/registry"
	"lethe/internal/usage"
)

// Flags that every command has.
const (
	helpFlag       = "help"
	versionFlag    = "version"
	configFlag     = "config"
	completionFlag = "completion"
	manFlag        = "man"
)

// line is a command line that was taken apart.
type line struct {
	flags   map[string][]string // values by the flag's first name
	files   []string
	special string // helpFlag, versionFlag, completionFlag or manFlag if the line asks for that; nothing else counts then
	shell   string // of completionFlag
}

// parse takes a command line apart, in which flags may stand before and after
// file names: urfave, like package flag, takes everything after the first file
// name for file names, and a --class there would be ignored without a word. It
// finds unknown, repeated and empty flags, not values of a wrong type.
func parse(flags []urfave.Flag, args []string) (*line, error) {
	l := &line{flags: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			l.files = append(l.files, args[i+1:]...)
			break
		}
		name, value, hasValue, isFlag := split(arg)
		if !isFlag {
			l.files = append(l.files, arg)
			continue
		}
		f := lookup(flags, name)
		if f == nil {
			return nil, usage.Errorf("unknown flag %s%s", spelled(name), didYouMean(name, flagNames(flags), spelled))
		}
		main := f.Names()[0]
		if main == helpFlag || main == versionFlag || main == manFlag {
			return &line{special: main}, nil
		}
		if l.flags[main] != nil && !repeatable(f) {
			return nil, usage.Errorf("%s is given twice", spelled(main))
		}
		switch {
		case hasValue:
		case !takesValue(f):
			// A boolean's value is joined to it or absent, as for package flag.
			value = "true"
		default:
			if i++; i == len(args) {
				return nil, usage.Errorf("%s needs a value", arg)
			}
			value = args[i]
			// More likely a forgotten value than a file of that name.
			if next, _, _, isFlag := split(value); isFlag && (next == "" || lookup(flags, next) != nil) {
				return nil, usage.Errorf("%s needs a value, found %s; write %s=%s if that is the value", arg, value, arg, value)
			}
		}
		if value == "" {
			return nil, usage.Errorf("%s has an empty value", spelled(name))
		}
		if main == completionFlag {
			return &line{special: main, shell: value}, nil
		}
		l.flags[main] = append(l.flags[main], value)
	}
	return l, nil
}

// split takes --name=value apart. A lone "-" is not a flag but a file name.
func split(arg string) (name, value string, hasValue, isFlag bool) {
	rest, isFlag := strings.CutPrefix(arg, "-")
	if !isFlag || rest == "" {
		return "", "", false, false
	}
	name, value, hasValue = strings.Cut(strings.TrimPrefix(rest, "-"), "=")
	return name, value, hasValue, true
}

func lookup(flags []urfave.Flag, name string) urfave.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f urfave.Flag) bool {
	d, ok := f.(urfave.DocGenerationFlag)
	return ok && d.TakesValue()
}

func repeatable(f urfave.Flag) bool {
	d, ok := f.(urfave.DocGenerationSliceFlag)
	return ok && d.IsSliceFlag()
}

// spelled writes a flag as a person types it.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// flagNames returns all names of flags that a person would write out.
func flagNames(flags []urfave.Flag) []string {
	var names []string
	for _, f := range flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, name)
			}
		}
	}
	return names
}

// didYouMean asks, for the end of a message about a name that is not there,
// whether the nearest that is was meant; "" if none is near.
func didYouMean(name string, names []string, spell func(string) string) string {
	best, least := "", 3 // three edits away is another word
	for _, other := range names {
		d := distance(name, other)
		if len(name) >= 2 && strings.HasPrefix(other, name) {
			d = min(d, 1)
		}
		if d < least {
			best, least = other, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + spell(best) + "?"
}

// distance is the number of bytes to insert, delete or replace between a and b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// Args returns the positional arguments that names describe, such as "in.pt".
// The last ones may be optional: "[out.pt]", and are "" if they are not given.
// Too few or too many are a [usage.Error]. With --plain-http, references to
// registries say so.
func Args(c *urfave.Context, names ...string) ([]string, error) {
	given := c.Args().Slice()
	if len(given) > len(names) {
		return nil, usage.Errorf("unexpected argument %q after %s", given[len(names)], strings.Join(names, " "))
	}
	args := make([]string, len(names))
	for i, name := range names {
		switch {
		case i < len(given) && given[i] == "":
			return nil, usage.Errorf("the argument %s is empty", strings.Trim(name, "[]"))
		case i < len(given):
			args[i] = given[i]
			if c.Bool(plainFlag) {
				args[i] = registry.Plain(given[i])
			}
		case !strings.HasPrefix(name, "["):
			return nil, usage.Errorf("the argument %s is missing", name)
		}
	}
	return args, nil
}
