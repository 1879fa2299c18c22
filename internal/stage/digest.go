package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"lethe/report"
)

// Digest returns the SHA-256 and the size of a file.
func Digest(r io.ReaderAt, size int64) (report.Digest, error) {
	h := sha256.New()
	_, err := io.CopyBuffer(h, io.NewSectionReader(r, 0, size), make([]byte, 1<<14))
	return report.Digest{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: size}, err
}

// StartDigest begins [Digest] and returns a function that waits for it, as
// often as it is called.
func StartDigest(r io.ReaderAt, size int64) func() (report.Digest, error) {
	var digest report.Digest
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		digest, err = Digest(r, size)
	}()
	return func() (report.Digest, error) { <-done; return digest, err }
}
