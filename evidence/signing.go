package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/internal/strictjson"
	"lethe/model"
)

// The types of OpenSSF Model Signing v1.0.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signatureType = "https://model_signing/signature/v1.0"
)

// bundle is a sigstore bundle v0.3 as far as it is used with a key.
type bundle struct {
	MediaType            string               `json:"mediaType"`
	VerificationMaterial verificationMaterial `json:"verificationMaterial"`
	DSSEEnvelope         *Envelope            `json:"dsseEnvelope"`
}

type verificationMaterial struct {
	PublicKey *struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
	TlogEntries []any `json:"tlogEntries"`
	// Of sigstore; there must be none with a key.
	Certificate any `json:"certificate,omitempty"`
	Timestamps  any `json:"timestampVerificationData,omitempty"`
}

// signature is the predicate.
type signature struct {
	Serialization serialization `json:"serialization"`
	Resources     []signedFile  `json:"resources"`
}

type serialization struct {
	Method        string   `json:"method"`
	HashType      string   `json:"hash_type"`
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths,omitempty"`
}

type signedFile struct {
	Name      string `json:"name"` // path in the folder, with slashes; "." if the model is one file
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"` // in hex
}

// SignModel returns the signature of a model that is one file, as a bundle of
// OpenSSF Model Signing: name is that of the file, digest its SHA-256 in hex.
func SignModel(name, digest string, key *PrivateKey) ([]byte, error) {
	files := []signedFile{{".", "sha256", digest}}
	root, err := rootDigest(files)
	if err != nil {
		return nil, err
	}
	payload, err := Canonical(statement{
		Type: statementType, Subject: []resource{file(name, root)}, PredicateType: signatureType,
		Predicate: signature{serialization{Method: "files", HashType: "sha256"}, files},
	})
	if err != nil {
		return nil, err
	}
	b := bundle{MediaType: bundleType, VerificationMaterial: verificationMaterial{TlogEntries: []any{}}}
	b.VerificationMaterial.PublicKey = &struct {
		Hint string `json:"hint"`
	}{key.ID}
	if b.DSSEEnvelope, err = seal(payload, key); err != nil {
		return nil, err
	}
	return Canonical(b)
}

