package registry_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"lethe/internal/cli"
	"lethe/internal/registry"
	"lethe/model"
)

func TestMLflowReferences(t *testing.T) {
	const server = "MLFLOW_TRACKING_URI"
	local := map[string]string{server: "http://127.0.0.1:1"}
	for _, c := range []struct {
		ref  string
		env  map[string]string
		want string // part of the error, "" if there is none
	}{
		{"models:/m", local, ""},
		{"models:/m/1", local, ""},
		{"models:/my model@champion#data/model.pth", local, ""},
		{"models:/m/latest", local, "give a version or an alias"},
		{"models:/m/Production", local, "stages are deprecated"},
		{"models:/m/", local, "not a number"},
		{"models:/m/0", local, "not a number"},
		{"models:/m@", local, "not of the form"},
		{"models:/m@a/b", local, "not of the form"},
		{"models:/m/1@a", local, "not of the form"},
		{"models:/", local, "not of the form"},
		{"models://profile/m/1", local, "not of the form"},
		{"models:/m/1", nil, "MLFLOW_TRACKING_URI"},
		{"models:/m/1", map[string]string{server: "sqlite:///s3cret.db"}, "not an address of one"},
		{"models:/m/1", map[string]string{server: "databricks"}, "not an address of one"},
		{"models:/m/1", map[string]string{server: "http://s3cret:%zz@"}, "not an address of one"},
		{"models:/m/1", map[string]string{server: "https://ada:s3cret@mlflow.example"}, "MLFLOW_TRACKING_PASSWORD instead"},
		{"models:/m/1", map[string]string{server: "http://mlflow.example:5000"}, ""},
		{"models:/m/1", map[string]string{server: "http://mlflow.example:5000", "MLFLOW_TRACKING_TOKEN": "s3cret"}, "without TLS"},
		{"models:/m/1", map[string]string{server: "http://mlflow.example", "MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}, "without TLS"},
		{"models:/m/1", map[string]string{server: "https://mlflow.example/prefix/", "MLFLOW_TRACKING_TOKEN": "s3cret"}, ""},
		{"models:/m/1", map[string]string{server: "http://127.0.0.1:5000", "MLFLOW_TRACKING_TOKEN": "s3cret"}, ""},
	} {
		p, err := openBounded(c.ref, registry.Bounds{Env: c.env})
		switch {
		case c.want == "" && (err != nil || p.String() != strings.Split(c.ref, "#")[0]):
			t.Errorf("%s with %v: got %v, %v", c.ref, c.env, p, err)
		case c.want != "" && (cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%s with %v: got %v, want %q", c.ref, c.env, err, c.want)
		}
	}
	if !registry.IsReference("models:/m") || registry.IsReference("models/m.pt") {
		t.Error("references are not told from files")
	}
	p := mlflowPlace(t, "http://127.0.0.1:1", "m/1")
	if err := p.Check(t.Context(), true); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("a version as an output: %v", err)
	}
	if _, err := mlflowPlace(t, "http://127.0.0.1:1", "m").Resolve(t.Context()); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("no version as an input: %v", err)
	}
}

// Credentials get to the server, and to no other that it redirects to.
func TestMLflowCredentials(t *testing.T) {
	fake := newFakeMLflow()
	storage := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the storage gets credentials")
		}
		fake.ServeHTTP(w, r)
	}))
	for name, c := range map[string]struct {
		env  map[string]string
		auth string // what the server wants
		want string // part of the error
	}{
		"basic":         {map[string]string{"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}, "Basic YWRhOnMzY3JldA==", ""},
		"token":         {map[string]string{"MLFLOW_TRACKING_TOKEN": "s3cret"}, "Bearer s3cret", ""},
		"both":          {map[string]string{"MLFLOW_TRACKING_TOKEN": "x", "MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"}, "Basic YWRhOnMzY3JldA==", ""},
		"none":          {map[string]string{}, "Bearer s3cret", "wants other credentials; set MLFLOW_TRACKING_TOKEN"},
		"wrong":         {map[string]string{"MLFLOW_TRACKING_TOKEN": "n0t s3cret"}, "Bearer s3cret", "wants other credentials"},
		"half":          {map[string]string{"MLFLOW_TRACKING_USERNAME": "ada"}, "Basic YWRhOnMzY3JldA==", "wants other credentials"},
		"not this user": {map[string]string{"MLFLOW_TRACKING_TOKEN": "s3cret"}, "", "does not allow it"},
	} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case c.auth == "":
					http.Error(w, `{"error_code":"PERMISSION_DENIED","message":"denied"}`, http.StatusForbidden)
				case r.Header.Get("Authorization") != c.auth:
					http.Error(w, "You are not authenticated.", http.StatusUnauthorized)
				case strings.Contains(r.URL.Path, "mlflow-artifacts"):
					http.Redirect(w, r, "http://"+storage+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				default:
					fake.ServeHTTP(w, r)
				}
			}))
			c.env["MLFLOW_TRACKING_URI"] = "http://" + host
			p, err := openBounded("models:/m@a", registry.Bounds{Env: c.env})
			if err != nil {
				t.Fatal(err)
			}
			_, err = publish(t.Context(), p, true, &registry.Upload{Files: []registry.File{file("a.pt", "A")}})
			var data string
			if err == nil {
				data, _, err = fetch(t.Context(), p, t.TempDir())
			}
			switch {
			case c.want == "" && (err != nil || data != "A"):
				t.Errorf("got %q, %v", data, err)
			case c.want != "" && (!isRegistryError(err) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A server says where artifacts are, how they are called and how large they
// are; none of that is believed.
func TestMLflowLies(t *testing.T) {
	limits := map[string]bool{"endless": true, "folders": true, "many": true, "huge": true}
	for name, c := range map[string]struct {
		uri   string // of the artifacts
		files string // what the list has
		want  string
		exit  int
	}{
		"traversal":          {"mlflow-artifacts:/0/r", `{"path":"../a.pt"}`, "not a name of a file", cli.ExitRegistry},
		"parent":             {"mlflow-artifacts:/0/r", `{"path":"..","is_dir":true}`, "not a name of a file", cli.ExitRegistry},
		"absolute":           {"mlflow-artifacts:/0/r", `{"path":"/etc/a.pt"}`, "not a name of a file", cli.ExitRegistry},
		"backslash":          {"mlflow-artifacts:/0/r", `{"path":"..\\a.pt"}`, "not a name of a file", cli.ExitRegistry},
		"line":               {"mlflow-artifacts:/0/r", `{"path":"a\n.pt"}`, "not a name of a file", cli.ExitRegistry},
		"endless":            {"mlflow-artifacts:/0/r", `{"path":"d","is_dir":true}`, "depth", cli.ExitUnsupported},
		"huge":               {"mlflow-artifacts:/0/r", `{"path":"a.pt","file_size":1000000000000000}`, "size of", cli.ExitUnsupported},
		"longer":             {"mlflow-artifacts:/0/r", `{"path":"a.pt","file_size":2}`, "not as long as it says", cli.ExitRegistry},
		"size as text":       {"mlflow-artifacts:/0/r", `{"path":"a.pt","file_size":"1"}`, "", cli.ExitOK},
		"no size":            {"mlflow-artifacts:/0/r", `{"path":"a.pt"}`, "", cli.ExitOK},
		"no JSON":            {"mlflow-artifacts:/0/r", `?`, "not what MLflow answers", cli.ExitRegistry},
		"folders":            {"mlflow-artifacts:/0/r", strings.Repeat(`{"path":"d","is_dir":true},`, 1000) + `{"path":"a.pt"}`, "number of folders", cli.ExitUnsupported},
		"another case":       {"mlflow-artifacts:/0/r", `{"Path":"a.pt"}`, "not what MLflow answers", cli.ExitRegistry},
		"twice":              {"mlflow-artifacts:/0/r", `{"path":"a.pt","path":"b.pt"}`, "not what MLflow answers", cli.ExitRegistry},
		"bidi":               {"mlflow-artifacts:/0/r", `{"path":"a\u202etp.exe"}`, "not a name of a file", cli.ExitRegistry},
		"many":               {"mlflow-artifacts:/0/r", strings.Repeat(`{"path":"a"},`, 10_000) + `{"path":"a.pt"}`, "number of artifacts", cli.ExitUnsupported},
		"large":              {"mlflow-artifacts:/0/r", `{"path":"` + strings.Repeat("a", 4<<20) + `"}`, "larger than", cli.ExitRegistry},
		"outside":            {"mlflow-artifacts:/../r", ``, "not a folder", cli.ExitRegistry},
		"another server":     {"mlflow-artifacts://other.example/0/r", ``, "does not hand out", cli.ExitUnsupported},
		"bucket":             {"s3://bucket/r", ``, `at a "s3" address`, cli.ExitUnsupported},
		"folder":             {"file:///mlruns/r", ``, "mlflow artifacts download", cli.ExitUnsupported},
		"path":               {"/mlruns/r", ``, "does not hand out", cli.ExitUnsupported},
		"Databricks":         {"dbfs:/databricks/r", ``, "does not hand out", cli.ExitUnsupported},
		"version of another": {"", ``, "another one", cli.ExitRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			server := "http://" + serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch strings.TrimPrefix(r.URL.Path, "/api/2.0/") {
				case "mlflow/model-versions/get":
					version := "1"
					if c.uri == "" {
						version = "2"
					}
					fmt.Fprintf(w, `{"model_version":{"version":"%s","status":"READY"}}`, version)
				case "mlflow/model-versions/get-download-uri":
					fmt.Fprintf(w, `{"artifact_uri":%q}`, c.uri)
				case "mlflow-artifacts/artifacts":
					if name == "folders" && r.URL.Query().Get("path") != "0/r" {
						io.WriteString(w, `{}`) // all in one
						return
					}
					fmt.Fprintf(w, `{"files":[%s]}`, c.files)
				default:
					io.WriteString(w, "A")
				}
			}))
			data, _, err := fetch(t.Context(), mlflowPlace(t, server, "m/1"), t.TempDir())
			if cli.ExitCode(err) != c.exit || err != nil && !strings.Contains(err.Error(), c.want) || err == nil && data != "A" {
				t.Errorf("got %q, %v (exit code %d), want %q (%d)", data, err, cli.ExitCode(err), c.want, c.exit)
			}
			if limit := errors.As(err, new(*model.LimitError)); limit != limits[name] {
				t.Errorf("got %v, a limit: %v", err, limit)
			}
		})
	}
}

