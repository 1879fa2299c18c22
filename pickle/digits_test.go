package pickle

import (
	"regexp"
	"testing"
)

// What counts as a number is what these expressions say.
func TestDigits(t *testing.T) {
	whole := regexp.MustCompile(`^(-?[1-9][0-9]*|0)$`)
	float := regexp.MustCompile(`^-?([0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?|inf|nan)$`)
	version := regexp.MustCompile(`^[1-9][0-9]?$`)
	const letters = "019-+.eintaf\n \xff"
	texts := []string{"inf", "-inf", "nan", "-nan", "infinity", "1e-05", "-1.5e+300", "10.25", "100", "1٣"}
	for _, prefix := range []string{"", "1", "-", "1.", "1e", "1.5e-"} {
		for i := range letters {
			texts = append(texts, prefix+letters[i:i+1])
			for j := range letters {
				texts = append(texts, prefix+letters[i:i+1]+letters[j:j+1])
				for k := range letters {
					texts = append(texts, prefix+letters[i:i+1]+letters[j:j+1]+letters[k:k+1])
				}
			}
		}
	}
	for _, s := range texts {
		if got, want := wholeDigits(s), whole.MatchString(s); got != want {
			t.Errorf("%q is a whole number: %v, want %v", s, got, want)
		}
		if got, want := floatDigits(s), float.MatchString(s); got != want {
			t.Errorf("%q is a number: %v, want %v", s, got, want)
		}
		if got, want := isVersion(s), version.MatchString(s); got != want {
			t.Errorf("%q is a version: %v, want %v", s, got, want)
		}
	}
}
