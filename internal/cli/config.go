package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	urfave "github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"lethe/internal/registry"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
)

// Names of the settings that are not flags: the file names of a command line.
const (
	inSetting  = "in"
	outSetting = "out"
)

// commands are the sections that a configuration file may have.
var commands = []string{"forget", "pt2onnx", "ptcheck", "ptconvert"}

const (
	configName = "lethe.yaml" // is read if it is in the working folder
	maxConfig  = 1 << 20      // bytes
)

// alone are the flags that only the command line has.
var alone = []string{helpFlag, versionFlag, configFlag, completionFlag, manFlag}

// fromFolder are the settings of each command that are taken from a lethe.yaml in
// the working folder, which may have come with a download. All others decide what
// a check demands or looks at, replace files, or say whom to trust: a person gives
// them, or names the file.
var fromFolder = map[string][]string{
	"forget": {inSetting, outSetting, "class", "onnx", "no-onnx", "seed", "threads", "report", "html", "attest", "signature", "request", "key",
		dryFlag, jsonFlag, plainFlag, uriFlag, digestFlag},
	"pt2onnx":   {inSetting, outSetting, "opset", "fold-batchnorm", "key", dryFlag, jsonFlag, plainFlag, uriFlag, digestFlag},
	"ptcheck":   {inSetting, outSetting, "class", "html", "audit", "retrain", "verbose", "threads", jsonFlag, plainFlag},
	"ptconvert": {inSetting, outSetting, "profile", "root", "key", dryFlag, jsonFlag, plainFlag, uriFlag, digestFlag},
}

// outputSettings are those of fromFolder that say where an output goes.
var outputSettings = []string{outSetting, "onnx", "report", "html", "attest", "signature", uriFlag, digestFlag}

// weakens reports whether a setting may lower what a check demands. The
// environment, which outlives a command and is inherited, does not make these.
func weakens(name string) bool {
	return slices.Contains([]string{"gate", "fail-on", "data", "forget-only", "mean", "std",
		"scale", "resize", "crop", "channels", "preprocess"}, name) ||
		strings.HasPrefix(name, "max-") || strings.HasPrefix(name, "budget-")
}

// exclusive are settings of which a higher level's leaves out a lower level's.
var exclusive = [][2]string{{"onnx", "no-onnx"}, {"data", "forget-only"}}

// setting is a value and where it is from.
type setting struct {
	values []string // one, or more if the flag is repeatable
	from   string   // variable, or file and line; "" is the command line
}

// settings are the values of flags, and of inSetting and outSetting, by name.
type settings map[string]setting

// gather returns the settings of a command, of the line before those of the
// environment before those of the file, and a line for a person that says which
// are from the file; "" if none is.
func gather(ctx context.Context, app *urfave.App, l *line) (s settings, note string, err error) {
	s = settings{}
	for _, f := range app.Flags {
		name := f.Names()[0]
		values := l.flags[name]
		for i := range values {
			if values[i], err = parseValue(f, values[i], spelled(name)); err != nil {
				return nil, "", err
			}
		}
		if values != nil {
			s[name] = setting{values: values}
		}
	}
	env, err := environment(app.Flags)
	if err != nil {
		return nil, "", err
	}
	config, file, err := configuration(ctx, app, s)
	if err != nil {
		return nil, "", err
	}
	s.add(env, l)
	if used := s.add(config, l); len(used) > 0 {
		note = terminal.OneLine(fmt.Sprintf("%s sets %s", file, strings.Join(used, ", ")))
	}
	for _, f := range app.Flags {
		if r, ok := f.(urfave.RequiredFlag); ok && r.IsRequired() {
			if name := f.Names()[0]; s[name].values == nil {
				return nil, "", usage.Errorf("%s is missing", spelled(name))
			}
		}
	}
	return s, note, nil
}

// add adds a lower level and returns the names of the settings that count.
func (s settings) add(level settings, l *line) []string {
	maps.DeleteFunc(level, func(name string, _ setting) bool {
		_, set := s[name]
		return set || s.contradict(name) || len(l.files) > 0 && (name == inSetting || name == outSetting)
	})
	maps.Copy(s, level)
	return slices.Sorted(maps.Keys(level))
}

// contradict reports whether one of the settings excludes another.
func (s settings) contradict(name string) bool {
	for _, pair := range exclusive {
		for i := range pair {
			if pair[i] == name && s.on(pair[1-i]) {
				return true
			}
		}
	}
	return false
}

// on reports whether there is a setting and it is not false.
func (s settings) on(name string) bool {
	given, set := s[name]
	return set && given.values[0] != "false"
}