// Where the server does not hand out artifacts, nothing can be published.
func TestMLflowElsewhere(t *testing.T) {
	fake := newFakeMLflow()
	fake.location = "s3://bucket/"
	_, err := publish(t.Context(), mlflowPlace(t, "http://"+serve(t, fake), "m"), false, &registry.Upload{Files: []registry.File{file("a.pt", "A")}})
	if cli.ExitCode(err) != cli.ExitUnsupported || !strings.Contains(err.Error(), "MLFLOW_EXPERIMENT_ID") {
		t.Errorf("got %v", err)
	}
	if len(fake.logged) != 0 || member(fake.runs["run0"], "info", "lifecycle_stage") != "deleted" {
		t.Errorf("left are %v and %v", fake.logged, fake.runs)
	}
}

// An MLmodel that is none ends a push before a version is made.
func TestMLmodelBroken(t *testing.T) {
	for _, text := range []string{"", "a: [", "- a", "a: b", "flavors: 1", "\x00", "a: &a [*a]\nflavors: *b"} {
		fake := newFakeMLflow()
		server := "http://" + serve(t, fake)
		register(t, server, "m", map[string]string{"MLmodel": text, "a.pt": "A"})
		_, base, err := fetch(t.Context(), mlflowPlace(t, server, "m/1"), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_, err = publish(t.Context(), mlflowPlace(t, server, "m"), false, &registry.Upload{Base: base, Files: []registry.File{file("a.pt", "B")}})
		if !errors.As(err, new(*model.FormatError)) || !strings.Contains(err.Error(), "MLmodel of models:/m/1") || fake.count("m") != 1 {
			t.Errorf("%q: got %v, and there are %d versions", text, err, fake.count("m"))
		}
	}
}
