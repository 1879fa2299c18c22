package evidence

import (
	"encoding/base64"
	"fmt"

	"lethe/model"
	"lethe/verify"
)

// payloadType is that of every envelope here.
const payloadType = "application/vnd.in-toto+json"

// Envelope is a payload with its signatures: DSSE v1.0.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an [Envelope].
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64
}

// seal puts a payload into an envelope and signs it, unless key is nil.
func seal(payload []byte, key *PrivateKey) (*Envelope, error) {
	e := &Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []Signature{}}
	if key == nil {
		return e, nil
	}
	sig, err := key.Sign(preAuthentic(payload))
	if err != nil {
		return nil, err
	}
	e.Signatures = append(e.Signatures, Signature{Sig: base64.StdEncoding.EncodeToString(sig)})
	return e, nil
}

// preAuthentic is what DSSE signs: the type and the payload, each with its
// length, so that no other pair looks the same.
func preAuthentic(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// open returns the payload of an envelope, and verifies its signature unless key
// is nil. A signature that does not hold is a [verify.FailedError].
func (e *Envelope) open(key *PublicKey) ([]byte, error) {
	if e.PayloadType != payloadType {
		return nil, &model.FormatError{Format: "envelope", Offset: -1, Reason: fmt.Sprintf("payload of type %.100q, want %q", e.PayloadType, payloadType)}
	}
	payload, err := decode64(e.Payload)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return payload, nil
	}
	// One key made it, so there is one signature: a second is not ours to judge.
	if n := len(e.Signatures); n != 1 {
		return nil, failed("signature", fmt.Sprintf("there are %d signatures, want one", n))
	}
	if id := e.Signatures[0].KeyID; id != "" && id != key.ID {
		return nil, failed("signature", fmt.Sprintf("made by the key %.100q, the one given is %s", id, key.ID))
	}
	sig, err := decode64(e.Signatures[0].Sig)
	if err != nil {
		return nil, err
	}
	if !key.Verify(preAuthentic(payload), sig) {
		return nil, failed("signature", "it is not of this key and this content")
	}
	return payload, nil
}

// failed is the error of one check.
func failed(name, detail string) error {
	return verify.Err([]verify.Check{{Name: name, Detail: detail}})
}

// decode64 reads base64 in its one right form; DSSE also allows the alphabet of
// URLs.
func decode64(s string) ([]byte, error) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if b, err := e.Strict().DecodeString(s); err == nil && e.EncodeToString(b) == s {
			return b, nil
		}
	}
	return nil, &model.FormatError{Format: "envelope", Offset: -1, Reason: "payload or signature is not base64"}
}
