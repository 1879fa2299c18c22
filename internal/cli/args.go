package cli

import (
	"os"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/registry"
)

const (
	helpFlag    = "help"
	versionFlag = "version"
)

// permuted is a command line in the order that urfave understands.
type permuted struct {
	args    []string // flags, "--", file names
	special string   // helpFlag or versionFlag if the line asks for that; nothing else counts then
}

// permute moves flags before file names, because urfave, like package flag,
// takes everything after the first file name for file names: a --class there
// would be ignored without a word. It finds what urfave finds too late or
// tells on stdout: unknown, repeated, empty and missing flags.
func permute(flags []urfave.Flag, args []string) (permuted, error) {
	var moved, files []string
	given := map[urfave.Flag]bool{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			files = append(files, args[i+1:]...)
			break
		}
		name, value, hasValue, isFlag := split(arg)
		if !isFlag {
			files = append(files, arg)
			continue
		}
		f := lookup(flags, name)
		if f == nil {
			return permuted{}, unknown(flags, name)
		}
		if main := f.Names()[0]; main == helpFlag || main == versionFlag {
			return permuted{special: main}, nil
		}
		if given[f] && !repeatable(f) {
			return permuted{}, Usagef("%s is given twice", spelled(f.Names()[0]))
		}
		given[f] = true
		// A boolean's value is joined to it or absent, as for package flag.
		if !hasValue && takesValue(f) {
			if i++; i == len(args) {
				return permuted{}, Usagef("%s needs a value", arg)
			}
			value, hasValue = args[i], true
			// More likely a forgotten value than a file of that name.
			if next, _, _, isFlag := split(value); isFlag && (next == "" || lookup(flags, next) != nil) {
				return permuted{}, Usagef("%s needs a value, found %s; write %s=%s if that is the value", arg, value, arg, value)
			}
		}
		if hasValue && value == "" {
			return permuted{}, Usagef("%s has an empty value", spelled(name))
		}
		if hasValue {
			moved = append(moved, "--"+name+"="+value)
		} else {
			moved = append(moved, "--"+name)
		}
	}
	for _, f := range flags {
		if r, ok := f.(urfave.RequiredFlag); ok && r.IsRequired() && !given[f] && !inEnvironment(f) {
			return permuted{}, Usagef("%s is missing", spelled(f.Names()[0]))
		}
	}
	return permuted{args: append(append(moved, "--"), files...)}, nil
}

// split takes --name=value apart. A lone "-" is no flag but a file name.
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

func inEnvironment(f urfave.Flag) bool {
	d, ok := f.(urfave.DocGenerationFlag)
	return ok && slices.ContainsFunc(d.GetEnvVars(), func(name string) bool {
		_, set := os.LookupEnv(name)
		return set
	})
}

// spelled writes a flag as a person types it.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// unknown is the error for a flag that is not there, with the nearest that is.
func unknown(flags []urfave.Flag, name string) error {
	best, least := "", 3 // three edits away is another word
	for _, f := range flags {
		for _, other := range f.Names() {
			d := distance(name, other)
			if len(name) >= 2 && strings.HasPrefix(other, name) {
				d = min(d, 1)
			}
			if len(other) > 1 && d < least {
				best, least = other, d
			}
		}
	}
	if best == "" {
		return Usagef("unknown flag %s", spelled(name))
	}
	return Usagef("unknown flag %s; did you mean %s?", spelled(name), spelled(best))
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
// Too few or too many are a [UsageError]. With --plain-http, references to
// registries say so.
func Args(c *urfave.Context, names ...string) ([]string, error) {
	given := c.Args().Slice()
	if len(given) > len(names) {
		return nil, Usagef("unexpected argument %q after %s", given[len(names)], strings.Join(names, " "))
	}
	args := make([]string, len(names))
	for i, name := range names {
		switch {
		case i < len(given) && given[i] == "":
			return nil, Usagef("the argument %s is empty", strings.Trim(name, "[]"))
		case i < len(given):
			args[i] = given[i]
			if c.Bool(plainFlag) {
				args[i] = registry.Plain(given[i])
			}
		case !strings.HasPrefix(name, "["):
			return nil, Usagef("the argument %s is missing", name)
		}
	}
	return args, nil
}
