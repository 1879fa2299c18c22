// Command conversion exports networks with PyTorch, converts them with pt2onnx,
// compares ONNX Runtime with PyTorch at several batch sizes, and writes the table
// of docs/conversion.md.
//
//	go run ./internal/bench/conversion -python PYTHON [-run REGEXP] [-as traced|scripted|whole] [-results FILE] [-table FILE]
//	go run ./internal/bench/conversion -python PYTHON -speed
//
// Networks are exported programs, or with -as TorchScript or networks that were
// saved whole, which have tables of their own.
// PYTHON needs torch 2.8 or later, torchvision, timm and onnxruntime. Results are
// lines of JSON; networks that are in FILE already are not run again, so that a
// run can be continued.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed models.txt
var models string

// together is how many networks one process of Python makes.
const together = 6

// row is what is found out about a network.
type row struct {
	Name       string    `json:"name"`
	Parameters int       `json:"parameters"`
	Seconds    float64   `json:"seconds"` // of pt2onnx, as a process
	Said       string    `json:"said"`
	Errors     []float64 `json:"errors"` // relative to the largest output, for batches of 1, 2 and 5
	Error      string    `json:"error"`
}

func main() {
	log.SetFlags(0)
	python := flag.String("python", "python3", "`PYTHON` with torch, torchvision, timm and onnxruntime")
	pattern := flag.String("run", "", "`REGEXP` of the networks to run")
	as := flag.String("as", "", "`KIND` of file instead of exported programs: traced or scripted, for TorchScript, or whole")
	results := flag.String("results", "conversion.jsonl", "`FILE` of the results")
	table := flag.String("table", "", "`FILE` whose table between the marks is replaced")
	fast := flag.Bool("speed", false, "measure time and memory for resnet18, beside torch.onnx.export in the same run")
	flag.Parse()
	if *fast {
		if err := speed(*python); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(*python, *pattern, *as, *results, *table); err != nil {
		log.Fatal(err)
	}
}

func run(python, pattern, as, results, table string) error {
	chosen, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	rows, err := read(results)
	if err != nil {
		return err
	}
	var todo []string
	for _, name := range strings.Fields(models) {
		if as != "" {
			name += "@" + as
		}
		if _, done := rows[name]; !done && chosen.MatchString(name) && pattern != "" {
			todo = append(todo, name)
		}
	}
	if len(todo) > 0 {
		dir, err := os.MkdirTemp("", "conversion")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		command := filepath.Join(dir, "pt2onnx")
		if out, err := exec.Command("go", "build", "-o", command, "lethe/cmd/pt2onnx").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for group := range slices.Chunk(todo, together) {
			if err := compare(python, command, dir, results, group); err != nil {
				return err
			}
		}
		if rows, err = read(results); err != nil {
			return err
		}
	}
	if table == "" {
		return nil
	}
	return write(table, as, rows)
}

// read returns the results so far by name; the last of a network counts.
func read(path string) (map[string]row, error) {
	rows := map[string]row{}
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return rows, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rows[r.Name] = r
	}
	return rows, lines.Err()
}

//go:embed models.py
var script []byte

// compare runs the script on a group of networks and appends what it finds.
func compare(python, command, dir, results string, group []string) error {
	out, err := os.OpenFile(results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer out.Close()
	path := filepath.Join(dir, "models.py")
	if err := os.WriteFile(path, script, 0o666); err != nil {
		return err
	}
	cmd := exec.Command(python, append([]string{path, command, dir}, group...)...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}

// The marks around the tables.
const (
	begin       = "<!-- table: go run ./internal/bench/conversion -->\n"
	beginScript = "<!-- table: go run ./internal/bench/conversion -as traced, scripted -->\n"
	beginWhole  = "<!-- table: go run ./internal/bench/conversion -as whole -->\n"
	end         = "<!-- end of table -->\n"
)

// tolerance is how far an output may be from PyTorch's, relative to the largest.
const tolerance = 1e-4

// write replaces the table of a page: that of exported programs, of TorchScript,
// or of networks that were saved whole.
func write(path, as string, rows map[string]row) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mark, table := begin, tableOf
	switch as {
	case "":
	case "whole":
		mark, table = beginWhole, wholeTable
	default:
		mark, table = beginScript, scriptTable
	}
	before, rest, ok := strings.Cut(string(page), mark)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no marks for the table", path)
	}
	return os.WriteFile(path, []byte(before+mark+table(rows)+end+after), 0o666)
}

