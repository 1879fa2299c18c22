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

// ParsePrivateKey reads a private key in PEM, as openssl writes it: "EC PRIVATE
// KEY" or "PRIVATE KEY". An encrypted one is a [model.UnsupportedError].
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, &model.FormatError{Format: "pem", Reason: `there is no "PRIVATE KEY" or "EC PRIVATE KEY"`}
		}
		var key any
		var err error
		switch block.Type {
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, &model.UnsupportedError{What: "the private key is encrypted", Advice: "decrypt it first, with openssl pkey"}
			}
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, &model.UnsupportedError{What: "the private key is encrypted", Advice: "decrypt it first, with openssl pkey"}
		default: // such as "EC PARAMETERS"
			text = rest
			continue
		}
		if err != nil {
			return nil, &model.FormatError{Format: "pem", Reason: err.Error()}
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
}

// ParsePublicKey reads a public key in PEM, "PUBLIC KEY".
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, &model.FormatError{Format: "pem", Reason: `there is no "PUBLIC KEY"`}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, &model.FormatError{Format: "pem", Reason: err.Error()}
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

// Verify tells whether signature is one of data.
func (k *PublicKey) Verify(data, signature []byte) bool {
	return ecdsa.VerifyASN1(k.key, digest(k.hash, data), signature)
}