// args returns the settings as a command line in the order that urfave
// understands: flags, "--", file names.
func (s settings) args(l *line) ([]string, error) {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if name == inSetting || name == outSetting {
			continue
		}
		for _, value := range s[name].values {
			args = append(args, "--"+name+"="+value)
		}
	}
	files := l.files
	in, hasIn := s[inSetting]
	out, hasOut := s[outSetting]
	switch {
	case hasIn:
		files = append(in.values, out.values...)
	case hasOut:
		return nil, usage.Errorf("%s says what the output is and nothing says what the input is", out.from)
	}
	return append(append(args, "--"), files...), nil
}

var flagInText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`--[a-z0-9-]+`) })

// explain adds to a usage error where the flags in it were set, unless that is
// the command line, which a person has before the eyes.
func (s settings) explain(err error) error {
	var misuse *usage.Error
	if !errors.As(err, &misuse) {
		return err
	}
	text := err.Error()
	told := map[string]bool{}
	for _, name := range flagInText().FindAllString(text, -1) {
		if from := s[name[2:]].from; from != "" && !told[name] {
			told[name] = true
			text += fmt.Sprintf("; %s is from %s", name, from)
		}
	}
	return &usage.Error{Reason: text}
}

type settingsKey struct{}

// Typed reports whether a flag is on the command line itself, and not only in the
// environment or in a file, which may set what one use of a command needs and
// another does not.
func Typed(c *urfave.Context, name string) bool {
	s, _ := c.Context.Value(settingsKey{}).(settings)
	given, set := s[name]
	return set && given.from == ""
}

// with returns a context for [Typed].
func (s settings) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, settingsKey{}, s)
}

// variable returns the name of the environment variable of a setting.
func variable(name string) string {
	return "LETHE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fileNames are flags for the file names, so that they are read as flags are.
var fileNames = []urfave.Flag{&urfave.StringFlag{Name: inSetting}, &urfave.StringFlag{Name: outSetting}}

// settable returns the flags that the environment and a file may give, and
// those of the file names.
func settable(flags []urfave.Flag) []urfave.Flag {
	return slices.DeleteFunc(slices.Concat(flags, fileNames), func(f urfave.Flag) bool {
		return slices.Contains(alone, f.Names()[0])
	})
}

// environment reads the variables. An empty one is not set: that is what is left
// where a pipeline fills a variable with nothing.
func environment(flags []urfave.Flag) (settings, error) {
	s := settings{}
	for _, f := range settable(flags) {
		name := f.Names()[0]
		from := variable(name)
		value := os.Getenv(from)
		if value == "" {
			continue
		}
		if weakens(name) {
			return nil, usage.Errorf("%s: %s is not taken from the environment, since it can lower what a check demands; give --%s, or name a file that sets it with --config", from, name, name)
		}
		value, err := parseValue(f, value, from)
		if err != nil {
			return nil, err
		}
		s[name] = setting{[]string{value}, from}
	}
	return s, nil
}

// configuration reads the file that the line or the environment names, or
// configName if there is one.
func configuration(ctx context.Context, app *urfave.App, line settings) (s settings, path string, err error) {
	path = os.Getenv(variable(configFlag))
	if given, set := line[configFlag]; set {
		path = given.values[0]
	}
	implied := path == ""
	if implied {
		path = configName
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil
		}
	}
	name := path // Await can leave the reading behind, when path is no longer its own
	text, err := stage.Await(ctx, func() ([]byte, error) { return readConfig(name, implied) })
	if err != nil {
		return nil, "", err
	}
	s, err = decodeConfig(text, path, app)
	if err != nil {
		return nil, "", err
	}
	if !implied {
		return s, path, nil
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		given := s[name]
		if !slices.Contains(fromFolder[app.Name], name) {
			return nil, "", usage.Errorf("%s: %s is not taken from a file that lies in the working folder; give --%s, or name the file with --config %s", given.from, name, name, path)
		}
		if slices.Contains(outputSettings, name) && !insideFolder(given.values[0]) {
			return nil, "", usage.Errorf("%s: %s leads out of the working folder, which a file that lies in it must not say; give it on the command line, or name the file with --config %s", given.from, name, path)
		}
	}
	return s, path, nil
}

// insideFolder reports whether an output is written to the working folder or to one
// below it, symbolic links followed.
func insideFolder(path string) bool {
	if path == "-" {
		return true
	}
	root, err := os.OpenRoot(".")
	if err != nil || registry.IsReference(path) || !filepath.IsLocal(path) {
		return false
	}
	defer root.Close()
	if _, err := root.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err == nil
	}
	_, err = root.Stat(filepath.Dir(path))
	return err == nil || errors.Is(err, fs.ErrNotExist) // then it is an error later
}

