package registry

import (
	"context"
	"time"
)

// Bounds are how a place is reached in a test; the zero value waits for nothing
// but answers.
type Bounds struct {
	Attempts int               // 0: 3
	Env      map[string]string // instead of the environment
	Sleep    func(d time.Duration)
	Stall    time.Duration // 0: until something calls the function that Watch got
	Watch    func(expired func()) (moved func())
}

// BoundedClient is [NewClient] with other bounds.
func BoundedClient(b Bounds) *Client {
	c := NewClient()
	c.attempts = 3
	if b.Attempts != 0 {
		c.attempts = b.Attempts
	}
	c.sleep = func(ctx context.Context, d time.Duration) error {
		if b.Sleep != nil {
			b.Sleep(d)
		}
		return ctx.Err()
	}
	if c.stall = b.Stall; c.stall == 0 {
		c.timer = func(_ time.Duration, expired func()) timer {
			if b.Watch != nil {
				return still(b.Watch(expired))
			}
			return still(func() {})
		}
	}
	return c
}

// still is a timer that stands still and tells what would set it back.
type still func()

func (moved still) Reset(time.Duration) bool { moved(); return true }
func (still) Stop() bool                     { return true }
