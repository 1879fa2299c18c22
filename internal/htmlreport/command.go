package htmlreport

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"lethe/report"
)

// command returns the command line that makes the edit again, or "" if the
// report is not of a command that made one.
func command(p Page) string {
	r := p.Report
	if r.Method == nil || r.Data == nil {
		return ""
	}
	m := r.Method
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = strconv.Itoa(c)
	}
	words := []string{"forget", "--class", strings.Join(classes, ","), "--seed", strconv.FormatUint(r.Seed, 10), "--gate", string(r.Gate)}
	switch r.Data.Source {
	case report.SourceForgetOnly:
		words = append(words, "--forget-only", "DIR")
	case report.SourceFiles:
		words = append(words, "--data", "DIR")
	}
	if m.Aim != "" {
		words = append(words, "--aim", string(m.Aim))
	}
	switch {
	case m.Reference == nil:
	case m.Reference.File == nil:
		words = append(words, "--reference", "retrain")
	default:
		words = append(words, "--reference", "FILE")
	}
	words = append(words, r.Data.Preprocess.Words()...)
	if r.Data.Scale != 0 {
		words = append(words, "--scale", fmt.Sprint(r.Data.Scale))
	}
	words = append(words, "--mean", fmt.Sprint(r.Data.Mean), "--std", fmt.Sprint(r.Data.Std))
	if m.Aim != report.AimUnseen {
		words = append(words, "--prefer", string(m.Prefer))
	}
	words = append(words, "--max-target", fmt.Sprint(m.Limits.Target))
	if m.Aim != report.AimUnseen {
		words = append(words, "--max-kl", fmt.Sprint(m.Limits.KL))
	}
	words = append(words, "--budget-l2", fmt.Sprint(m.Limits.L2))
	if m.MaxLoss > 0 {
		words = append(words, "--max-loss", fmt.Sprint(m.MaxLoss))
	}
	if m.Selected {
		for _, name := range m.Trained {
			words = append(words, "--train", name)
		}
	}
	if r.OwnRules {
		words = append(words, "--rules", "FILE")
	}
	if _, ok := r.Files["onnx"]; !ok {
		words = append(words, "--no-onnx")
	}
	words = append(words, p.Reading...)
	words = append(words, cmp.Or(p.Input, "in.pt"), cmp.Or(p.Output, "out.pt"))
	for i, word := range words {
		words[i] = shellWord(word)
	}
	return strings.Join(words, " ")
}

// isPlainWord reports whether a shell takes a word as it is.
func isPlainWord(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("_./:@%+=,-", r)
	}) < 0
}

// shellWord writes a word so that a shell takes it for that word alone, on one
// line and without characters that a person does not see.
func shellWord(s string) string {
	switch {
	case isPlainWord(s):
		return s
	case !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '\'' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