// rootDigest is the SHA-256 of the digests in their order.
func rootDigest(files []signedFile) (string, error) {
	h := sha256.New()
	for _, f := range files {
		b, err := hex.DecodeString(f.Digest)
		if err != nil || len(b) != sha256.Size {
			return "", broken("the digest %.100q of %.100q is not one of SHA-256", f.Digest, f.Name)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func broken(format string, args ...any) error {
	return &model.FormatError{Format: "signature", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// VerifyModel reports whether a bundle of OpenSSF Model Signing v1.0 is a
// signature by key of the file or folder at path, and returns how many files it
// is of. signaturePath is where the bundle lies, which may be in the folder. A
// file that is not signed, or that is signed and missing or different, is a
// [verify.FailedError], as is a signature of another key.
//
// Signatures by an identity (sigstore) or a certificate, shards and other hashes
// than SHA-256 are a [model.UnsupportedError].
func VerifyModel(text []byte, key *PublicKey, path, signaturePath string) (files int, err error) {
	signed, err := openBundle(text, key)
	if err != nil {
		return 0, err
	}
	found, err := digestFiles(path, signaturePath, signed.Serialization)
	if err != nil {
		return 0, err
	}
	return len(signed.Resources), signed.compare(found)
}

// VerifyFile is [VerifyModel] for a model that is one file with that SHA-256, in
// hex: whoever has the file open knows that it is the one that was verified.
func VerifyFile(text []byte, key *PublicKey, sha256 string) error {
	signed, err := openBundle(text, key)
	if err != nil {
		return err
	}
	return signed.compare(map[string]string{".": sha256})
}

// openBundle returns what a bundle signs, after its signature by key.
func openBundle(text []byte, key *PublicKey) (*signature, error) {
	var b bundle
	if err := strictjson.DecodeKnown(text, &b); err != nil {
		return nil, err
	}
	m := b.VerificationMaterial
	switch {
	case b.MediaType != bundleType:
		return nil, broken("media type %.100q, want %q", b.MediaType, bundleType)
	case b.DSSEEnvelope == nil:
		return nil, broken("there is no envelope")
	case m.PublicKey == nil || len(m.TlogEntries) > 0 || m.Certificate != nil || m.Timestamps != nil:
		return nil, &model.UnsupportedError{What: "the signature is not by a key alone", Advice: "verify signatures by an identity or a certificate with the package model-signing"}
	case m.PublicKey.Hint != key.ID:
		return nil, failed("signature", fmt.Sprintf("made by the key %.100q, the one given is %s", m.PublicKey.Hint, key.ID))
	}
	payload, err := b.DSSEEnvelope.open(key)
	if err != nil {
		return nil, err
	}
	return readSigned(payload)
}

// compare reports whether the files of a model, digests by name, are those that
// were signed.
func (s *signature) compare(found map[string]string) error {
	var wrong []string
	for _, f := range s.Resources {
		switch d, ok := found[f.Name]; {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%.200q is missing", f.Name))
		case d != f.Digest:
			wrong = append(wrong, fmt.Sprintf("%.200q is not what was signed", f.Name))
		}
		delete(found, f.Name)
	}
	for name := range found {
		wrong = append(wrong, fmt.Sprintf("%.200q was not signed", name))
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return failed("signature", strings.Join(wrong[:min(len(wrong), mostDifferences)], ", "))
}

// readSigned reads the statement that was signed. Members that v1.0 does not
// name are ignored, as it wants.
func readSigned(payload []byte) (*signature, error) {
	var s struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     signature  `json:"predicate"`
	}
	if err := strictjson.Decode(payload, &s); err != nil {
		return nil, err
	}
	switch how := s.Predicate.Serialization; {
	case s.Type != statementType:
		return nil, broken("statement of type %.100q, want %q", s.Type, statementType)
	case s.PredicateType != signatureType:
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the signature is of type %.100q", s.PredicateType), Advice: "sign again with model-signing 1.0 or later"}
	case how.Method != "files" || how.HashType != "sha256":
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the signature is over %.50q by %.50q", how.Method, how.HashType), Advice: "sign whole files with sha256"}
	case len(s.Subject) != 1:
		return nil, broken("%d subjects, want one", len(s.Subject))
	}
	names := map[string]bool{}
	for _, f := range s.Predicate.Resources {
		if f.Algorithm != "sha256" {
			return nil, broken("algorithm %.50q of %.200q, want sha256", f.Algorithm, f.Name)
		}
		if names[f.Name] {
			return nil, broken("%.200q is signed twice", f.Name)
		}
		names[f.Name] = true
	}
	root, err := rootDigest(s.Predicate.Resources)
	if err != nil {
		return nil, err
	}
	if s.Subject[0].Digest["sha256"] != root {
		return nil, broken("the subject has the digest %.100q, the files together have %s", s.Subject[0].Digest["sha256"], root)
	}
	return &s.Predicate, nil
}

// digestFiles returns the SHA-256 of every file of a model by its name.
func digestFiles(path, signaturePath string, how serialization) (map[string]string, error) {
	ignored := append([]string{".git", ".gitattributes", ".github", ".gitignore"}, how.IgnorePaths...)
	own, _ := os.Stat(signaturePath) // nil if it is a pipe that is gone: then nothing is the same file
	found := map[string]string{}
	err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, at)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if slices.Contains(ignored, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return &model.UnsupportedError{What: fmt.Sprintf("%s is a symbolic link", at), Advice: "give the file or folder that it leads to, and sign none"}
		}
		if !info.Mode().IsRegular() || own != nil && os.SameFile(own, info) {
			return nil
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		found[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return found, err
}