func readConfig(path string, implied bool) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no configuration file %s: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", path, stage.Cause(err))
	case info.IsDir(), implied && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; the configuration must be one", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, stage.Cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", path, stage.Cause(err))
	case len(text) > maxConfig:
		return nil, usage.Errorf("%s has more than %d bytes, which no configuration needs", path, maxConfig)
	}
	return text, nil
}

// decodeConfig reads the section of the command. Those of others are left to
// them.
func decodeConfig(text []byte, path string, app *urfave.App) (settings, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	err := d.Decode(&document)
	if err == io.EOF {
		return nil, nil
	}
	if err == nil {
		if err = d.Decode(&second); err == nil {
			return nil, usage.Errorf("%s, line %d: a second document; the configuration is one", path, second.Line)
		}
	}
	if err != io.EOF {
		return nil, usage.Errorf("%s is not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	sections, err := entries(path, document.Content[0])
	if err != nil {
		return nil, err
	}
	s := settings{}
	flags := settable(app.Flags)
	for _, section := range sections {
		if !slices.Contains(commands, section.name) {
			return nil, usage.Errorf("%s: unknown section %.100q%s; the sections are %s", section.at, section.name, didYouMean(section.name, commands, strconv.Quote), strings.Join(commands, ", "))
		}
		if section.name != app.Name {
			continue
		}
		all, err := entries(path, section.value)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			f := lookup(flags, e.name)
			if f == nil || f.Names()[0] != e.name {
				return nil, usage.Errorf("%s: unknown key %.100q%s", e.at, e.name, didYouMean(e.name, flagNames(flags), strconv.Quote))
			}
			values, err := e.values(f)
			if err != nil {
				return nil, err
			}
			s[e.name] = setting{values, e.at}
		}
	}
	return s, nil
}

// entry is a key of a mapping and its value.
type entry struct {
	name  string
	at    string // file and line
	value *yaml.Node
}

// entries returns what is in a mapping. Nothing at all is an empty one.
func entries(path string, n *yaml.Node) ([]entry, error) {
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s, line %d", path, n.Line) }
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, usage.Errorf("%s: found %s, want keys with values", at(n), describeNode(n))
	}
	var all []entry
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return nil, usage.Errorf("%s: found %s, want a key", at(key), describeNode(key))
		}
		if seen[key.Value] {
			return nil, usage.Errorf("%s: %.100q is there twice", at(key), key.Value)
		}
		seen[key.Value] = true
		all = append(all, entry{key.Value, at(key), n.Content[i+1]})
	}
	return all, nil
}

// values returns the value of a flag, or the values of one that is repeatable.
func (e entry) values(f urfave.Flag) ([]string, error) {
	nodes := []*yaml.Node{e.value}
	if repeatable(f) && e.value.Kind == yaml.SequenceNode {
		nodes = e.value.Content
	}
	if len(nodes) == 0 {
		return nil, usage.Errorf("%s: %s has an empty value", e.at, e.name)
	}
	var values []string
	for _, n := range nodes {
		if n.Kind == yaml.ScalarNode && n.Value == "" || n.ShortTag() == "!!null" {
			return nil, usage.Errorf("%s: %s has an empty value", e.at, e.name)
		}
		var right []string
		switch f.(type) {
		case *urfave.BoolFlag:
			right = []string{"!!bool"}
		case *urfave.IntFlag, *urfave.Uint64Flag:
			right = []string{"!!int"}
		case *urfave.Float64Flag:
			right = []string{"!!int", "!!float"}
		default:
			// Numbers and dates are as good; true is a misunderstanding.
			right = []string{"!!str", "!!int", "!!float", "!!timestamp"}
		}
		if n.Kind != yaml.ScalarNode || !slices.Contains(right, n.ShortTag()) {
			return nil, usage.Errorf("%s: %s is %s, want %s", e.at, e.name, describeNode(n), wanted(f))
		}
		value, err := parseValue(f, n.Value, e.at+": "+e.name)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// describeNode describes a node for a message.
func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return fmt.Sprintf("the alias *%.100s", n.Value)
	}
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the text %.100q", n.Value)
	case "!!int", "!!float":
		return fmt.Sprintf("the number %.100s", n.Value)
	}
	return fmt.Sprintf("%.100s (%.100s)", n.Value, n.ShortTag())
}
