package evidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	_ "crypto/sha512" // the hashes of the larger curves
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"lethe/model"
)

// PublicKey verifies signatures by ECDSA on one of the curves P-256, P-384 and
// P-521, with SHA-256, SHA-384 or SHA-512.
type PublicKey struct {
	key  *ecdsa.PublicKey
	hash crypto.Hash
	// ID is the SHA-256, in hex, of the key in PEM: the hint of OpenSSF Model
	// Signing.
	ID string
}

// PrivateKey makes signatures that its [PublicKey] verifies.
type PrivateKey struct {
	PublicKey
	private *ecdsa.PrivateKey
}

// keyBlock returns the one block of PEM with a key in a text. Other blocks, such
// as "EC PARAMETERS", do not count. A text with two keys is refused: whoever uses
// it may mean the other one. want names the right types for the error.
func keyBlock(text []byte, want string) (*pem.Block, error) {
	var found *pem.Block
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case !strings.HasSuffix(block.Type, " KEY"):
		case found != nil:
			return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: "there are several keys; give a file with one"}
		default:
			found = block
		}
	}
	if found == nil {
		return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: "there is no " + want}
	}
	return found, nil
}

// ParsePrivateKey reads a private key in PEM, as openssl writes it: "EC PRIVATE
// KEY" or "PRIVATE KEY", and no other key beside it. An encrypted one is a
// [model.UnsupportedError].
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	const want = `"PRIVATE KEY" or "EC PRIVATE KEY"`
	block, err := keyBlock(text, want)
	if err != nil {
		return nil, err
	}
	var key any
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
		return nil, &model.UnsupportedError{What: "the private key is encrypted", Advice: "decrypt it first, with openssl pkey"}
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: fmt.Sprintf("found %.100q, want %s", block.Type, want)}
	}
	if err != nil {
		return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: err.Error()}
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, unsupportedKey(fmt.Sprintf("%T", key))
	}
	public, err := newPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{*public, private}, nil
}

// ParsePublicKey reads a public key in PEM, "PUBLIC KEY", and no other key beside
// it.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, err := keyBlock(text, `"PUBLIC KEY"`)
	if err != nil {
		return nil, err
	}
	if block.Type != "PUBLIC KEY" {
		return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: fmt.Sprintf(`found %.100q, want "PUBLIC KEY"`, block.Type)}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, &model.FormatError{Format: "pem", Offset: -1, Reason: err.Error()}
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, unsupportedKey(fmt.Sprintf("%T", key))
	}
	return newPublicKey(public)
}

func unsupportedKey(what string) error {
	return &model.UnsupportedError{What: "a key of the kind " + what, Advice: "use an elliptic curve: openssl ecparam -genkey -name prime256v1 -noout"}
}

func newPublicKey(key *ecdsa.PublicKey) (*PublicKey, error) {
	hashes := map[string]crypto.Hash{"P-256": crypto.SHA256, "P-384": crypto.SHA384, "P-521": crypto.SHA512}
	hash, ok := hashes[key.Curve.Params().Name]
	if !ok {
		return nil, unsupportedKey("ECDSA on " + key.Curve.Params().Name)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return &PublicKey{key, hash, hex.EncodeToString(sum[:])}, nil
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// Sign signs data. The nonce is derived from the key and the data (RFC 6979),
// so that equal data has equal signatures.
func (k *PrivateKey) Sign(data []byte) ([]byte, error) {
	return k.private.Sign(nil, digest(k.hash, data), k.hash)
}

// Verify reports whether signature is one of data.
func (k *PublicKey) Verify(data, signature []byte) bool {
	return ecdsa.VerifyASN1(k.key, digest(k.hash, data), signature)
}
