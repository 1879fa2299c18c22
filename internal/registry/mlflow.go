package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"oras.land/oras-go/v2/registry/remote/errcode"

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

// mlflowPlace is a registered model and, where the reference has one, a version
// or an alias of it.
type mlflowPlace struct {
	server  *mlflowServer
	name    string
	version string // "" if the reference has none
	alias   string // "" if the reference has none
	file    string // "" if the reference names none

	// The version that Check found at the alias, and that Publish may therefore
	// replace; "" if there was none.
	found string
}

var (
	mlflowAlias   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	mlflowVersion = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	// What a server calls runs, logged models and experiments. It becomes part
	// of addresses and filters.
	mlflowID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// openMLflow reads models:/NAME[/VERSION|@ALIAS][#FILE].
func openMLflow(ref string, c *client, getenv func(string) string) (*mlflowPlace, error) {
	wrong := func(format string, args ...any) error {
		return &ReferenceError{Ref: ref, Reason: fmt.Sprintf(format, args...)}
	}
	whole, file := SplitFile(ref)
	p := &mlflowPlace{file: file}
	rest := strings.TrimPrefix(whole, schemeMLflow)
	var aliased, versioned bool
	if p.name, p.alias, aliased = strings.Cut(rest, "@"); !aliased {
		p.name, p.version, versioned = strings.Cut(rest, "/")
	}
	switch {
	case strings.TrimSpace(p.name) == "" || strings.ContainsAny(p.name, "/:") || aliased && !mlflowAlias.MatchString(p.alias):
		return nil, wrong("is not of the form models:/NAME, models:/NAME/VERSION or models:/NAME@ALIAS")
	case p.version == "latest":
		return nil, wrong("asks for whatever was registered last, reviewed or not; give a version or an alias")
	case versioned && !mlflowVersion.MatchString(p.version):
		return nil, wrong("has a version that is no number; stages are deprecated in MLflow, an alias is models:/NAME@ALIAS")
	}
	var err error
	if p.server, err = newMLflowServer(c, getenv); err != nil {
		return nil, wrong("%v", err)
	}
	return p, nil
}

func (p *mlflowPlace) String() string {
	switch {
	case p.version != "":
		return p.at(p.version)
	case p.alias != "":
		return schemeMLflow + p.name + "@" + p.alias
	}
	return schemeMLflow + p.name
}

// at returns the reference to a version.
func (p *mlflowPlace) at(version string) string { return schemeMLflow + p.name + "/" + version }

func (p *mlflowPlace) explain(op string, err error) error {
	return explain(op, p.String(), advice{
		login: "set " + trackingToken + ", or " + trackingUser + " and " + trackingPassword,
		plain: "http:// in " + trackingURI,
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

// mlflowModel is a version and one of its artifacts, the checkpoint.
type mlflowModel struct {
	place *mlflowPlace
	info  versionInfo
	root  string // of its artifacts, in those that the server hands out
	files []artifact
	file  artifact
	sums  map[string]string // of the artifacts, in hexadecimal; nil if Lethe did not write them
	sum   string            // digest of the list of sums, in hexadecimal
}

func (m *mlflowModel) URI() string  { return m.place.at(m.info.Version) }
func (m *mlflowModel) File() string { return m.file.name }
func (m *mlflowModel) Digest() string {
	if m.sum == "" {
		return ""
	}
	return "sha256:" + m.sum
}

func (p *mlflowPlace) Resolve(ctx context.Context) (Model, error) {
	if p.version == "" && p.alias == "" {
		return nil, &ReferenceError{Ref: p.String(), Reason: "is an input and needs a version or an alias, as in models:/NAME/1 or models:/NAME@champion"}
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

func (p *mlflowPlace) resolve(ctx context.Context) (*mlflowModel, error) {
	m := &mlflowModel{place: p}
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
	if answer.Version == nil || !mlflowVersion.MatchString(answer.Version.Version) || p.version != "" && answer.Version.Version != p.version {
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
func (s *mlflowServer) artifactPath(of, uri, otherwise string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" || u.Host != "" && u.Host != s.address.Host {
		scheme, _, _ := strings.Cut(uri, ":")
		return "", &model.UnsupportedError{
			What:   fmt.Sprintf("%s has its artifacts at a %.20q address, which the MLflow server does not hand out", of, scheme),
			Advice: "start the server without --default-artifact-root and with --artifacts-destination, so that artifacts go through it, or " + otherwise,
		}
	}
	root := strings.Trim(u.Path, "/")
	if !isArtifactName(root) {
		return "", fmt.Errorf("the server says that artifacts are in %.100q, which is no folder", root)
	}
	return root, nil
}

// readSums reads the digests that Lethe wrote of the artifacts of the version,
// which must be those of its tag.
func (m *mlflowModel) readSums(ctx context.Context, digest string) error {
	text, err := m.read(ctx, artifact{sumsFile, -1}, maxDocument)
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
func (m *mlflowModel) read(ctx context.Context, a artifact, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := m.place.server.get(ctx, m.root, a, limit, func() (io.Writer, error) {
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
func (m *mlflowModel) choose(file string) error {
	var candidates, onnx []artifact
	var names []string
	for _, a := range m.files {
		switch {
		case file != "" && a.name == file:
			m.file = a
			return nil
		case isCheckpoint(a.name):
			candidates = append(candidates, a)
		case isONNX(a.name):
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
	return noCheckpoint(m.place, file, len(candidates), names)
}

// Fetch writes the checkpoint to f.
func (m *mlflowModel) Fetch(ctx context.Context, f *os.File) (size int64, err error) {
	h := sha256.New()
	size, err = m.place.server.get(ctx, m.root, m.file, MaxFile, func() (io.Writer, error) {
		h.Reset()
		return io.MultiWriter(f, h), rewind(f)
	})
	if err == nil && m.sums != nil && m.sums[m.file.name] != hex.EncodeToString(h.Sum(nil)) {
		err = mismatch(m.file.name)
	}
	return size, m.place.explain("pull", err)
}

// Check refuses a reference that cannot be published to, and an alias that
// exists unless force is set. A version is always a new one.
func (p *mlflowPlace) Check(ctx context.Context, force bool) (err error) {
	if p.version != "" {
		return &ReferenceError{Ref: p.String(), Reason: "is an output and cannot have a version: the next one is made; give models:/NAME or models:/NAME@ALIAS"}
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
func (p *mlflowPlace) current(ctx context.Context) (string, error) {
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
func (p *mlflowPlace) follow(u *Upload) *mlflowPlace {
	base, ok := u.Base.(*mlflowModel)
	if !ok || p.alias != "" || base.place.alias == "" || base.place.name != p.name || *base.place.server.address != *p.server.address {
		return p
	}
	along := *p
	along.alias, along.found = base.place.alias, base.info.Version
	return &along
}

// mlflowPushed is a new version without an alias.
type mlflowPushed struct {
	place   *mlflowPlace
	run     string // its run
	model   string // its logged model; "" on servers that know none
	version string
	digest  string
	left    []string
	kept    bool // an alias may lead to it
}

func (p *mlflowPushed) URI() string    { return p.place.at(p.version) }
func (p *mlflowPushed) Digest() string { return p.digest }
func (p *mlflowPushed) Left() []string { return p.left }

func (p *mlflowPlace) Push(ctx context.Context, u *Upload) (Pushed, error) {
	out := &mlflowPushed{place: p.follow(u)}
	if err := out.push(ctx, u); err != nil {
		out.Withdraw(context.WithoutCancel(ctx))
		return nil, p.explain("push to", err)
	}
	return out, nil
}

func (p *mlflowPushed) push(ctx context.Context, u *Upload) error {
	all := names(u.Files)
	for _, name := range all {
		if !isArtifactName(name) || strings.ContainsAny(name, "#%") {
			return &ReferenceError{Ref: p.place.String() + "#" + name, Reason: "has a name that MLflow does not take"}
		}
	}
	now := time.Now().UTC()
	if t, err := time.Parse(time.RFC3339, u.Created); err == nil {
		now = t.UTC()
	}
	lineage := maps.Clone(u.Annotations)
	if lineage == nil {
		lineage = map[string]string{}
	}
	base, _ := u.Base.(*mlflowModel)
	if u.Base != nil {
		lineage[sourceTag] = u.Base.URI()
	}
	up := &uploader{server: p.place.server, sums: map[string]string{}}
	location, err := p.begin(ctx, base, lineage, now)
	if err != nil {
		return err
	}
	if up.root, err = up.server.artifactPath("the experiment for "+p.place.String(), location, "make another experiment and give its id in "+experimentID); err != nil {
		return err
	}
	for i, f := range u.Files {
		if err := up.put(ctx, all[i], f.Content, f.Size); err != nil {
			return err
		}
	}
	if base != nil {
		if p.left, err = up.carry(ctx, base); err != nil {
			return err
		}
		gone, err := up.describe(ctx, base, all, u.Whole, mlmodel{RunID: p.run, ModelID: p.model, Location: location, Created: now})
		if err != nil {
			return err
		}
		p.left = append(p.left, gone...)
	}
	for _, e := range u.Evidence {
		if err := up.put(ctx, evidenceDir+e.Name, bytes.NewReader(e.Content), int64(len(e.Content))); err != nil {
			return err
		}
	}
	list := up.list()
	if err := up.put(ctx, sumsFile, bytes.NewReader(list), int64(len(list))); err != nil {
		return err
	}
	p.digest = "sha256:" + sum(list)
	lineage[sumsTag], lineage[outputTag] = p.digest, up.sums[all[0]]
	return p.register(ctx, location, lineage, now)
}

// begin makes a run and, on servers that have them, a logged model, and returns
// the URI of the artifacts to be.
func (p *mlflowPushed) begin(ctx context.Context, base *mlflowModel, lineage map[string]string, now time.Time) (location string, err error) {
	s := p.place.server
	experiment, err := p.place.experiment(ctx, base)
	if err != nil {
		return "", err
	}
	type info struct {
		ID       string `json:"run_id"`
		Location string `json:"artifact_uri"`
	}
	var run struct {
		Run struct {
			Info info `json:"info"`
		} `json:"run"`
	}
	push := rand.Text()
	marked := maps.Clone(lineage)
	marked[pushTag] = push
	if err := s.create(ctx, "runs/create", map[string]any{
		"experiment_id": experiment, "run_name": "lethe", "start_time": now.UnixMilli(), "tags": tags(marked),
	}, &run, func() (bool, error) {
		var found struct {
			Runs []struct {
				Info info `json:"info"`
			} `json:"runs"`
		}
		err := s.call(ctx, http.MethodPost, "runs/search", map[string]any{
			"experiment_ids": []string{experiment}, "filter": "tags.`" + pushTag + "` = '" + push + "'", "max_results": 1,
		}, &found)
		if err != nil || len(found.Runs) == 0 {
			return false, err
		}
		run.Run.Info = found.Runs[0].Info
		return true, nil
	}); err != nil {
		return "", err
	}
	if !mlflowID.MatchString(run.Run.Info.ID) {
		return "", errors.New("the answer is not what MLflow answers: it names no run")
	}
	p.run = run.Run.Info.ID

	type logged struct {
		Info struct {
			ID       string `json:"model_id"`
			Location string `json:"artifact_uri"`
		} `json:"info"`
	}
	var made struct {
		Model logged `json:"model"`
	}
	err = s.create(ctx, "logged-models", map[string]any{
		"experiment_id": experiment, "name": "model", "source_run_id": p.run, "tags": tags(lineage),
	}, &made, func() (bool, error) {
		var found struct {
			Models []logged `json:"models"`
		}
		err := s.call(ctx, http.MethodPost, "logged-models/search", map[string]any{
			"experiment_ids": []string{experiment}, "filter": "source_run_id = '" + p.run + "'", "max_results": 1,
		}, &found)
		if err != nil || len(found.Models) == 0 {
			return false, err
		}
		made.Model = found.Models[0]
		return true, nil
	})
	if noSuchCall(err) {
		return strings.TrimSuffix(run.Run.Info.Location, "/") + "/model", nil
	}
	if err != nil {
		return "", err
	}
	if !mlflowID.MatchString(made.Model.Info.ID) {
		return "", errors.New("the answer is not what MLflow answers: it names no model")
	}
	p.model = made.Model.Info.ID
	return made.Model.Info.Location, nil
}

// noSuchCall tells whether the server is older than a call.
func noSuchCall(err error) bool {
	var answer *errcode.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && (len(answer.Errors) == 0 || isCode(err, "ENDPOINT_NOT_FOUND"))
}

// experiment returns where the run of a new version belongs: to what
// MLFLOW_EXPERIMENT_ID says, to the run of the base, or to the default.
func (p *mlflowPlace) experiment(ctx context.Context, base *mlflowModel) (string, error) {
	const byDefault = "0"
	if p.server.experiment != "" {
		return p.server.experiment, nil
	}
	if base == nil || base.info.RunID == "" {
		return byDefault, nil
	}
	var answer struct {
		Run struct {
			Info struct {
				Experiment string `json:"experiment_id"`
			} `json:"info"`
		} `json:"run"`
	}
	err := p.server.do(ctx, http.MethodGet, "runs/get", url.Values{"run_id": {base.info.RunID}}, &answer)
	if isCode(err, codeMissing) || err == nil && answer.Run.Info.Experiment == "" {
		return byDefault, nil
	}
	return answer.Run.Info.Experiment, err
}

// register ends the run and makes the version, which has everything by then.
func (p *mlflowPushed) register(ctx context.Context, location string, lineage map[string]string, now time.Time) error {
	s, name := p.place.server, p.place.name
	version := map[string]any{"name": name, "source": location, "run_id": p.run, "tags": tags(lineage)}
	if p.model != "" {
		version["source"], version["model_id"] = schemeMLflow+p.model, p.model
		if err := s.do(ctx, http.MethodPatch, "logged-models/"+p.model, map[string]any{"model_id": p.model, "status": "LOGGED_MODEL_READY"}, nil); err != nil {
			return err
		}
	}
	if err := s.do(ctx, http.MethodPost, "runs/update", map[string]any{"run_id": p.run, "status": "FINISHED", "end_time": now.UnixMilli()}, nil); err != nil {
		return err
	}
	if err := s.do(ctx, http.MethodPost, "registered-models/create", map[string]any{"name": name}, nil); err != nil && !isCode(err, codeExists) {
		return err
	}
	var made struct {
		Version versionInfo `json:"model_version"`
	}
	if err := s.create(ctx, "model-versions/create", version, &made, func() (bool, error) {
		found, err := p.versions(ctx)
		if err != nil || len(found) == 0 {
			return false, err
		}
		made.Version = found[0]
		return true, nil
	}); err != nil {
		return err
	}
	if p.version = made.Version.Version; !mlflowVersion.MatchString(p.version) {
		return errors.New("the answer is not what MLflow answers: it names no version")
	}
	return nil
}

// versions returns the versions of the model that were made of the run.
func (p *mlflowPushed) versions(ctx context.Context) ([]versionInfo, error) {
	var found struct {
		Versions []versionInfo `json:"model_versions"`
	}
	err := p.place.server.call(ctx, http.MethodGet, "model-versions/search", url.Values{"filter": {"run_id = '" + p.run + "'"}}, &found)
	return found.Versions, err
}

// Publish moves the alias. MLflow has no condition on an alias, so between the
// look at it and the move another writer may still come.
func (p *mlflowPushed) Publish(ctx context.Context) error {
	if p.place.alias == "" {
		p.kept = true
		return nil
	}
	now, err := p.place.current(ctx)
	switch {
	case err != nil:
		return p.place.explain("move the alias", err)
	case now != p.place.found:
		return fmt.Errorf("the alias %s moved meanwhile; it stays where it is now", p.place)
	}
	p.kept = true
	err = p.place.server.do(ctx, http.MethodPost, "registered-models/alias", map[string]any{"name": p.place.name, "alias": p.place.alias, "version": p.version}, nil)
	if err == nil {
		return nil
	}
	// What failed may have been done.
	now, failed := p.place.current(ctx)
	if failed == nil && now == p.version {
		return nil
	}
	p.kept = failed != nil
	return p.place.explain("move the alias", err)
}

// Withdraw deletes the version, then the run, whose artifacts mlflow gc
// removes. With a version, MLflow deletes the aliases that lead to it, so what
// may have one stays.
func (p *mlflowPushed) Withdraw(ctx context.Context) {
	if p.run == "" || p.kept {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := p.place.server
	versions, err := []versionInfo{{Version: p.version}}, error(nil)
	if p.version == "" { // and yet it may be there, if an answer got lost
		versions, err = p.versions(ctx)
	}
	for _, v := range versions {
		if err == nil {
			err = s.call(ctx, http.MethodDelete, "model-versions/delete", map[string]any{"name": p.place.name, "version": v.Version}, nil)
		}
	}
	if err == nil && p.model != "" {
		err = s.call(ctx, http.MethodDelete, "logged-models/"+p.model, map[string]any{}, nil)
	}
	if err == nil {
		s.call(ctx, http.MethodPost, "runs/delete", map[string]any{"run_id": p.run}, nil)
	}
}

// uploader uploads the artifacts of a version and adds up what they are.
type uploader struct {
	server *mlflowServer
	root   string
	sums   map[string]string // digests by name, in hexadecimal
	size   int64             // of all
}

func (up *uploader) put(ctx context.Context, name string, r io.ReaderAt, size int64) error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return err
	}
	if err := up.server.put(ctx, up.root, name, r, size); err != nil {
		return err
	}
	up.sums[name] = hex.EncodeToString(h.Sum(nil))
	up.size += size
	return nil
}

// list returns the digests in the format of sha256sum.
func (up *uploader) list() []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(up.sums)) {
		fmt.Fprintf(&b, "%s  %s\n", up.sums[name], name)
	}
	return b.Bytes()
}

// carry takes over what the base has beside weights and evidence: text, such as
// documents, code and configuration. It returns the names of the rest, which may
// be weights whatever its names are.
func (up *uploader) carry(ctx context.Context, base *mlflowModel) (left []string, err error) {
	var files, bytesRead int64
	for _, a := range base.files {
		_, written := up.sums[a.name]
		_, listed := base.sums[a.name]
		switch {
		case written, a.name == base.file.name, a.name == mlmodelFile, a.name == sumsFile, strings.HasPrefix(a.name, evidenceDir):
			continue
		case isWeightsFile(a.name) || a.size > maxCarried || strings.ContainsAny(a.name, "#%") || base.sums != nil && !listed:
			left = append(left, a.name)
			continue
		}
		b, err := base.read(ctx, a, maxCarried)
		if err != nil {
			return nil, err
		}
		files, bytesRead = files+1, bytesRead+int64(len(b))
		switch {
		case files > maxCarriedFiles:
			return nil, tooLarge("number of files to take over from "+base.URI(), files, maxCarriedFiles)
		case bytesRead > maxCarriedSum:
			return nil, tooLarge("size of the files to take over from "+base.URI()+" in bytes", bytesRead, maxCarriedSum)
		}
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			left = append(left, a.name)
			continue
		}
		if err := up.put(ctx, a.name, bytes.NewReader(b), int64(len(b))); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// isWeightsFile tells by its name whether a file has weights.
func isWeightsFile(name string) bool { return isCheckpoint(name) || isONNX(name) }

// describe writes the MLmodel of the base anew, if it has one, and returns what
// of it is not true any more.
func (up *uploader) describe(ctx context.Context, base *mlflowModel, written []string, whole bool, m mlmodel) (gone []string, err error) {
	i := slices.IndexFunc(base.files, func(a artifact) bool { return a.name == mlmodelFile })
	if i < 0 {
		return nil, nil
	}
	text, err := base.read(ctx, base.files[i], maxDocument)
	if err != nil {
		return nil, err
	}
	for _, name := range written {
		if name == base.file.name {
			m.Kept = whole
		}
		if path.Ext(name) == ".onnx" {
			m.ONNX = name
		}
	}
	m.Size = up.size
	m.Has = func(name string) bool { return up.sums[name] != "" }
	if text, gone, err = m.edit(text); err != nil {
		return nil, malformed(mlmodelFile+" of "+base.URI(), err)
	}
	return gone, up.put(ctx, mlmodelFile, bytes.NewReader(text), int64(len(text)))
}
