// Package mlflow reads models from the registry of an MLflow server and publishes them
// there as new versions.
package mlflow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"lethe/internal/registry"
	"lethe/model"
)

// What Lethe adds to the artifacts and tags of a version.
const (
	sumsFile    = "SHA256SUMS" // digests of all artifacts, as sha256sum writes them
	evidenceDir = "evidence/"

	sumsTag   = "lethe.sha256sums"    // digest of sumsFile
	outputTag = "lethe.output.sha256" // digest of the checkpoint
	pushTag   = "lethe.push"          // of a run: which push made it
)

// Bounds of what is taken over from one version to the next: documents and code
// are smaller. A file is held in memory, and takes two requests.
const (
	maxCarried      = 16 << 20  // bytes of a file
	maxCarriedSum   = 256 << 20 // bytes of all
	maxCarriedFiles = 1000
)

// repository is a registered model and, where the reference has one, a version
// or an alias of it.
type repository struct {
	server  *server
	name    string
	version string // "" if the reference has none
	alias   string // "" if the reference has none
	file    string // "" if the reference names none

	// The version that Check found at the alias, and that Publish may therefore
	// replace; "" if there was none.
	found string
}

// isWord reports whether a text is up to most letters, digits, underscores and
// hyphens: what a server calls aliases, runs, logged models and experiments. It
// becomes part of addresses and filters.
func isWord(s string, most int) bool {
	return s != "" && len(s) <= most && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}

const (
	aliasMax = 255
	idMax    = 64
)

// isVersion reports whether a text is the number of a version.
func isVersion(s string) bool {
	return s != "" && len(s) <= 18 && s[0] != '0' && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// Open reads models:/NAME[/VERSION|@ALIAS][#FILE].
func Open(ref string, c *registry.Client, getenv func(string) string) (*repository, error) {
	wrong := func(format string, args ...any) error {
		return &registry.ReferenceError{Ref: ref, Reason: fmt.Sprintf(format, args...)}
	}
	whole, file := registry.SplitFile(ref)
	p := &repository{file: file}
	rest := strings.TrimPrefix(whole, registry.SchemeMLflow)
	var aliased, versioned bool
	if p.name, p.alias, aliased = strings.Cut(rest, "@"); !aliased {
		p.name, p.version, versioned = strings.Cut(rest, "/")
	}
	switch {
	case strings.TrimSpace(p.name) == "" || strings.ContainsAny(p.name, "/:") || aliased && !isWord(p.alias, aliasMax):
		return nil, wrong("is not of the form models:/NAME, models:/NAME/VERSION or models:/NAME@ALIAS")
	case p.version == "latest":
		return nil, wrong("asks for whatever was registered last, reviewed or not; give a version or an alias")
	case versioned && !isVersion(p.version):
		return nil, wrong("has a version that is not a number; stages are deprecated in MLflow, an alias is models:/NAME@ALIAS")
	}
	var err error
	if p.server, err = newServer(c, getenv); err != nil {
		return nil, wrong("%v", err)
	}
	return p, nil
}

func (p *repository) String() string {
	switch {
	case p.version != "":
		return p.at(p.version)
	case p.alias != "":
		return registry.SchemeMLflow + p.name + "@" + p.alias
	}
	return registry.SchemeMLflow + p.name
}

// at returns the reference to a version.
func (p *repository) at(version string) string { return registry.SchemeMLflow + p.name + "/" + version }

func (p *repository) explain(op string, err error) error {
	return registry.Explain(op, p.String(), registry.Advice{
		Login: "set " + trackingToken + ", or " + trackingUser + " and " + trackingPassword,
		Plain: "http:// in " + trackingURI,
	}, err)
}

// tag is a tag of anything in MLflow.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// tags returns a map as tags, in order.
func tags(m map[string]string) []tag {
	var all []tag
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, tag{k, m[k]})
	}
	return all
}

// versionInfo is what MLflow says of a version of a model.
type versionInfo struct {
	Version string `json:"version"`
	Status  string `json:"status"`
	RunID   string `json:"run_id"`
	Tags    []tag  `json:"tags"`
}

