package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"lethe/model"
)

// Client is how registries are reached: with a bound on silence, and again
// after faults that pass.
type Client struct {
	HTTP     *http.Client
	attempts int           // at most, for one request with its body
	stall    time.Duration // without a byte in either direction
	sleep    func(ctx context.Context, d time.Duration) error
	timer    func(d time.Duration, f func()) timer
	after    atomic.Int64 // what the last Retry-After asked for, a Duration
}

// timer is what [time.AfterFunc] returns.
type timer interface {
	Reset(d time.Duration) bool
	Stop() bool
}

// Bounds of the client that commands use. Waiting for 0.5, 1, 2 and 4 seconds
// outlasts a restart of a registry and the usual limits of rates.
const (
	attempts  = 5
	firstWait = 500 * time.Millisecond
	maxAfter  = 30 * time.Second
	maxStall  = time.Minute
)

func NewClient() *Client {
	c := &Client{attempts: attempts, stall: maxStall, sleep: sleep}
	c.timer = func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c.HTTP = &http.Client{
		Transport: &watched{c, transport},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return fmt.Errorf("%w more than 10 times", errRedirect)
			}
			if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return fmt.Errorf("%w to an address without TLS", errRedirect)
			}
			// Go's rule lets other ports and subdomains of a host have it.
			if via[0].URL.Host != req.URL.Host || via[0].URL.Scheme != req.URL.Scheme {
				req.Header.Del("Authorization")
			}
			return nil
		},
	}
	return c
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Try runs op until it succeeds, fails for good, or has failed too often.
// op must be safe to repeat.
func (c *Client) Try(ctx context.Context, op func() error) error {
	for n := 1; ; n++ {
		err := op()
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		if n == c.attempts {
			return &exhausted{n, err}
		}
		wait := max(firstWait<<(n-1), time.Duration(c.after.Swap(0)))
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// exhausted is the last error of several attempts.
type exhausted struct {
	attempts int
	err      error
}

func (e *exhausted) Error() string { return fmt.Sprintf("%v (tried %d times)", e.err, e.attempts) }
func (e *exhausted) Unwrap() error { return e.err }

// passes reports whether the same request may succeed later.
func passes(err error) bool {
	var (
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		noTLS    tls.RecordHeaderError
		alert    tls.AlertError
		exchange *url.Error
		transfer *transferError
	)
	switch code := Status(err); {
	case code != 0:
		return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
	case errors.As(err, &dns) && dns.IsNotFound, errors.As(err, &cert), errors.As(err, &noTLS), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch), errors.Is(err, errRedirect):
		return false
	}
	return errors.As(err, &exchange) || errors.As(err, &transfer) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Status returns the status code of an answer that refuses, or 0.
func Status(err error) int {
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// Advice is what a person can do about faults, in the words of a kind of
// registry.
type Advice struct {
	Login string // for other credentials
	Plain string // to speak HTTP without TLS to this machine
}

// Explain returns the error of an operation on a model for a person: an [Error]
// if it is the registry's. Addresses and headers stay out of it: they may hold
// secrets.
func Explain(op, ref string, advice Advice, err error) error {
	var (
		answer   *errcode.ErrorResponse
		noTLS    tls.RecordHeaderError
		exchange *url.Error
		tried    *exhausted
	)
	if err == nil || isOwn(err) {
		return err
	}
	reached := err
	if errors.As(err, &tried) {
		reached = tried.err
	}
	detail := ""
	if errors.As(err, &answer) && len(answer.Errors) > 0 {
		detail = fmt.Sprintf(" (%.200s)", answer.Errors.Error())
	}
	var reason string
	switch code := Status(err); {
	case code == http.StatusUnauthorized, errors.Is(err, auth.ErrBasicCredentialNotFound):
		reason = "the registry wants other credentials" + detail + "; " + advice.Login
	case code == http.StatusForbidden:
		reason = "the registry does not allow it with these credentials" + detail + "; " + advice.Login
	case code == http.StatusNotFound, errors.Is(err, errdef.ErrNotFound):
		reason = "the registry has no such model" + detail + "; check the spelling, and that these credentials may see it"
	case code == http.StatusTooManyRequests:
		reason = "the registry allows no more requests for now" + detail + "; try again later"
	case code != 0:
		reason = fmt.Sprintf("the registry answers %d %s%s", code, http.StatusText(code), detail)
	case errors.Is(err, content.ErrMismatchedDigest):
		reason = "what the registry sends does not have the digest that was asked for"
	case errors.Is(err, http.ErrSchemeMismatch):
		reason = "the registry speaks HTTP without TLS; on this machine's own addresses that needs " + advice.Plain + ", elsewhere a certificate"
	case errors.As(err, &noTLS):
		reason = "what answers there speaks neither TLS nor HTTP"
	case errors.As(err, &exchange):
		reason = exchange.Err.Error()
	default:
		reason = queries().ReplaceAllString(reached.Error(), "")
	}
	if tried != nil {
		reason += fmt.Sprintf(" (tried %d times)", tried.attempts)
	}
	return &Error{Ref: ref, Op: op, Reason: reason, Err: err}
}

// queries finds the part of an address that may be a signature.
var queries = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\?[^\s"]*`) })

// isOwn reports whether an error is not the registry's: the model is not what can
// be read, a file of this machine fails, the person interrupts.
func isOwn(err error) bool {
	var (
		explained   *Error
		reference   *ReferenceError
		format      *model.FormatError
		unsupported *model.UnsupportedError
		limit       *model.LimitError
		file        *os.PathError
	)
	return errors.As(err, &explained) || errors.As(err, &reference) || errors.As(err, &format) || errors.As(err, &unsupported) || errors.As(err, &limit) ||
		errors.As(err, &file) || errors.Is(err, context.Canceled) && !errors.Is(err, errStalled)
}

// Rewind empties a file for another attempt to fill it.
func Rewind(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

var (
	errStalled  = errors.New("no byte went either way")
	errRedirect = errors.New("the registry redirects")
)

// transferError is an answer that broke off.
type transferError struct{ err error }

func (e *transferError) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *transferError) Unwrap() error { return e.err }

// watched is a transport that gives up when nothing moves.
type watched struct {
	client *Client
	base   http.RoundTripper
}

func (t *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	limit := t.client.stall
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := t.client.timer(limit, func() { cancel(fmt.Errorf("%w for %v", errStalled, limit)) })
	moved := func() { timer.Reset(limit) }
	end := func() {
		timer.Stop()
		cancel(nil)
	}
	req = req.Clone(ctx)
	if req.Body != nil {
		req.Body = &moving{req.Body, moved, func() {}, ctx}
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		end()
		return nil, err
	}
	moved()
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			t.client.after.Store(int64(min(time.Duration(min(seconds, 3600))*time.Second, maxAfter)))
		}
	}
	resp.Body = &moving{resp.Body, moved, end, ctx}
	return resp, nil
}

// moving is a body that says when it moves.
type moving struct {
	io.ReadCloser
	moved, closed func()
	ctx           context.Context
}

func (b *moving) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.moved()
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	if cause := context.Cause(b.ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	return n, &transferError{err}
}

func (b *moving) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}

// Loopback reports whether a host and port are of this machine.
func Loopback(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
