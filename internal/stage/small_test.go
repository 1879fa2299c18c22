package stage

import (
	"errors"
	"testing"
	"time"

	"lethe/internal/usage"
)

func TestSourceDate(t *testing.T) {
	for s, want := range map[string]time.Time{
		"":             {},
		"0":            time.Unix(0, 0).UTC(),
		"1700000000":   time.Unix(1700000000, 0).UTC(),
		"253402300799": time.Unix(253402300799, 0).UTC(),
	} {
		t.Setenv("SOURCE_DATE_EPOCH", s)
		if got, err := SourceDate(); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"now", "-1", "1.5", "01", "+1", " 1", "1 ", "0x10", "253402300800", "99999999999999999999"} {
		t.Setenv("SOURCE_DATE_EPOCH", s)
		var misuse *usage.Error
		if _, err := SourceDate(); !errors.As(err, &misuse) {
			t.Errorf("%q: got %v, want a usage error", s, err)
		}
		// A model in a registry takes the same.
		o := &Outputs{}
		if err := o.openRemote(&Output{path: "oci+http://127.0.0.1:1/m:v1"}); !errors.As(err, &misuse) {
			t.Errorf("%q, for a registry: got %v, want a usage error", s, err)
		}
	}
}
