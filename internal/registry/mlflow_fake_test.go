package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// object is a JSON document.
type object = map[string]any

// fakeMLflow answers as an MLflow server does, from memory, what the tests ask.
// TestMLflow holds for it and for the real one.
type fakeMLflow struct {
	old bool // without logged models, as before MLflow 3

	mu        sync.Mutex
	runs      map[string]object
	logged    map[string]object
	models    map[string]*fakeModel
	artifacts map[string][]byte
	location  string // of new artifacts
}

type fakeModel struct {
	versions []object // nil where one was deleted
	aliases  map[string]string
}

func newFakeMLflow() *fakeMLflow {
	return &fakeMLflow{
		runs: map[string]object{}, logged: map[string]object{}, models: map[string]*fakeModel{}, artifacts: map[string][]byte{},
		location: "mlflow-artifacts:/0/",
	}
}

// clone returns a server with the same content.
func (f *fakeMLflow) clone() *fakeMLflow {
	c := newFakeMLflow()
	copied := func(from, to any) {
		b, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(b, to)
		}
		if err != nil {
			panic(err)
		}
	}
	copied(f.runs, &c.runs)
	copied(f.logged, &c.logged)
	c.artifacts = maps.Clone(f.artifacts)
	for name, m := range f.models {
		c.models[name] = &fakeModel{aliases: maps.Clone(m.aliases)}
		copied(m.versions, &c.models[name].versions)
	}
	return c
}

// failure is an answer that refuses.
type failure struct {
	status  int
	code    string
	message string
}

