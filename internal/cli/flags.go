package cli

import (
	"flag"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/usage"
)

// What a flag wants is in its usage text, which marks a placeholder with
// backquotes: FILE and DIR are names of files and folders, and words with | in
// between are all the values that there are. FILE among these is the name of any file.
const (
	placeFile   = "FILE"
	placeFolder = "DIR"
)

// usageText returns the usage text of a flag, without backquotes, and what they
// stood around.
func usageText(f urfave.Flag) (text, placeholder string) {
	before, placeholder, after := usageParts(f)
	return before + placeholder + after, placeholder
}

func usageParts(f urfave.Flag) (before, placeholder, after string) {
	d, ok := f.(urfave.DocGenerationFlag)
	if !ok {
		return "", "", ""
	}
	before, rest, _ := strings.Cut(d.GetUsage(), "`")
	placeholder, after, _ = strings.Cut(rest, "`")
	return before, placeholder, after
}

// explanation returns the usage text of a flag for a place where the placeholder
// stands beside it: it is gone where it begins the text or lists
// all values, and is an ordinary word elsewhere. The placeholder of a value that has no name
// is "value".
func explanation(f urfave.Flag) (text, placeholder string) {
	before, placeholder, after := usageParts(f)
	switch {
	case before == "":
		text = strings.TrimLeft(after, " ")
	case strings.Contains(placeholder, "|"):
		text = strings.TrimRight(before, ", ") + after
	default:
		text = before + strings.ToLower(placeholder) + after
	}
	if placeholder == "" && takesValue(f) {
		placeholder = "value"
	}
	return text, placeholder
}

// defaultValue returns the value that a flag has where nobody gives one, "" if
// that is nothing or its usage text says it.
func defaultValue(f urfave.Flag) string {
	d, ok := f.(urfave.DocGenerationFlag)
	if !ok || !takesValue(f) || strings.Contains(d.GetUsage(), "default: ") {
		return ""
	}
	value := strings.Trim(d.GetDefaultText(), `"`)
	if value == "0" {
		return ""
	}
	return value
}

// summary returns the usage text of a flag up to its first detail.
func summary(f urfave.Flag) string {
	text, _ := usageText(f)
	end := len(text)
	for _, sign := range []string{": ", "; ", ", ", " ("} {
		if at := strings.Index(text, sign); at >= 0 {
			end = min(end, at)
		}
	}
	return text[:end]
}

// choices returns the values of a flag that has only a few, or nil.
func choices(f urfave.Flag) []string {
	if _, placeholder := usageText(f); strings.Contains(placeholder, "|") {
		return strings.Split(strings.TrimSuffix(placeholder, "|"+placeFile), "|")
	}
	return nil
}

// takesFile reports whether a value of a flag can be the name of a file.
func takesFile(f urfave.Flag) bool {
	_, placeholder := usageText(f)
	return placeholder == placeFile || strings.HasSuffix(placeholder, "|"+placeFile)
}

// wanted says what values a flag takes.
func wanted(f urfave.Flag) string {
	if all := choices(f); all != nil {
		if takesFile(f) {
			all = append(all, "the name of a file")
		}
		last := len(all) - 1
		return strings.Join(all[:last], ", ") + " or " + all[last]
	}
	switch f.(type) {
	case *urfave.BoolFlag:
		return "true or false"
	case *urfave.IntFlag:
		return "a whole number"
	case *urfave.Uint64Flag:
		return "a whole number from 0"
	case *urfave.Float64Flag:
		return "a number"
	}
	return "text"
}

// parseValue returns a value as the flag takes it; true and false can be written
// in several ways. what says, for errors, where the value is.
func parseValue(f urfave.Flag, value, what string) (string, error) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	if err := f.Apply(set); err != nil {
		return "", err
	}
	name := f.Names()[0]
	fits := set.Set(name, value) == nil
	if all := choices(f); all != nil && !takesFile(f) {
		fits = slices.Contains(all, value)
	}
	if !fits {
		return "", usage.Errorf("%s is %.100q, want %s", what, value, wanted(f))
	}
	if !takesValue(f) {
		value = set.Lookup(name).Value.String()
	}
	return value, nil
}
