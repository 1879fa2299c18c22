package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"lethe/model"
)

// With ten classes the general rules are those of the reference task where they
// do not depend on the network.
func TestRulesFor(t *testing.T) {
	for _, c := range []struct {
		classes      int
		remain, norm float64
		want         Rules
	}{
		{10, 0.905, 26, Rules{
			"", Rule{"target", 0.09, 0.3, 0.5}, Rule{"remain", 0.9, 0.87, 0.75}, Rule{"L2", 1.3, 3, 8}, Rule{"KL", 0.2, 0.5, 1.75},
		}},
		{100, 0.7, 100, Rules{
			"", Rule{"target", 0.009, 0.03, 0.05}, Rule{"remain", 0.695, 0.6718, 0.5792}, Rule{"L2", 5, 11.54, 30.77}, Rule{"KL", 0.4, 1, 3.5},
		}},
		{2, 1, 1, Rules{
			"", Rule{"target", 0.45, 0.5769, 0.6978}, Rule{"remain", 0.995, 0.9618, 0.8292}, Rule{"L2", 0.05, 0.1154, 0.3077}, Rule{"KL", 0.06021, 0.1505, 0.5268},
		}},
	} {
		if got := RulesFor(c.classes, c.remain, c.norm); got != c.want {
			t.Errorf("%d classes, %v, %v:\n%+v, want\n%+v", c.classes, c.remain, c.norm, got, c.want)
		}
	}
	// Whatever the network, they can be met and broken.
	for _, classes := range []int{2, 3, 5, 10, 47, 1000, 21843} {
		for _, remain := range []float64{0, 0.004, 0.3, 1} {
			if err := RulesFor(classes, remain, 3).Check(); err != nil {
				t.Errorf("%d classes, %v: %v", classes, remain, err)
			}
		}
	}
}

func TestParseRules(t *testing.T) {
	got, err := ParseRules([]byte(`{"l2": {"full": 2, "none": 4, "hard": 9}, "remain": {"hard": 0, "full": 0.8, "none": 0.5}}`), FashionMNIST)
	want := FashionMNIST
	want.L2, want.Remain = Rule{"L2", 2, 4, 9}, Rule{"remain", 0.8, 0.5, 0}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	written, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseRules(written, FashionMNIST); err != nil || again != want {
		t.Errorf("%s is read as %+v, %v", written, again, err)
	}
	for text, reason := range map[string]string{
		`{"L2": {"full": 2, "none": 4, "hard": 9}}`:            `there is no measure "L2"`,
		`{"l2": {"full": 2, "none": 4}}`:                       "l2 needs all of",
		`{"l2": {"full": 2, "none": 4, "hard": 9, "soft": 1}}`: `l2 has a member "soft"`,
		`{"l2": {"full": 2, "full": 3, "none": 4, "hard": 9}}`: "twice",
		`{"l2": {"full": 4, "none": 4, "hard": 9}}`:            "not in the order",
		`{"l2": {"full": 2, "none": 4, "hard": 3}}`:            "not in the order",
		`{"remain": {"full": 0.8, "none": 0.9, "hard": 0.5}}`:  "not in the order",
		`{"remain": {"full": 0.8, "none": 0.7, "hard": 0.75}}`: "not in the order",
		`{"remain": {"full": 1.2, "none": 0.7, "hard": 0.5}}`:  "cannot have such a value",
		`{"target": {"full": 0, "none": 0.7, "hard": 0.8}}`:    "cannot have such a value",
		`{"target": {"full": 0.1, "none": 0.7, "hard": 1.5}}`:  "cannot have such a value",
		`{"kl": {"full": -1, "none": 0.7, "hard": 1.5}}`:       "cannot have such a value",
		`{"kl": {"full": "0.1", "none": 0.7, "hard": 1.5}}`:    "json",
		`{"kl": null}`: "kl needs all of",
		`[]`:           "json",
		`{"l2": 2}`:    "found number, want an object; they are as",
		``:             "ends too early",
		`{} {}`:        "text after",
		`{"kl": {"full": 1e400, "none": 0.7, "hard": 1.5}}`: "json",
	} {
		_, err := ParseRules([]byte(text), FashionMNIST)
		var format *model.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %s", text, err, reason)
		}
	}
	kl := `{"kl": {"full": 0.1, "none": 0.7, "hard": 1.5}}`
	if _, err := ParseRules([]byte(kl), Unseen(FashionMNIST, 0.9)); err == nil || !strings.Contains(err.Error(), "is not judged where the aim is unseen") {
		t.Errorf("a rule for the divergence where it is not judged: %v", err)
	}
	if _, err := ParseRules(make([]byte, maxRules+1), FashionMNIST); err == nil || !strings.Contains(err.Error(), "rules") {
		t.Errorf("a long text: %v", err)
	}
}

// What is read is in order and says what it was read from.
func FuzzParseRules(f *testing.F) {
	f.Add([]byte(`{"target": {"full": 0.05, "none": 0.2, "hard": 0.3}, "l2": {"full": 2, "none": 4, "hard": 9}}`))
	f.Add([]byte(`{"remain": {"full": 0.8, "none": 0.5, "hard": 0}, "kl": {"full": 1e-3, "none": 1, "hard": 1e300}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRules(text, FashionMNIST)
		if err != nil {
			return
		}
		for _, x := range r.All() {
			if math.IsNaN(x.Full+x.None+x.Hard) || x.Full == x.None || x.MoreIsBetter() != (x.Name == "remain") {
				t.Errorf("%s gives %+v", text, x)
			}
		}
		written, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseRules(written, FashionMNIST); err != nil || again != r {
			t.Errorf("%s gives %s and that %+v, %v", text, written, again, err)
		}
	})
}

func ExampleParseRules() {
	r, err := ParseRules([]byte(`{"target": {"full": 0.05, "none": 0.2, "hard": 0.3}}`), RulesFor(100, 0.8, 40))
	fmt.Println(r.Target, r.L2, err)
	// Output: {target 0.05 0.2 0.3} {L2 2 4.615 12.31} <nil>
}