// storedModel is a version and one of its artifacts, the checkpoint.
type storedModel struct {
	repository *repository
	info       versionInfo
	root       string // of its artifacts, in those that the server hands out
	files      []artifact
	file       artifact
	sums       map[string]string // of the artifacts, in hexadecimal; nil if Lethe did not write them
	sum        string            // digest of the list of sums, in hexadecimal
}

func (m *storedModel) URI() string  { return m.repository.at(m.info.Version) }
func (m *storedModel) File() string { return m.file.name }
func (m *storedModel) Digest() string {
	if m.sum == "" {
		return ""
	}
	return "sha256:" + m.sum
}

func (p *repository) Resolve(ctx context.Context) (registry.Model, error) {
	if p.version == "" && p.alias == "" {
		return nil, &registry.ReferenceError{Ref: p.String(), Reason: "is an input and needs a version or an alias, as in models:/NAME/1 or models:/NAME@champion"}
	}
	m, err := p.resolve(ctx)
	if err != nil {
		return nil, p.explain("pull", err)
	}
	if err := m.choose(p.file); err != nil {
		return nil, err
	}
	return m, nil
}

func (p *repository) resolve(ctx context.Context) (*storedModel, error) {
	m := &storedModel{repository: p}
	var answer struct {
		Version *versionInfo `json:"model_version"`
	}
	call, query := "model-versions/get", url.Values{"name": {p.name}, "version": {p.version}}
	if p.version == "" {
		call, query = "registered-models/alias", url.Values{"name": {p.name}, "alias": {p.alias}}
	}
	if err := p.server.do(ctx, http.MethodGet, call, query, &answer); err != nil {
		return nil, err
	}
	if answer.Version == nil || !isVersion(answer.Version.Version) || p.version != "" && answer.Version.Version != p.version {
		return nil, errors.New("the answer is not what MLflow answers: it names no version, or another one")
	}
	m.info = *answer.Version
	if m.info.Status != "" && m.info.Status != "READY" {
		return nil, fmt.Errorf("version %s is not ready: its status is %.50s", m.info.Version, m.info.Status)
	}
	var source struct {
		URI string `json:"artifact_uri"`
	}
	if err := p.server.do(ctx, http.MethodGet, "model-versions/get-download-uri", url.Values{"name": {p.name}, "version": {m.info.Version}}, &source); err != nil {
		return nil, err
	}
	var err error
	if m.root, err = p.server.artifactPath(m.URI(), source.URI, "get the checkpoint with mlflow artifacts download and give the file"); err != nil {
		return nil, err
	}
	if m.files, err = p.server.list(ctx, m.root); err != nil {
		return nil, err
	}
	for _, t := range m.info.Tags {
		if t.Key == sumsTag {
			return m, m.readSums(ctx, t.Value)
		}
	}
	return m, nil
}

// artifactPath returns where the artifacts at a URI are among those that the
// server hands out. of is what they belong to, and otherwise what can be done
// if the server does not have them.
func (s *server) artifactPath(of, uri, otherwise string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" || u.Host != "" && u.Host != s.address.Host {
		scheme, _, _ := strings.Cut(uri, ":")
		return "", &model.UnsupportedError{
			What:   fmt.Sprintf("%s has its artifacts at a %.20q address, which the MLflow server does not hand out", of, scheme),
			Advice: "start the server without --default-artifact-root and with --artifacts-destination, so that artifacts go through it, or " + otherwise,
		}
	}
	root := strings.Trim(u.Path, "/")
	if !registry.IsArtifactName(root) {
		return "", fmt.Errorf("the server says that artifacts are in %.100q, which is not a folder", root)
	}
	return root, nil
}