// scriptTable has a line for each family: how many networks there are, and of
// those that were run, how many agree.
func scriptTable(rows map[string]row) string {
	var b strings.Builder
	b.WriteString("| networks | all | traced: agree of run | scripted: agree of run | largest difference | in disagreement |\n|---|---|---|---|---|---|\n")
	for _, kind := range []string{"tv", "timm", "common"} {
		traced, scripted := linesOf(kind, "@traced", rows), linesOf(kind, "@scripted", rows)
		for i, t := range traced {
			s := scripted[i]
			var wrong []string
			for _, name := range t.wrong {
				wrong = append(wrong, name+" (traced)")
			}
			for _, name := range s.wrong {
				wrong = append(wrong, name+" (scripted)")
			}
			fmt.Fprintf(&b, "| %s | %d | %d of %d | %d of %d | %.1e | %s |\n", t.name, t.all, t.agree, t.ran, s.agree, s.ran, max(t.largest, s.largest), strings.Join(wrong, ", "))
		}
	}
	return b.String()
}

// wholeTable has a line for each family of which a network was run.
func wholeTable(rows map[string]row) string {
	var b strings.Builder
	b.WriteString("| networks | all | agree of run | largest difference | in disagreement |\n|---|---|---|---|---|\n")
	for _, kind := range []string{"tv", "timm"} {
		for _, l := range linesOf(kind, "@whole", rows) {
			if l.ran > 0 {
				fmt.Fprintf(&b, "| %s | %d | %d of %d | %.1e | %s |\n", l.name, l.all, l.agree, l.ran, l.largest, strings.Join(l.wrong, ", "))
			}
		}
	}
	return b.String()
}

// line is a line of the table: networks that are counted together.
type line struct {
	name       string
	all, agree int
	largest    float64  // difference of those that agree
	others     []string // that were not run or do not agree
	ran        int
	wrong      []string // that were run and do not agree
}

func (l *line) add(name string, r row, ran bool) {
	l.all++
	if ran {
		l.ran++
		if !r.agrees() {
			l.wrong = append(l.wrong, name)
		}
	}
	if !ran || !r.agrees() {
		l.others = append(l.others, name)
		return
	}
	l.agree++
	l.largest = max(l.largest, slices.Max(r.Errors))
}

// titles are what the table calls the kinds of networks.
var titles = map[string]string{"tv": "torchvision", "timm": "timm", "common": "small networks"}

func tableOf(rows map[string]row) string {
	var b strings.Builder
	b.WriteString("| networks | agree | largest difference | not run, or in disagreement |\n|---|---|---|---|\n")
	for _, kind := range []string{"tv", "timm", "common"} {
		for _, l := range linesOf(kind, "", rows) {
			fmt.Fprintf(&b, "| %s | %d of %d | %.1e | %s |\n", l.name, l.agree, l.all, l.largest, strings.Join(l.others, ", "))
		}
	}
	return b.String()
}

// linesOf returns the lines of a kind of networks: one of all and, for
// torchvision, one of each family. Their results are under the names with the
// suffix.
func linesOf(kind, suffix string, rows map[string]row) []*line {
	all := &line{name: "**" + titles[kind] + "**"}
	lines := []*line{all}
	for _, name := range strings.Fields(models) {
		of, short, _ := strings.Cut(name, ".")
		if of != kind {
			continue
		}
		r, ran := rows[name+suffix]
		all.add(short, r, ran)
		if kind != "tv" {
			continue
		}
		family := familyOf(short)
		i := slices.IndexFunc(lines, func(l *line) bool { return l.name == family })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{name: family})
		}
		lines[i].add(short, r, ran)
	}
	return lines
}

// agrees reports whether all batches are close to PyTorch's.
func (r row) agrees() bool {
	return r.Error == "" && len(r.Errors) == 3 && slices.Max(r.Errors) <= tolerance
}

// families are the families of torchvision.
var families = strings.Fields("alexnet convnext densenet efficientnet efficientnet_v2 googlenet inception_v3 maxvit mnasnet mobilenet_v2 mobilenet_v3 " +
	"regnet_x regnet_y resnet resnext shufflenet_v2 squeezenet swin swin_v2 vgg vit wide_resnet")

// familyOf returns the family of a network of torchvision.
func familyOf(name string) string {
	family := name
	for _, f := range families {
		if strings.HasPrefix(name, f) && (family == name || len(f) > len(family)) {
			family = f
		}
	}
	return family
}