func missing(what string) any {
	return failure{http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", what + " not found"}
}

func (f *fakeMLflow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone, and nothing happens
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var answer any
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow-artifacts/artifacts"); ok {
		name = strings.TrimPrefix(name, "/")
		switch {
		case r.Method == http.MethodPut:
			f.artifacts[name] = body
			answer = object{}
		case name == "":
			answer = f.list(r.URL.Query().Get("path"))
		default:
			if content, ok := f.artifacts[name]; ok {
				w.Write(content)
				return
			}
			answer = missing("No such artifact: " + name)
		}
	} else {
		in := object{}
		for k, v := range r.URL.Query() {
			in[k] = v[0]
		}
		if len(body) > 0 && json.Unmarshal(body, &in) != nil {
			answer = failure{http.StatusBadRequest, "BAD_REQUEST", "no JSON"}
		} else {
			answer = f.call(r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/"), in)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if failed, ok := answer.(failure); ok {
		w.WriteHeader(failed.status)
		answer = object{"error_code": failed.code, "message": failed.message}
	}
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	json.NewEncoder(&b).Encode(answer)
	w.Write(b.Bytes())
}

// list answers with what is directly in a folder.
func (f *fakeMLflow) list(dir string) object {
	found := map[string]object{}
	for name, content := range f.artifacts {
		rest, ok := strings.CutPrefix(name, dir+"/")
		if !ok {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		found[first] = object{"path": first, "is_dir": deeper}
		if !deeper {
			found[first]["file_size"] = len(content)
		}
	}
	files := []object{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		files = append(files, found[name])
	}
	return object{"files": files}
}

// call makes one call; nil is none that there is.
func (f *fakeMLflow) call(name string, in object) any {
	text := func(key string) string { s, _ := in[key].(string); return s }
	_, filter, _ := strings.Cut(text("filter"), "'")
	filter = strings.TrimSuffix(filter, "'")
	m := f.models[text("name")]
	version := func() object {
		n, _ := strconv.Atoi(text("version"))
		if m == nil || n < 1 || n > len(m.versions) {
			return nil
		}
		return m.versions[n-1]
	}
	if id, ok := strings.CutPrefix(name, "PATCH logged-models/"); ok && f.logged[id] != nil {
		f.logged[id]["status"] = text("status")
		return object{"model": object{"info": f.logged[id]}}
	}
	if id, ok := strings.CutPrefix(name, "DELETE logged-models/"); ok && f.logged[id] != nil {
		delete(f.logged, id)
		return object{}
	}
	switch name {
	case "POST runs/create":
		id := fmt.Sprintf("run%d", len(f.runs))
		f.runs[id] = object{
			"info": object{"run_id": id, "experiment_id": in["experiment_id"], "status": "RUNNING", "artifact_uri": f.location + id + "/artifacts", "lifecycle_stage": "active"},
			"data": object{"tags": in["tags"]},
		}
		return object{"run": f.runs[id]}
	case "GET runs/get":
		if f.runs[text("run_id")] == nil {
			return missing("Run " + text("run_id"))
		}
		return object{"run": f.runs[text("run_id")]}
	case "POST runs/search":
		found := []object{}
		for _, run := range f.runs {
			if tag := tagOf(run["data"].(object)["tags"], "lethe.push"); tag != "" && tag == filter {
				found = append(found, run)
			}
		}
		return object{"runs": found}
	case "POST runs/update", "POST runs/delete":
		run := f.runs[text("run_id")]
		if run == nil {
			return missing("Run " + text("run_id"))
		}
		info := run["info"].(object)
		if name == "POST runs/delete" {
			info["lifecycle_stage"] = "deleted"
			return object{}
		}
		info["status"] = text("status")
		return object{"run_info": info}
	case "POST logged-models":
		if f.old {
			return nil
		}
		id := fmt.Sprintf("m-%032x", len(f.runs)) // each run has one
		f.logged[id] = object{"model_id": id, "status": "LOGGED_MODEL_PENDING", "source_run_id": in["source_run_id"], "artifact_uri": f.location + "models/" + id + "/artifacts", "tags": in["tags"]}
		return object{"model": object{"info": f.logged[id], "data": object{}}}
	case "POST logged-models/search":
		found := []object{}
		for _, info := range f.logged {
			if info["source_run_id"] == filter {
				found = append(found, object{"info": info})
			}
		}
		return object{"models": found}
	case "GET registered-models/get":
		if m == nil {
			return missing("Registered Model with name=" + text("name"))
		}
		aliases := []object{}
		for _, alias := range slices.Sorted(maps.Keys(m.aliases)) {
			aliases = append(aliases, object{"alias": alias, "version": m.aliases[alias]})
		}
		return object{"registered_model": object{"name": text("name"), "aliases": aliases}}
	case "POST registered-models/create":
		if m != nil {
			return failure{http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "exists"}
		}
		f.models[text("name")] = &fakeModel{aliases: map[string]string{}}
		return object{"registered_model": object{"name": text("name")}}
	case "GET registered-models/alias":
		if m == nil || m.aliases[text("alias")] == "" {
			return failure{http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Registered model alias " + text("alias") + " not found."}
		}
		in["version"] = m.aliases[text("alias")]
		return object{"model_version": version()}
	case "POST registered-models/alias":
		if version() == nil {
			return missing("Model Version")
		}
		m.aliases[text("alias")] = text("version")
		return object{}
	case "POST model-versions/create":
		if m == nil {
			return missing("Registered Model with name=" + text("name"))
		}
		if f.runs[text("run_id")] == nil || text("model_id") != "" && f.logged[text("model_id")] == nil {
			return missing("Run")
		}
		v := object{"name": text("name"), "version": strconv.Itoa(len(m.versions) + 1), "source": in["source"], "run_id": in["run_id"], "status": "READY", "tags": in["tags"]}
		m.versions = append(m.versions, v)
		return object{"model_version": v}
	case "GET model-versions/get":
		if v := version(); v != nil {
			return object{"model_version": v}
		}
		return missing(fmt.Sprintf("Model Version (name=%s, version=%s)", text("name"), text("version")))
	case "GET model-versions/get-download-uri":
		v := version()
		if v == nil {
			return missing("Model Version")
		}
		uri := v["source"].(string)
		if id, ok := strings.CutPrefix(uri, "models:/"); ok {
			uri = f.logged[id]["artifact_uri"].(string)
		}
		return object{"artifact_uri": uri}
	case "GET model-versions/search":
		found := []object{}
		for _, m := range f.models {
			for _, v := range m.versions {
				if v != nil && v["run_id"] == filter {
					found = append(found, v)
				}
			}
		}
		return object{"model_versions": found}
	case "DELETE model-versions/delete":
		v := version()
		if v == nil {
			return missing("Model Version")
		}
		n, _ := strconv.Atoi(text("version"))
		m.versions[n-1] = nil
		maps.DeleteFunc(m.aliases, func(_, at string) bool { return at == text("version") })
		return object{}
	}
	return nil
}

// tagOf returns the value of a tag, "" if there is none.
func tagOf(tags any, key string) string {
	all, _ := tags.([]any)
	for _, t := range all {
		if t, ok := t.(object); ok && t["key"] == key {
			return t["value"].(string)
		}
	}
	return ""
}

// count returns how many versions a model has.
func (f *fakeMLflow) count(name string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.models[name].versions {
		if v != nil {
			n++
		}
	}
	return n
}