// readSums reads the digests that Lethe wrote of the artifacts of the version,
// which must be those of its tag.
func (m *storedModel) readSums(ctx context.Context, digest string) error {
	text, err := m.read(ctx, artifact{sumsFile, -1}, registry.MaxDocument)
	if err != nil {
		return err
	}
	if m.sum = sum(text); "sha256:"+m.sum != digest {
		return mismatch(sumsFile)
	}
	m.sums = map[string]string{}
	for line := range strings.Lines(string(text)) {
		if hex, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok {
			m.sums[name] = hex
		}
	}
	return nil
}

func sum(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// read returns a small artifact.
func (m *storedModel) read(ctx context.Context, a artifact, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := m.repository.server.get(ctx, m.root, a, limit, func() (io.Writer, error) {
		b.Reset()
		return &b, nil
	})
	if err == nil && m.sums != nil && m.sums[a.name] != sum(b.Bytes()) {
		err = mismatch(a.name)
	}
	return b.Bytes(), err
}

// choose finds the checkpoint among the artifacts, or the ONNX model where there is
// no checkpoint.
func (m *storedModel) choose(file string) error {
	var candidates, onnx []artifact
	var names []string
	for _, a := range m.files {
		switch {
		case file != "" && a.name == file:
			m.file = a
			return nil
		case registry.IsCheckpoint(a.name):
			candidates = append(candidates, a)
		case registry.IsONNX(a.name):
			onnx = append(onnx, a)
		}
		names = append(names, a.name)
	}
	if len(candidates) == 0 {
		candidates = onnx
	}
	if file == "" && len(candidates) == 1 {
		m.file = candidates[0]
		return nil
	}
	return registry.NoCheckpoint(m.repository, file, len(candidates), names)
}

// Fetch writes the checkpoint to f.
func (m *storedModel) Fetch(ctx context.Context, f *os.File) (size int64, err error) {
	h := sha256.New()
	size, err = m.repository.server.get(ctx, m.root, m.file, registry.MaxFile, func() (io.Writer, error) {
		h.Reset()
		return io.MultiWriter(f, h), registry.Rewind(f)
	})
	if err == nil && m.sums != nil && m.sums[m.file.name] != hex.EncodeToString(h.Sum(nil)) {
		err = mismatch(m.file.name)
	}
	return size, m.repository.explain("pull", err)
}

// Check refuses a reference that cannot be published to, and an alias that
// exists unless force is set. A version is always a new one.
func (p *repository) Check(ctx context.Context, force bool) (err error) {
	if p.version != "" {
		return &registry.ReferenceError{Ref: p.String(), Reason: "is an output and cannot have a version: the next one is made; give models:/NAME or models:/NAME@ALIAS"}
	}
	if p.found, err = p.current(ctx); err != nil {
		return p.explain("push to", err)
	}
	if p.found != "" && !force {
		return fmt.Errorf("%s exists and is version %s; use --force to move the alias, or give another one", p, p.found)
	}
	return nil
}

// current returns the version that the alias has now, "" if there is no such
// alias or the reference has none.
func (p *repository) current(ctx context.Context) (string, error) {
	var answer struct {
		Model *struct {
			Aliases []struct {
				Alias   string `json:"alias"`
				Version string `json:"version"`
			} `json:"aliases"`
		} `json:"registered_model"`
	}
	err := p.server.do(ctx, http.MethodGet, "registered-models/get", url.Values{"name": {p.name}}, &answer)
	switch {
	case isCode(err, codeMissing):
		return "", nil
	case err != nil:
		return "", err
	case answer.Model == nil:
		return "", errors.New("the answer is not what MLflow answers: it names no model")
	}
	for _, a := range answer.Model.Aliases {
		if a.Alias == p.alias {
			return a.Version, nil
		}
	}
	return "", nil
}

// follow returns where an upload goes: from models:/NAME@ALIAS to models:/NAME,
// the alias goes along, unless somebody else moves it meanwhile.
func (p *repository) follow(u *registry.Upload) *repository {
	base, ok := u.Base.(*storedModel)
	if !ok || p.alias != "" || base.repository.alias == "" || base.repository.name != p.name || *base.repository.server.address != *p.server.address {
		return p
	}
	along := *p
	along.alias, along.found = base.repository.alias, base.info.Version
	return &along
}
