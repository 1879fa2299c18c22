// Package rewrite renames, selects and converts the entries of a state dict, as
// people do in scripts between two frameworks. Nothing is read or held: what it
// returns reads the elements of the old tensors when somebody reads the new ones.
package rewrite

import (
	"fmt"
	"regexp"
	"strings"

	"lethe/model"
)

// Rules say how to rewrite a state dict. They apply in the order of the fields.
// The zero value changes nothing.
//
// A pattern is a whole name, in which a star stands for any characters, none
// included.
type Rules struct {
	Select      []string    // patterns of the names to keep; none for all
	Drop        []string    // patterns of names to leave out
	StripPrefix string      // what names start with, such as "module."; other names stay
	Rename      []Rename    // one after the other, each on the names that the last one gave
	DType       model.DType // of real numbers; [model.Invalid] keeps what they are
}

// Rename gives new names to those that a pattern fits. Each star of New stands
// for what the star of Old in that place matched.
type Rename struct{ Old, New string }

// ParseRename reads OLD=NEW.
func ParseRename(text string) (Rename, error) {
	from, to, ok := strings.Cut(text, "=")
	if !ok || from == "" || to == "" {
		return Rename{}, fmt.Errorf("%q is not of the form OLD=NEW", text)
	}
	if strings.Count(to, "*") > strings.Count(from, "*") {
		return Rename{}, fmt.Errorf("%q has more stars in its new name than in the old one", text)
	}
	return Rename{from, to}, nil
}

// IsZero reports whether the rules change nothing.
func (r *Rules) IsZero() bool {
	return len(r.Select)+len(r.Drop)+len(r.Rename) == 0 && r.StripPrefix == "" && r.DType == model.Invalid
}

// Change is what becomes of one entry.
type Change struct {
	From, To         string // To is empty if the entry is left out
	FromType, ToType model.DType
}

// String returns the change for a person.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", c.From)
	if c.To == "" {
		return b.String() + " is left out"
	}
	if c.To != c.From {
		fmt.Fprintf(&b, " becomes %q", c.To)
	}
	if c.ToType != c.FromType {
		fmt.Fprintf(&b, ", %v becomes %v", c.FromType, c.ToType)
	}
	return b.String()
}

// Apply returns the rewritten state dict, in the order of the old one, and the
// entries that changed. Tensors over one storage stay tied. A rule that fits no
// name, two entries that would get one name, and a state dict without entries
// are a [model.UnsupportedError]; a number that is finite and that the new type
// does not have is one too, when the tensor is read.
func (r *Rules) Apply(sd *model.StateDict) (*model.StateDict, []Change, error) {
	selects, drops := compile(r.Select), compile(r.Drop)
	var renames []*matcher
	for _, rename := range r.Rename {
		renames = append(renames, newMatcher(rename.Old, rename.New))
	}
	c := converter{to: r.DType, storages: map[typedStorage]*model.Storage{}}
	stripped := false
	from := map[string]string{} // the old name of each new one
	var entries []model.Entry
	var changes []Change
	for name, t := range sd.All() {
		to := name
		if !(len(selects) == 0 || matches(selects, name)) || matches(drops, name) {
			changes = append(changes, Change{From: name, FromType: t.DType()})
			continue
		}
		if rest, ok := strings.CutPrefix(to, r.StripPrefix); ok && r.StripPrefix != "" && rest != "" {
			stripped, to = true, rest
		}
		for _, m := range renames {
			to = m.rename(to)
		}
		if other, taken := from[to]; taken {
			return nil, nil, &model.UnsupportedError{What: fmt.Sprintf("%q and %q would both be called %q", other, name, to), Advice: "drop one of them, or rename it"}
		}
		from[to] = name
		converted, err := c.convert(name, t)
		if err != nil {
			return nil, nil, err
		}
		if to != name || converted != t {
			changes = append(changes, Change{name, to, t.DType(), converted.DType()})
		}
		entries = append(entries, model.Entry{Name: to, Tensor: converted})
	}
	for _, list := range [][]*matcher{selects, drops, renames} {
		for _, m := range list {
			if !m.used {
				return nil, nil, &model.UnsupportedError{What: fmt.Sprintf("no entry is called %q", m.text), Advice: "a pattern is a whole name, in which a star stands for any characters; ptcheck lists the names"}
			}
		}
	}
	if r.StripPrefix != "" && !stripped {
		return nil, nil, &model.UnsupportedError{What: fmt.Sprintf("no entry starts with %q", r.StripPrefix), Advice: "ptcheck lists the names"}
	}
	if len(entries) == 0 {
		return nil, nil, &model.UnsupportedError{What: "no entry is left", Advice: "select more of them, or drop less"}
	}
	out, err := model.NewStateDict(entries...)
	return out, changes, err
}

// matcher is a pattern.
type matcher struct {
	text string
	re   *regexp.Regexp
	to   []string // the new name between its stars
	used bool
}

func newMatcher(pattern, to string) *matcher {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return &matcher{text: pattern, re: regexp.MustCompile("(?s)^" + strings.Join(parts, "(.*?)") + "$"), to: strings.Split(to, "*")}
}

func compile(patterns []string) []*matcher {
	var list []*matcher
	for _, p := range patterns {
		list = append(list, newMatcher(p, ""))
	}
	return list
}

// matches reports whether one of the patterns fits; all that do count as used.
func matches(list []*matcher, name string) (any bool) {
	for _, m := range list {
		if m.re.MatchString(name) {
			m.used, any = true, true
		}
	}
	return any
}

func (m *matcher) rename(name string) string {
	found := m.re.FindStringSubmatch(name)
	if found == nil {
		return name
	}
	m.used = true
	var b strings.Builder
	for i, part := range m.to {
		if i > 0 {
			b.WriteString(found[i])
		}
		b.WriteString(part)
	}
	return b.String()
}
