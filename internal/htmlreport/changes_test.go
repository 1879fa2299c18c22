package htmlreport

import (
	"slices"
	"testing"

	"lethe/verify"
)

func TestModuleNames(t *testing.T) {
	for _, c := range []struct{ names, want []string }{
		{[]string{"conv1/conv2d_1", "bn1/batch_norm_2/BatchNormalization"}, []string{"conv1", "bn1"}},
		{[]string{"fc", "fc1"}, []string{"fc", "fc1"}},
		{[]string{"lstm/a", "lstm/b", "fc/c"}, []string{"lstm/a", "lstm/b", "fc/c"}},
		{[]string{"/conv", "fc/c"}, []string{"/conv", "fc/c"}},
		{[]string{"a/x", "a/y"}, []string{"a/x", "a/y"}},
	} {
		var layers []verify.Layer
		for _, name := range c.names {
			layers = append(layers, verify.Layer{Name: name})
		}
		if got := moduleNames(layers); !slices.Equal(got, c.want) {
			t.Errorf("%q become %q, want %q", c.names, got, c.want)
		}
	}
}
