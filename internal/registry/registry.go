// Package registry is what all registries of models have in common: references, what
// one reads from there and publishes there, and the way to reach them. OCI registries
// are in package oci, those of MLflow in package mlflow.
//
// A reader never sees half a model. [Repository.Push] uploads everything under
// names that nobody asks for, digests or a new version; [Pushed.Publish] then
// moves the tag or alias, the one step that readers notice.
package registry

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	"lethe/model"
)

// Schemes of references.
const (
	SchemeOCI   = "oci://"
	SchemePlain = "oci+http://" // without TLS, Loopback only

	SchemeMLflow = "models:/" // of the server that MLFLOW_TRACKING_URI names
)

// SourceTag is the annotation or tag with the URI of the model that one was
// made from.
const SourceTag = "lethe.source"

// MaxFile bounds a file that is pulled: 16 GiB, as for standard input.
const MaxFile = 16 << 30

// MaxDocument bounds manifests and configurations, as registries do.
const MaxDocument = 4 << 20

// IsReference reports whether s names a model in a registry and not a file.
func IsReference(s string) bool {
	return strings.HasPrefix(s, SchemeOCI) || strings.HasPrefix(s, SchemePlain) || strings.HasPrefix(s, SchemeMLflow)
}

// Plain returns an oci:// reference as one that is reached without TLS.
func Plain(ref string) string {
	if rest, ok := strings.CutPrefix(ref, SchemeOCI); ok {
		return SchemePlain + rest
	}
	return ref
}

// WithFile returns the reference to the file of that name in the model that ref
// leads to. A name that is only an extension stands for the name of the model's
// checkpoint with that extension.
func WithFile(ref, name string) string {
	base, _ := SplitFile(ref)
	return base + "#" + name
}

// SplitFile splits a reference into that of the model and the name of the file
// in it, "" if ref names none.
func SplitFile(ref string) (model, name string) {
	model, name, _ = strings.Cut(ref, "#")
	return model, name
}

// ReferenceError reports a reference that cannot be used as it is written.
type ReferenceError struct {
	Ref    string
	Reason string
}

func (e *ReferenceError) Error() string { return fmt.Sprintf("the reference %s %s", e.Ref, e.Reason) }

// Error reports a conversation with a registry that failed: it cannot be
// reached, refuses, or does not keep to its protocol.
type Error struct {
	Ref    string // reference of the model, without secrets
	Op     string // what was tried: "pull", "push", ...
	Reason string // what happened and what to do
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("cannot %s %s: %s", e.Op, e.Ref, e.Reason) }

func (e *Error) Unwrap() error { return e.Err }

// Repository is where a reference leads: the versions of a model, and which of them
// is meant or is to be made.
type Repository interface {
	// String returns the reference of the model, without the name of a file.
	String() string
	// Resolve finds the model that is there now.
	Resolve(ctx context.Context) (Model, error)
	// Check tells, before any work, whether a model can be published here:
	// what is there already is refused unless force is set.
	Check(ctx context.Context, force bool) error
	// Push uploads a model that no reader sees before it is published.
	Push(ctx context.Context, u *Upload) (Pushed, error)
}

// Model is a model in a registry, pinned: it stays the same when its tag or
// alias moves.
type Model interface {
	// URI is the reference that always leads to this model.
	URI() string
	// Digest is "sha256:" and what it says in hexadecimal: of the manifest. It
	// is "" for a model in MLflow that Lethe did not write.
	Digest() string
	// File is the name of the checkpoint.
	File() string
	// Fetch writes the checkpoint to f, which is empty, and verifies its
	// digest, where there is one, or else its size.
	Fetch(ctx context.Context, f *os.File) (size int64, err error)
}

// File is one file of a model.
type File struct {
	Name    string // path in the model; an extension alone follows the first file
	Content io.ReaderAt
	Size    int64
}

// Evidence is a document about a model: a report, an attestation, a signature
// bundle. It is published together with the model and found through it.
type Evidence struct {
	MediaType   string
	Name        string // of the file
	Content     []byte
	Annotations map[string]string
}

// Upload is what a push sends.
type Upload struct {
	Files       []File            // the first is the checkpoint
	Base        Model             // what the model was made from, or nil if that was a file
	Whole       bool              // the checkpoint has all that the one of Base has beside tensors
	Annotations map[string]string // lineage
	Evidence    []Evidence        // refer to the model, and are there before its tag
	Created     string            // RFC 3339; "" is the time of Base, or none, and now in MLflow
}

// Pushed is an uploaded model that no reader sees yet.
type Pushed interface {
	URI() string
	Digest() string
	// Left names the files of the base that are not part of the model: weights
	// that the edit did not touch and that may know what was to be forgotten,
	// files of a kind that cannot be carried over, or what an MLmodel says of
	// such files.
	Left() []string
	// Publish lets readers see the model: it moves the tag or alias. It
	// refuses if that moved since [Repository.Check].
	Publish(ctx context.Context) error
	// Withdraw takes back what was pushed and not published, as far as that
	// can be done and is safe.
	Withdraw(ctx context.Context)
}

// Names gives every file its full name.
func Names(files []File) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = f.Name
		if path.Ext(f.Name) == f.Name {
			all[i] = strings.TrimSuffix(all[0], path.Ext(all[0])) + f.Name
		}
	}
	return all
}

// StaysInside reports whether a path leads nowhere but below its folder. Every
// system must read it so: there is no backslash and no control character.
func StaysInside(name string) bool {
	clean := path.Clean(name)
	return clean != "." && clean != ".." && !path.IsAbs(clean) && !strings.HasPrefix(clean, "../") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) })
}

// IsArtifactName reports whether a path stays inside its folder and is written in
// the shortest way.
func IsArtifactName(name string) bool { return StaysInside(name) && path.Clean(name) == name }

// NoCheckpoint says why none of the files of a model is its checkpoint. file is
// the one that was asked for, "" for none; candidates is how many could be it.
func NoCheckpoint(repository Repository, file string, candidates int, files []string) error {
	problem := "has no checkpoint"
	switch {
	case file != "":
		problem = fmt.Sprintf("has no file %.100q", file)
	case candidates > 1:
		problem = fmt.Sprintf("has %d checkpoints", candidates)
	}
	return &model.UnsupportedError{
		What:   fmt.Sprintf("%s %s; its files: %.300q", repository, problem, files),
		Advice: "name one with # at the end of the reference, such as #model.pt",
	}
}

// checkpoints are the extensions of files with a state dict.
var checkpoints = []string{".pt", ".pth", ".pt2", ".bin", ".ckpt", ".safetensors"}

// IsCheckpoint reports whether a file has a state dict, by its name.
func IsCheckpoint(name string) bool {
	return slices.Contains(checkpoints, strings.ToLower(path.Ext(name)))
}

// IsONNX reports whether a file is an ONNX model, by its name.
func IsONNX(name string) bool { return strings.ToLower(path.Ext(name)) == ".onnx" }

// Malformed reports a document or a layer with the right digest and the wrong
// form.
func Malformed(what string, err error) error {
	return &model.FormatError{Format: what, Offset: -1, Reason: fmt.Sprint(err)}
}

// TooLarge reports something of a registry that is larger than what is read.
func TooLarge(what string, got, limit int64) error {
	return &model.LimitError{What: what, Got: uint64(max(got, 0)), Limit: uint64(limit)}
}
