package mlflow

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"lethe/internal/registry"
)

// pushedModel is a new version without an alias.
type pushedModel struct {
	repository *repository
	run        string // its run
	model      string // its logged model; "" on servers that know none
	version    string
	digest     string
	left       []string
	kept       bool // an alias may lead to it
}

func (p *pushedModel) URI() string    { return p.repository.at(p.version) }
func (p *pushedModel) Digest() string { return p.digest }
func (p *pushedModel) Left() []string { return p.left }

func (p *repository) Push(ctx context.Context, u *registry.Upload) (registry.Pushed, error) {
	out := &pushedModel{repository: p.follow(u)}
	if err := out.push(ctx, u); err != nil {
		out.Withdraw(context.WithoutCancel(ctx))
		return nil, p.explain("push to", err)
	}
	return out, nil
}

func (p *pushedModel) push(ctx context.Context, u *registry.Upload) error {
	all := registry.Names(u.Files)
	for _, name := range all {
		if !registry.IsArtifactName(name) || strings.ContainsAny(name, "#%") {
			return &registry.ReferenceError{Ref: p.repository.String() + "#" + name, Reason: "has a name that MLflow does not take"}
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
	base, _ := u.Base.(*storedModel)
	if u.Base != nil {
		lineage[registry.SourceTag] = u.Base.URI()
	}
	up := &uploader{server: p.repository.server, sums: map[string]string{}}
	location, err := p.begin(ctx, base, lineage, now)
	if err != nil {
		return err
	}
	if up.root, err = up.server.artifactPath("the experiment for "+p.repository.String(), location, "make another experiment and give its id in "+experimentID); err != nil {
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
func (p *pushedModel) begin(ctx context.Context, base *storedModel, lineage map[string]string, now time.Time) (location string, err error) {
	s := p.repository.server
	experiment, err := p.repository.experiment(ctx, base)
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
	if !isWord(run.Run.Info.ID, idMax) {
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
	if !isWord(made.Model.Info.ID, idMax) {
		return "", errors.New("the answer is not what MLflow answers: it names no model")
	}
	p.model = made.Model.Info.ID
	return made.Model.Info.Location, nil
}

// noSuchCall reports whether the server is older than a call.
func noSuchCall(err error) bool {
	var answer *errcode.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && (len(answer.Errors) == 0 || isCode(err, "ENDPOINT_NOT_FOUND"))
}

// experiment returns where the run of a new version belongs: to what
// MLFLOW_EXPERIMENT_ID says, to the run of the base, or to the default.
func (p *repository) experiment(ctx context.Context, base *storedModel) (string, error) {
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
func (p *pushedModel) register(ctx context.Context, location string, lineage map[string]string, now time.Time) error {
	s, name := p.repository.server, p.repository.name
	version := map[string]any{"name": name, "source": location, "run_id": p.run, "tags": tags(lineage)}
	if p.model != "" {
		version["source"], version["model_id"] = registry.SchemeMLflow+p.model, p.model
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
	if p.version = made.Version.Version; !isVersion(p.version) {
		return errors.New("the answer is not what MLflow answers: it names no version")
	}
	return nil
}

// versions returns the versions of the model that were made of the run.
func (p *pushedModel) versions(ctx context.Context) ([]versionInfo, error) {
	var found struct {
		Versions []versionInfo `json:"model_versions"`
	}
	err := p.repository.server.call(ctx, http.MethodGet, "model-versions/search", url.Values{"filter": {"run_id = '" + p.run + "'"}}, &found)
	return found.Versions, err
}

// Publish moves the alias. MLflow has no condition on an alias, so between the
// look at it and the move another writer may still come.
func (p *pushedModel) Publish(ctx context.Context) error {
	if p.repository.alias == "" {
		p.kept = true
		return nil
	}
	now, err := p.repository.current(ctx)
	switch {
	case err != nil:
		return p.repository.explain("move the alias", err)
	case now != p.repository.found:
		return fmt.Errorf("the alias %s moved meanwhile; it stays where it is now", p.repository)
	}
	p.kept = true
	err = p.repository.server.do(ctx, http.MethodPost, "registered-models/alias", map[string]any{"name": p.repository.name, "alias": p.repository.alias, "version": p.version}, nil)
	if err == nil {
		return nil
	}
	// What failed may have been done.
	now, failed := p.repository.current(ctx)
	if failed == nil && now == p.version {
		return nil
	}
	p.kept = failed != nil
	return p.repository.explain("move the alias", err)
}

// Withdraw deletes the version, then the run, whose artifacts mlflow gc
// removes. With a version, MLflow deletes the aliases that lead to it, so what
// may have one stays.
func (p *pushedModel) Withdraw(ctx context.Context) {
	if p.run == "" || p.kept {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := p.repository.server
	versions, err := []versionInfo{{Version: p.version}}, error(nil)
	if p.version == "" { // and yet it may be there, if an answer got lost
		versions, err = p.versions(ctx)
	}
	for _, v := range versions {
		if err == nil {
			err = s.call(ctx, http.MethodDelete, "model-versions/delete", map[string]any{"name": p.repository.name, "version": v.Version}, nil)
		}
	}
	if err == nil && p.model != "" {
		err = s.call(ctx, http.MethodDelete, "logged-models/"+p.model, map[string]any{}, nil)
	}
	if err == nil {
		s.call(ctx, http.MethodPost, "runs/delete", map[string]any{"run_id": p.run}, nil)
	}
}
