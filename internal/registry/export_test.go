package registry

import (
	"context"
	"time"
)

// OpenImpatient is [Open] with other bounds.
func OpenImpatient(ref string, attempts int, stall time.Duration, sleep func(ctx context.Context, d time.Duration) error) (Place, error) {
	c := newClient()
	c.attempts, c.stall, c.sleep = attempts, stall, sleep
	return open(ref, c)
}
