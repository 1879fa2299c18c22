package cmd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns a certificate for addresses and hosts that ends at some time.
func (a *authority) issue(t *testing.T, end time.Time, addresses []net.IP, hosts ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		IPAddresses: addresses, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A registry that cannot prove who it is gets no password, and a person is told
// what is wrong: exit code 5.
func TestTLS(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("certificates are read from SSL_CERT_FILE on Linux")
	}
	const secret = "a-password-of-the-test"
	own, other := newAuthority(t), newAuthority(t)
	here, hour := []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now().Add(time.Hour)
	registry := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	for name, c := range map[string]struct {
		cert *tls.Certificate // nil: no TLS
		code int
		says string
	}{
		"good":                {certificate(own.issue(t, hour, here)), 0, ""},
		"expired":             {certificate(own.issue(t, time.Now().Add(-time.Hour), here)), 5, "expired"},
		"another host":        {certificate(own.issue(t, hour, nil, "registry.example")), 5, "doesn't contain any IP SANs"},
		"another address":     {certificate(own.issue(t, hour, []net.IP{net.IPv4(127, 0, 0, 2)})), 5, "127.0.0.2, not 127.0.0.1"},
		"unknown authority":   {certificate(other.issue(t, hour, here)), 5, "unknown authority"},
		"plain text, no TLS":  {nil, 5, "speaks HTTP without TLS"},
		"plain text, no HTTP": {nil, 5, "speaks neither TLS nor HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var asked, told int // requests, and those with the password
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked++
				if r.Header.Get("Authorization") != "" {
					told++
				}
				mu.Unlock()
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
					http.Error(w, "password", http.StatusUnauthorized)
					return
				}
				registry.ServeHTTP(w, r)
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			received := &wire{Listener: s.Listener}
			s.Listener = received
			switch {
			case name == "plain text, no HTTP":
				received.greet = "220 mail.example ESMTP\r\n"
				s.Start()
			case c.cert == nil:
				s.Start()
			default:
				s.TLS = &tls.Config{Certificates: []tls.Certificate{*c.cert}}
				s.StartTLS()
			}
			t.Cleanup(s.Close)
			host := s.Listener.Addr().String()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "ca.pem"), string(own.pem))
			writeFile(t, filepath.Join(dir, "config.json"), fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:"+secret))))
			run := func(in, out string) (int, string) {
				cmd := exec.Command(filepath.Join(binaries(t), "ptconvert"), "--quiet", in, out)
				cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(dir, "ca.pem"), "SSL_CERT_DIR="+dir, "DOCKER_CONFIG="+dir,
					"MLFLOW_TRACKING_URI=https://"+host, "MLFLOW_TRACKING_USERNAME=me", "MLFLOW_TRACKING_PASSWORD="+secret, "NO_PROXY=*")
				printed, _ := cmd.CombinedOutput()
				return cmd.ProcessState.ExitCode(), string(printed)
			}
			for _, ref := range []string{"oci://" + host + "/m:v1", "models:/m"} {
				code, printed := run(base, ref)
				if ref == "models:/m" && c.code == 0 {
					if told == 0 {
						t.Error("a server that proves who it is gets no password")
					}
					continue // and is not an MLflow
				}
				if code != c.code || !strings.Contains(printed, c.says) || strings.Contains(printed, secret) || code != 0 && !strings.Contains(printed, ref) {
					t.Errorf("%s: exit code %d, want %d, %q\n%s", ref, code, c.code, c.says, printed)
				}
				if code == 0 {
					continue
				}
				if code, printed = run(ref+"@x", filepath.Join(dir, "out.pt")); ref != "models:/m" {
					code, printed = run(ref, filepath.Join(dir, "out.pt"))
				}
				if code != c.code || !strings.Contains(printed, c.says) {
					t.Errorf("from %s: exit code %d, want %d, %q\n%s", ref, code, c.code, c.says, printed)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if c.code != 0 && (asked > 0 || received.has(secret, base64.StdEncoding.EncodeToString([]byte("me:"+secret)), "Authorization")) {
				t.Errorf("the server got %d requests, %d with the password", asked, told)
			}
			if _, err := os.Stat(filepath.Join(dir, "out.pt")); err == nil {
				t.Error("there is an output")
			}
		})
	}
}

func certificate(c tls.Certificate) *tls.Certificate { return &c }

// wire keeps what a server receives, as it comes, and may talk first.
type wire struct {
	net.Listener
	greet string

	mu       sync.Mutex
	received strings.Builder
}

func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	io.WriteString(c, w.greet)
	return &tapped{c, w}, nil
}

func (w *wire) has(texts ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range texts {
		if strings.Contains(w.received.String(), text) {
			return true
		}
	}
	return false
}

type tapped struct {
	net.Conn
	wire *wire
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wire.mu.Lock()
	c.wire.received.Write(b[:n])
	c.wire.mu.Unlock()
	return n, err
}
