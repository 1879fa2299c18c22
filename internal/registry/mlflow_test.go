package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"oras.land/oras-go/v2/registry/remote"

	"lethe/internal/cli"
	"lethe/internal/oracle"
	"lethe/internal/registry"
)

// mlflowPlace opens a reference to a model of the server at an address.
func mlflowPlace(t *testing.T, server, ref string) registry.Repository {
	t.Helper()
	p, err := openBounded("models:/"+ref, registry.Bounds{Env: map[string]string{
		"MLFLOW_TRACKING_URI": server, "MLFLOW_TRACKING_USERNAME": os.Getenv("MLFLOW_TRACKING_USERNAME"), "MLFLOW_TRACKING_PASSWORD": os.Getenv("MLFLOW_TRACKING_PASSWORD"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// api makes a call of an MLflow server that must succeed.
func api(t *testing.T, server, method, name string, in any) object {
	t.Helper()
	status, b := request(t, server, method, name, in)
	out := object{}
	if status != http.StatusOK || len(b) > 0 && json.Unmarshal(b, &out) != nil {
		t.Fatalf("%s %s: %d\n%s", method, name, status, b)
	}
	return out
}

// request makes a request to an MLflow server. in is a document, the content of
// a file, or a query.
func request(t *testing.T, server, method, name string, in any) (status int, answer []byte) {
	t.Helper()
	address := server + "/api/2.0/" + name
	var body io.Reader
	switch in := in.(type) {
	case url.Values:
		address += "?" + in.Encode()
	case string:
		body = strings.NewReader(in)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(os.Getenv("MLFLOW_TRACKING_USERNAME"), os.Getenv("MLFLOW_TRACKING_PASSWORD"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// member follows keys into a document.
func member(doc object, keys ...string) any {
	var at any = doc
	for _, k := range keys {
		at = at.(object)[k]
	}
	return at
}

// register makes a version as other programs do, of artifacts of a run.
func register(t *testing.T, server, name string, files map[string]string) (version string) {
	t.Helper()
	run := api(t, server, "POST", "mlflow/runs/create", object{"experiment_id": "0", "tags": []object{}})
	id, root := member(run, "run", "info", "run_id").(string), member(run, "run", "info", "artifact_uri").(string)+"/model"
	for file, content := range files {
		api(t, server, "PUT", "mlflow-artifacts/artifacts/"+strings.TrimPrefix(root, "mlflow-artifacts:/")+"/"+file, content)
	}
	request(t, server, "POST", "mlflow/registered-models/create", object{"name": name}) // it may exist
	v := api(t, server, "POST", "mlflow/model-versions/create", object{"name": name, "source": root, "run_id": id, "tags": []object{}})
	return member(v, "model_version", "version").(string)
}

// artifacts returns all files of a version.
func artifacts(t *testing.T, server, name, version string) map[string]string {
	t.Helper()
	at := api(t, server, "GET", "mlflow/model-versions/get-download-uri", url.Values{"name": {name}, "version": {version}})
	root := strings.TrimPrefix(at["artifact_uri"].(string), "mlflow-artifacts:/")
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		files, _ := api(t, server, "GET", "mlflow-artifacts/artifacts", url.Values{"path": {root + dir}})["files"].([]any)
		for _, f := range files {
			name := dir + "/" + f.(object)["path"].(string)
			if f.(object)["is_dir"] == true {
				walk(name)
				continue
			}
			status, b := request(t, server, "GET", "mlflow-artifacts/artifacts/"+root+name, url.Values{})
			if status != http.StatusOK {
				t.Fatalf("%s: %d", name, status)
			}
			all[name[1:]] = string(b)
		}
	}
	walk("")
	return all
}

// mlmodelText is an MLmodel of the flavour pytorch, with what older and newer
// versions of MLflow write.
var mlmodelText = func() string {
	text, err := os.ReadFile("mlflow/testdata/MLmodel")
	if err != nil {
		panic(err)
	}
	return string(text)
}()

func TestMLflow(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old=%v", old), func(t *testing.T) {
			fake := newFakeMLflow()
			fake.old = old
			testMLflow(t, "http://"+serve(t, http.StripPrefix("/prefix", fake))+"/prefix")
		})
	}
}

func TestOracleMLflow(t *testing.T) {
	server := oracle.MLflow(t)
	testMLflow(t, server)
	t.Run("loads", func(t *testing.T) { testMLflowLoads(t, server) })
	t.Run("password", func(t *testing.T) {
		t.Setenv("MLFLOW_TRACKING_PASSWORD", "an0ther")
		_, err := publish(t.Context(), mlflowPlace(t, server, "lenet"), false, &registry.Upload{Files: []registry.File{file("a.pt", "A")}})
		if !isRegistryError(err) || !strings.Contains(err.Error(), "wants other credentials") || strings.Contains(err.Error(), "an0ther") {
			t.Errorf("got %v", err)
		}
	})
}

func testMLflow(t *testing.T, server string) {
	ctx := t.Context()

	// From a file, to a model that is not there.
	first := mlflowPlace(t, server, "other@champion")
	u := registry.Upload{Files: []registry.File{file("a b.pt", "one")}, Annotations: map[string]string{"lethe.tool": "test", "lethe.forgotten.labels": ""}}
	if err := first.Check(ctx, false); err != nil {
		t.Fatal(err)
	}
	pushed, err := first.Push(ctx, &u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Resolve(ctx); !isRegistryError(err) {
		t.Errorf("before it is published, the model has an alias: %v", err)
	}
	if err := pushed.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	if data, m, err := fetch(ctx, first, t.TempDir()); err != nil || data != "one" || m.File() != "a b.pt" || m.URI() != "models:/other/1" || m.URI() != pushed.URI() || m.Digest() != pushed.Digest() {
		t.Errorf("got %q from %v, %v, pushed was %v", data, m, err, pushed)
	}

	// What somebody else registered, edited.
	base := register(t, server, "lenet", map[string]string{
		"MLmodel": mlmodelText, "data/model.pth": "weights", "data/pickle_module_info.txt": "mlflow.pytorch.pickle_module",
		"conda.yaml": "name: env", "README.md": "Überblick", "average.safetensors": "w", "opaque": "\x00w", "old.onnx": "w",
		"SHA256SUMS": "of another", "evidence/report.json": "of another",
	})
	if base != "1" {
		t.Fatalf("the first version is %s", base)
	}
	data, m, err := fetch(ctx, mlflowPlace(t, server, "lenet/1#data/model.pth"), t.TempDir())
	if err != nil || data != "weights" || m.URI() != "models:/lenet/1" || m.Digest() != "" {
		t.Fatalf("got %q from %v, %v", data, m, err)
	}
	u = registry.Upload{
		Files: []registry.File{file("data/model.pth", "edited"), file(".onnx", "graph")},
		Base:  m, Whole: true, Created: "2026-01-02T03:04:05Z",
		Annotations: map[string]string{"lethe.seed": "0"},
		Evidence:    []registry.Evidence{{MediaType: "application/json", Name: "report.json", Content: []byte("{}")}},
	}
	next := mlflowPlace(t, server, "lenet")
	if pushed, err = publish(ctx, next, false, &u); err != nil {
		t.Fatal(err)
	}
	if pushed.URI() != "models:/lenet/2" {
		t.Errorf("pushed %s", pushed.URI())
	}
	left := pushed.Left()
	slices.Sort(left)
	if want := []string{"average.safetensors", "old.onnx", "opaque"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	got := artifacts(t, server, "lenet", "2")
	want := map[string]string{
		"data/model.pth": "edited", "data/model.onnx": "graph", "data/pickle_module_info.txt": "mlflow.pytorch.pickle_module",
		"conda.yaml": "name: env", "README.md": "Überblick", "evidence/report.json": "{}",
	}
	var sums string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if name != "SHA256SUMS" {
			sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(got[name])), name)
		}
	}
	if got["SHA256SUMS"] != sums || pushed.Digest() != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(sums))) {
		t.Errorf("digests\n%swant\n%s", got["SHA256SUMS"], sums)
	}
	v := member(api(t, server, "GET", "mlflow/model-versions/get", url.Values{"name": {"lenet"}, "version": {"2"}}), "model_version").(object)
	wantTags := map[string]string{
		"lethe.seed": "0", "lethe.source": "models:/lenet/1", "lethe.sha256sums": pushed.Digest(),
		"lethe.output.sha256": fmt.Sprintf("%x", sha256.Sum256([]byte("edited"))),
	}
	for k, want := range wantTags {
		if tagOf(v["tags"], k) != want {
			t.Errorf("tag %s is %q, want %q", k, tagOf(v["tags"], k), want)
		}
	}
	run := member(api(t, server, "GET", "mlflow/runs/get", url.Values{"run_id": {v["run_id"].(string)}}), "run").(object)
	if status := member(run, "info", "status"); status != "FINISHED" || tagOf(member(run, "data", "tags"), "lethe.source") != "models:/lenet/1" {
		t.Errorf("run %v", run)
	}
	checkMLmodel(t, got["MLmodel"], v)
	delete(got, "SHA256SUMS")
	delete(got, "MLmodel")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("artifacts %q, want %q", got, want)
	}

	// The alias moves only by force, and not if somebody moved it meanwhile.
	alias := func() string {
		_, m, err := fetch(ctx, mlflowPlace(t, server, "lenet@champion"), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return m.URI()
	}
	move := func(version string) {
		api(t, server, "POST", "mlflow/registered-models/alias", object{"name": "lenet", "alias": "champion", "version": version})
	}
	move("2")
	mine := mlflowPlace(t, server, "lenet@champion")
	if err := mine.Check(ctx, false); err == nil || !strings.Contains(err.Error(), "exists and is version 2; use --force") {
		t.Errorf("an alias that exists: %v", err)
	}
	if pushed, err = publish(ctx, mine, true, &u); err != nil || pushed.URI() != "models:/lenet/3" || alias() != "models:/lenet/3" {
		t.Errorf("after force: %v, %v, the alias is %s", pushed, err, alias())
	}
	if err := mine.Check(ctx, true); err != nil {
		t.Fatal(err)
	}
	move("2")
	late, err := mine.Push(ctx, &u)
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Publish(ctx); err == nil || !strings.Contains(err.Error(), "moved meanwhile") {
		t.Errorf("an alias that moved: %v", err)
	}
	late.Withdraw(ctx)
	if _, err := mlflowPlace(t, server, "lenet/4").Resolve(ctx); alias() != "models:/lenet/2" || !isRegistryError(err) {
		t.Errorf("withdrawn: %v; the alias is %s", err, alias())
	}

	// From an alias to the model itself, the alias goes along, in the same way.
	_, u.Base, err = fetch(ctx, mlflowPlace(t, server, "lenet@champion"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if along, err := publish(ctx, next, false, &u); err != nil || alias() != along.URI() || along.URI() == "models:/lenet/2" {
		t.Errorf("%v, %v; the alias is %s", along, err, alias())
	}
	there := alias()
	if _, err := publish(ctx, next, false, &u); err == nil || !strings.Contains(err.Error(), "moved meanwhile") || alias() != there {
		t.Errorf("from where the alias was: %v; it is %s", err, alias())
	}
	if _, err := publish(ctx, mlflowPlace(t, server, "third"), false, &u); err != nil || alias() != there {
		t.Errorf("to another model: %v; the alias is %s", err, alias())
	}
	move("2")
	pushed.Withdraw(ctx) // what is published stays
	if data, _, err := fetch(ctx, mlflowPlace(t, server, "lenet/3"), t.TempDir()); err != nil || data != "edited" {
		t.Errorf("got %q, %v", data, err)
	}

	// From a version that Lethe wrote, without the checkpoint in its place.
	_, m, err = fetch(ctx, mlflowPlace(t, server, "lenet/2"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if pushed, err = publish(ctx, next, false, &registry.Upload{Files: []registry.File{file("data/model.safetensors", "w")}, Base: m}); err != nil {
		t.Fatal(err)
	}
	got = artifacts(t, server, "lenet", strings.TrimPrefix(pushed.URI(), "models:/lenet/"))
	if strings.Contains(got["MLmodel"], "pytorch") || strings.Contains(got["MLmodel"], "onnx") || got["data/model.onnx"] != "" || got["README.md"] != "Überblick" || !slices.Equal(pushed.Left(), []string{"data/model.onnx", "flavor python_function", "flavor pytorch", "flavor onnx"}) {
		t.Errorf("artifacts %q, left %q", got, pushed.Left())
	}

	// A file that changed after it was written.
	at := api(t, server, "GET", "mlflow/model-versions/get-download-uri", url.Values{"name": {"lenet"}, "version": {"3"}})["artifact_uri"].(string)
	api(t, server, "PUT", "mlflow-artifacts/artifacts/"+strings.TrimPrefix(at, "mlflow-artifacts:/")+"/data/model.pth", "forged")
	if _, _, err := fetch(ctx, mlflowPlace(t, server, "lenet/3"), t.TempDir()); !isRegistryError(err) || !strings.Contains(err.Error(), "does not have the digest") {
		t.Errorf("a forged checkpoint: %v", err)
	}

	for ref, want := range map[string]string{
		"nonesuch/1":           "no such model",
		"lenet/99":             "no such model",
		"lenet@nonesuch":       "Registered model alias nonesuch not found",
		"lenet/1":              "has 2 checkpoints",
		"lenet/1#x.pt":         `has no file "x.pt"`,
		"other/1#evidence/../": "has no file",
	} {
		if _, err := mlflowPlace(t, server, ref).Resolve(ctx); err == nil || !strings.Contains(err.Error(), want) || !slices.Contains([]int{cli.ExitRegistry, cli.ExitUnsupported}, cli.ExitCode(err)) {
			t.Errorf("%s: got %v (exit code %d), want %q", ref, err, cli.ExitCode(err), want)
		}
	}
	for _, name := range []string{"../a.pt", "/a.pt", "a#b.pt", "a/../b.pt", "a%2e.pt"} {
		if _, err := publish(ctx, next, false, &registry.Upload{Files: []registry.File{file(name, "")}}); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("a file %q: %v", name, err)
		}
	}
}

// checkMLmodel compares the MLmodel of a version of MLflow's with what is true.
func checkMLmodel(t *testing.T, text string, version object) {
	t.Helper()
	var got, want object
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(mlmodelText), &want); err != nil {
		t.Fatal(err)
	}
	want["run_id"], want["model_uuid"] = version["run_id"], version["run_id"]
	if id, ok := strings.CutPrefix(version["source"].(string), "models:/"); ok {
		want["model_uuid"], want["model_id"] = id, id
		want["artifact_path"] = "mlflow-artifacts:/0/models/" + id + "/artifacts"
	}
	want["utc_time_created"] = "2026-01-02 03:04:05.000000"
	want["model_size_bytes"] = len("edited" + "graph" + "mlflow.pytorch.pickle_module" + "name: env" + "Überblick")
	want["flavors"].(object)["onnx"] = object{"data": "data/model.onnx"}
	delete(want, "saved_input_example_info") // there was no example
	if !reflect.DeepEqual(got, want) {
		t.Errorf("MLmodel %v, want %v", got, want)
	}
}

// testMLflowLoads lets MLflow's own code read what was edited.
func testMLflowLoads(t *testing.T, server string) {
	python := oracle.Python(t, "mlflow, onnx")
	onnx := filepath.Join(t.TempDir(), "m.onnx")
	oracle.Run(t, python, "-c", `
import sys, onnx
from onnx import helper, TensorProto
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
onnx.save(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x")], [value("y")])), sys.argv[1])`, onnx)
	graph, err := os.ReadFile(onnx)
	if err != nil {
		t.Fatal(err)
	}
	version := register(t, server, "loads", map[string]string{"MLmodel": mlmodelText, "data/model.pth": "weights", "conda.yaml": "name: env"})
	_, base, err := fetch(t.Context(), mlflowPlace(t, server, "loads/"+version), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := publish(t.Context(), mlflowPlace(t, server, "loads"), false, &registry.Upload{
		Base: base, Whole: true, Files: []registry.File{file("data/model.pth", "edited"), file(".onnx", string(graph))},
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", `
import sys, mlflow, mlflow.onnx
info = mlflow.models.get_model_info(sys.argv[1])
path = mlflow.artifacts.download_artifacts(sys.argv[1])
print(sorted(info.flavors), info.run_id == mlflow.MlflowClient().get_model_version("loads", "2").run_id,
    mlflow.onnx.load_model(sys.argv[1]).graph.node[0].op_type, open(path + "/data/model.pth").read())`, pushed.URI())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil || string(out) != "['onnx', 'python_function', 'pytorch'] True Relu edited\n" {
		t.Errorf("got %q, %v\n%s", out, err, &stderr)
	}
}

// A model that comes from another kind of registry says so.
func TestAcross(t *testing.T) {
	oci, server := serve(t, inProcess()), "http://"+serve(t, newFakeMLflow())
	there, back := mlflowPlace(t, server, "m"), place(t, "%s/m:v2", oci)
	if _, err := publish(t.Context(), place(t, "%s/m:v1", oci), false, &registry.Upload{Files: []registry.File{file("a.pt", "A")}}); err != nil {
		t.Fatal(err)
	}
	_, base, err := fetch(t.Context(), place(t, "%s/m:v1", oci), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t.Context(), there, false, &registry.Upload{Base: base, Files: []registry.File{file("a.pt", "B")}}); err != nil {
		t.Fatal(err)
	}
	v := api(t, server, "GET", "mlflow/model-versions/get", url.Values{"name": {"m"}, "version": {"1"}})
	if got := tagOf(member(v, "model_version", "tags"), "lethe.source"); got != base.URI() {
		t.Errorf("in MLflow the source is %q, want %q", got, base.URI())
	}
	if _, base, err = fetch(t.Context(), mlflowPlace(t, server, "m/1"), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	pushed, err := publish(t.Context(), back, false, &registry.Upload{Base: base, Files: []registry.File{file("a.pt", "C")}})
	if err != nil {
		t.Fatal(err)
	}
	repo := &remote.Repository{PlainHTTP: true}
	repo.Reference.Registry, repo.Reference.Repository = oci, "m"
	if got := manifestOf(t, repo, pushed.Digest()).Annotations["lethe.source"]; got != "models:/m/1" {
		t.Errorf("in the OCI registry the source is %q", got)
	}
}
