package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	provenancepb "github.com/in-toto/attestation/go/predicates/provenance/v1"
	testresultpb "github.com/in-toto/attestation/go/predicates/test_result/v0"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"lethe/model"
	"lethe/report"
	"lethe/verify"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keys(t *testing.T, suffix string) (*PrivateKey, *PublicKey) {
	t.Helper()
	private, err := ParsePrivateKey(read(t, "key"+suffix+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(read(t, "pub"+suffix+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func golden(t *testing.T) *Claim {
	t.Helper()
	c, err := ParseReport(read(t, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func isFailed(err error) bool {
	var failed *verify.FailedError
	return errors.As(err, &failed)
}

// refused is an error of a check or of the form, with which a command does not
// succeed.
func refused(err error) bool {
	var format *model.FormatError
	var unsupported *model.UnsupportedError
	return isFailed(err) || errors.As(err, &format) || errors.As(err, &unsupported)
}

func TestKeys(t *testing.T) {
	for _, suffix := range []string{"", "384"} {
		private, public := keys(t, suffix)
		if private.ID != public.ID || len(public.ID) != 64 {
			t.Errorf("key%s: IDs %s and %s", suffix, private.ID, public.ID)
		}
		sig, err := private.Sign([]byte("data"))
		if err != nil || !public.Verify([]byte("data"), sig) || public.Verify([]byte("dats"), sig) {
			t.Errorf("key%s: the signature does not hold, %v", suffix, err)
		}
		if again, _ := private.Sign([]byte("data")); !bytes.Equal(again, sig) {
			t.Errorf("key%s: two signatures of one text differ", suffix)
		}
	}
	ed, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		is   any
	}{
		{"", new(*model.FormatError)},
		{"-----BEGIN EC PRIVATE KEY-----\nMTIz\n-----END EC PRIVATE KEY-----\n", new(*model.FormatError)},
		{"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMTIz\n-----END EC PRIVATE KEY-----\n", new(*model.UnsupportedError)},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMTIz\n-----END ENCRYPTED PRIVATE KEY-----\n", new(*model.UnsupportedError)},
		{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ed})), new(*model.UnsupportedError)},
		{string(read(t, "pub.pem")), new(*model.FormatError)},
	} {
		if _, err := ParsePrivateKey([]byte(c.text)); !errors.As(err, c.is) {
			t.Errorf("%.60q: got %v", c.text, err)
		}
	}
	var format *model.FormatError
	if _, err := ParsePublicKey(read(t, "key.pem")); !errors.As(err, &format) {
		t.Errorf("a private key as a public one: got %v", err)
	}
	// Of two keys, nobody knows which is meant.
	private, public, other := string(read(t, "key.pem")), string(read(t, "pub.pem")), string(read(t, "pub384.pem"))
	for _, text := range []string{public + other, public + private, private + public} {
		if _, err := ParsePublicKey([]byte(text)); !errors.As(err, &format) || !strings.Contains(err.Error(), "several keys") {
			t.Errorf("two keys, want a public one: got %v", err)
		}
	}
	if _, err := ParsePrivateKey([]byte(private + string(read(t, "key384.pem")))); !errors.As(err, &format) || !strings.Contains(err.Error(), "several keys") {
		t.Errorf("two private keys: got %v", err)
	}
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	if _, err := ParsePrivateKey([]byte("text\n" + parameters + private)); err != nil {
		t.Errorf("a private key after its parameters: %v", err)
	}
}

// The claim is refused as soon as one value of it is not what was found.
func TestReportMutants(t *testing.T) {
	c := golden(t)
	if err := c.Check(&c.Report); err != nil {
		t.Fatal(err)
	}
	all := mutants(read(t, "report.json"))
	if len(all) < 300 {
		t.Errorf("there are %d mutants only", len(all))
	}
	for _, m := range all {
		if changed, err := ParseReport(m.text); err == nil {
			if err := changed.Check(&c.Report); !isFailed(err) {
				t.Errorf("%s: got %v", m.path, err)
			}
		} else if !refused(err) {
			t.Errorf("%s: got %v", m.path, err)
		}
	}
	other := c.Report
	other.Seed++
	if err := c.Check(&other); err == nil || err.Error() != "check failed: report (seed is 0, found 1)" {
		t.Errorf("got %v", err)
	}
}

// What a report holds is all in its types: read and written again, it has the same
// bytes, and a method that is none is refused where it is read.
func TestReportRoundTrip(t *testing.T) {
	b := read(t, "report.json")
	claim := golden(t)
	if claim.Method == nil || claim.Method.Prefer != report.PreferRetain || len(claim.Course) == 0 || claim.Tool.Name != "forget" || claim.Tool.Version == "" {
		t.Errorf("the report is read as %+v, %+v", claim.Tool, claim.Method)
	}
	if again, err := Canonical(&claim.Report); err != nil || !bytes.Equal(again, b) {
		t.Errorf("written again it has other bytes, %v:\n%s", err, again)
	}
	at := bytes.Index(b, []byte(`"method":{`))
	if at < 0 {
		t.Fatal("the report has no method")
	}
	broken := slices.Concat(b[:at], []byte(`"method":"nonsense","was":{`), b[at+len(`"method":{`):])
	if _, err := ParseReport(broken); !refused(err) {
		t.Errorf("a method that is none: got %v", err)
	}
}

// Blanks and the order of members do not make another report.
func TestReportIndented(t *testing.T) {
	private, _ := keys(t, "")
	var b bytes.Buffer
	if err := json.Indent(&b, read(t, "report.json"), "", "\t"); err != nil {
		t.Fatal(err)
	}
	c, err := ParseReport(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(&golden(t).Report); err != nil {
		t.Error(err)
	}
	again, err := Canonical(&c.Report)
	if err != nil || !bytes.Equal(again, read(t, "report.json")) {
		t.Errorf("the canonical form has other bytes, %v", err)
	}
	// And yet it is not the file whose digest the statements name.
	for _, key := range []*PrivateKey{nil, private} {
		statements := attest(t, Run{}, key)
		if _, err := golden(t).CheckAttestation(statements, nil); err != nil {
			t.Error(err)
		}
		if _, err := c.CheckAttestation(statements, nil); !isFailed(err) || !strings.Contains(err.Error(), "not in canonical form") {
			t.Errorf("an indented report beside statements: got %v", err)
		}
	}
}

// Another spelling of a name is not that name.
func TestNamesHaveCase(t *testing.T) {
	private, public := keys(t, "")
	statements := attest(t, Run{}, private)
	for _, name := range []string{"payloadType", "payload", "signatures", "sig"} {
		other := bytes.Replace(statements, []byte(`"`+name+`"`), []byte(`"`+strings.ToUpper(name)+`"`), 1)
		if _, err := golden(t).CheckAttestation(other, public); !refused(err) {
			t.Errorf("statements with %s in capitals: got %v", name, err)
		}
	}
	file := filepath.Join("testdata", "folder", "model.pt")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := SignModel("model.pt", fmt.Sprintf("%x", sha256.Sum256(b)), private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyModel(signature, public, file, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mediaType", "verificationMaterial", "hint", "dsseEnvelope", "payload"} {
		other := bytes.Replace(signature, []byte(`"`+name+`"`), []byte(`"`+strings.ToUpper(name)+`"`), 1)
		if _, err := VerifyModel(other, public, file, ""); !refused(err) {
			t.Errorf("a bundle with %s in capitals: got %v", name, err)
		}
	}
	report := bytes.Replace(read(t, "report.json"), []byte(`"schema"`), []byte(`"Seed":1,"schema"`), 1)
	if _, err := ParseReport(report); !refused(err) {
		t.Errorf("a report with seed in capitals: got %v", err)
	}
}

func TestParseReportRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", `{"schema":"lethe/report/v2"}`, `{"schema":"lethe/report/v1"}`, `{"schema":"lethe/report/v1","seed":-1}`, `{"schema":"lethe/report/v1","seed":0,"seed":0}`} {
		if _, err := ParseReport([]byte(text)); !refused(err) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// wholeRun has every member.
var wholeRun = Run{Request: "TICKET-1", Time: time.Unix(1700000000, 0).UTC(), Binary: strings.Repeat("ab", 32)}

func attest(t *testing.T, run Run, key *PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Attest(&b, &golden(t).Report, run, key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What in-toto's own library says of the statements.
func TestStatementsAreInToto(t *testing.T) {
	for _, run := range []Run{{}, wholeRun} {
		lines := bytes.Split(bytes.TrimSpace(attest(t, run, nil)), []byte("\n"))
		if len(lines) != 3 {
			t.Fatalf("%d lines, want 3", len(lines))
		}
		for i, predicate := range []proto.Message{&provenancepb.Provenance{}, &testresultpb.TestResult{}, nil} {
			var e Envelope
			if err := json.Unmarshal(lines[i], &e); err != nil {
				t.Fatal(err)
			}
			payload, err := base64.StdEncoding.DecodeString(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			var s intoto.Statement
			if err := protojson.Unmarshal(payload, &s); err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(); err != nil {
				t.Errorf("statement %d: %v", i, err)
			}
			if predicate == nil {
				continue
			}
			b, err := protojson.Marshal(s.Predicate)
			if err != nil {
				t.Fatal(err)
			}
			if err := protojson.Unmarshal(b, predicate); err != nil {
				t.Errorf("statement %d: %v", i, err)
			}
			if p, ok := predicate.(*provenancepb.Provenance); ok {
				if err := p.Validate(); err != nil {
					t.Errorf("provenance: %v", err)
				}
			}
		}
	}
}

func TestAttestation(t *testing.T) {
	private, public := keys(t, "")
	_, other := keys(t, "384")
	r := golden(t)
	for _, run := range []Run{{}, wholeRun} {
		signed, unsigned := attest(t, run, private), attest(t, run, nil)
		if !bytes.Equal(signed, attest(t, run, private)) {
			t.Error("two signed attestations of one report differ")
		}
		if got, err := r.CheckAttestation(signed, public); err != nil || got != run {
			t.Errorf("signed: got %+v, %v", got, err)
		}
		if got, err := r.CheckAttestation(unsigned, nil); err != nil || got != run {
			t.Errorf("unsigned: got %+v, %v", got, err)
		}
		if _, err := r.CheckAttestation(unsigned, public); !isFailed(err) {
			t.Errorf("unsigned, with a key: got %v", err)
		}
		if _, err := r.CheckAttestation(signed, other); !isFailed(err) {
			t.Errorf("with another key: got %v", err)
		}
		lines := bytes.SplitAfter(signed, []byte("\n"))
		for _, bad := range [][][]byte{lines[:2], {lines[1], lines[0], lines[2]}, {lines[0], lines[1], lines[2], lines[2]}, {}} {
			if _, err := r.CheckAttestation(bytes.Join(bad, nil), public); !refused(err) {
				t.Errorf("%d lines in another order: got %v", len(bad), err)
			}
		}
	}
}

// Every change of a statement is refused without a key, but for what only a
// statement tells, and every one with a key.
func TestStatementMutants(t *testing.T) {
	private, public := keys(t, "")
	r := golden(t)
	signed := bytes.Split(bytes.TrimSpace(attest(t, wholeRun, private)), []byte("\n"))
	for i := range signed {
		var e Envelope
		if err := json.Unmarshal(signed[i], &e); err != nil {
			t.Fatal(err)
		}
		payload, err := e.open(public)
		if err != nil {
			t.Fatal(err)
		}
		check := func(path string, line []byte, key *PublicKey) error {
			lines := append([][]byte{}, signed...)
			lines[i] = line
			_, err := r.CheckAttestation(bytes.Join(lines, []byte("\n")), key)
			return err
		}
		for _, m := range mutants(payload) {
			changed := e
			changed.Payload = base64.StdEncoding.EncodeToString(m.text)
			line, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(m.path, line, public); !isFailed(err) {
				t.Errorf("statement %d, %s, with the key: got %v", i, m.path, err)
			}
			if strings.HasPrefix(m.path, "predicate.runDetails.metadata") || strings.HasPrefix(m.path, "predicate.runDetails.builder.builderDependencies") {
				continue
			}
			if err := check(m.path, line, nil); !refused(err) {
				t.Errorf("statement %d, %s, without a key: got %v", i, m.path, err)
			}
		}
		for _, m := range mutants(signed[i]) {
			if strings.HasSuffix(m.path, "keyid missing") {
				continue // an empty one says the same
			}
			if err := check(m.path, m.text, public); !refused(err) {
				t.Errorf("envelope %d, %s: got %v", i, m.path, err)
			}
		}
	}
}
