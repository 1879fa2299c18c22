package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// After the first collection of garbage the usual setting holds again, and what the
// environment asks for holds from the beginning.
func TestDelayCollection(t *testing.T) {
	percent := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	usual := debug.SetGCPercent(150)
	defer debug.SetGCPercent(usual)
	t.Setenv("GOGC", "150")
	delayCollection()
	if p := percent(); p != 150 {
		t.Errorf("GOGC=150 in the environment, and %d %% hold", p)
	}
	t.Setenv("GOGC", "")
	delayCollection()
	for range 1000 {
		runtime.GC()
		if percent() == 150 {
			return
		}
		time.Sleep(10 * time.Millisecond) // a goroutine sets it after the collection
	}
	t.Errorf("after a collection %d %% hold, not 150", percent())
}
