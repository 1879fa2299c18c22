package version

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", []debug.BuildSetting{revision}, "v1.2.3"},
		{"", nil, "devel"},
		{"(devel)", []debug.BuildSetting{revision}, "devel-0123456789ab"},
		{"(devel)", []debug.BuildSetting{dirty, revision}, "devel-0123456789ab-dirty"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.version}, Settings: c.settings}
		if got := of(info); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
