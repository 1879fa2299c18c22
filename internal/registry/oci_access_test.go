package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"lethe/internal/cli"
	"lethe/internal/registry"
	"lethe/internal/registry/oci"
	"lethe/model"
)

func TestReferences(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for ref, want := range map[string]string{ // what is refused, "" if nothing
		"oci://r.example/m:v1":                       "",
		"oci://r.example/m@" + digest:                "",
		"oci://r.example/a/b:v1@" + digest + "#x.pt": "",
		"oci://r.example:5000/m:v1":                  "",
		"oci+http://localhost/m:v1":                  "",
		"oci+http://localhost:5000/m:v1":             "",
		"oci+http://127.9.9.9:5000/m:v1":             "",
		"oci+http://[::1]:5000/m:v1":                 "",
		"oci+http://r.example/m:v1":                  "loopback",
		"oci+http://localhost.example/m:v1":          "loopback",
		"oci+http://10.0.0.1/m:v1":                   "loopback",
		"oci+http://[fe80::1]/m:v1":                  "loopback",
		"oci://r.example/m":                          "neither a tag nor a digest",
		"oci://r.example":                            "not of the form",
		"oci://r.example/m:":                         "neither a tag nor a digest",
		"oci://r.example/m@sha256:12":                "not of the form",
		"oci://r.example/m:v 1":                      "not of the form",
		"oci://r.example/m:v/1@" + digest:            "not of the form",
		"oci://r.example/M:v1":                       "not of the form",
		"oci://user:secret@r.example/m:v1":           "not of the form",
		"oci://":                                     "not of the form",
	} {
		_, err := oci.Open(ref, registry.NewClient())
		if want == "" && err != nil || want != "" && (cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", ref, err, want)
		}
	}
	for ref, want := range map[string]bool{"oci://x": true, "oci+http://x": true, "x.pt": false, "./oci://x": false, "-": false} {
		if registry.IsReference(ref) != want {
			t.Errorf("%s is a reference: %v, want %v", ref, !want, want)
		}
	}
	for _, out := range []string{"oci://r.example/m@" + digest, "oci://r.example/m:v1@" + digest} {
		p, err := oci.Open(out, registry.NewClient())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context(), true); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("output %s: got %v", out, err)
		}
	}
}

// basic asks for a user and a password.
func basic(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ada" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// bearer asks for a token, which it gives for a user and a password.
func bearer(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && ok && user == "ada" && password == "s3cret":
			fmt.Fprint(w, `{"token":"t0ken"}`)
		case r.URL.Path == "/token":
			http.Error(w, "{}", http.StatusUnauthorized)
		case r.Header.Get("Authorization") == "Bearer t0ken":
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
			http.Error(w, "{}", http.StatusUnauthorized)
		}
	})
}

func TestCredentials(t *testing.T) {
	bin := t.TempDir()
	helper := "#!/bin/sh\nread host\n[ \"$1\" = get ] && echo '{\"ServerURL\":\"'$host'\",\"Username\":\"ada\",\"Secret\":\"s3cret\"}'\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-lethetest"), []byte(helper), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, c := range []struct {
		name, config string // %s is the host
		want         string // part of the error
	}{
		{"password", `{"auths":{"%s":{"auth":"YWRhOnMzY3JldA=="}}}`, ""},
		{"helper", `{"credHelpers":{"%s":"lethetest"}}`, ""},
		{"store", `{"credsStore":"lethetest","x":"%s"}`, ""},
		{"none", `{"x":"%s"}`, "wants other credentials"},
		{"wrong", `{"auths":{"%s":{"auth":"YWRhOndyb25n"}}}`, "wants other credentials"},
		{"no such helper", `{"credHelpers":{"%s":"nonesuch"}}`, "docker-credential-nonesuch"},
		{"broken", `{"auths":%s`, "Docker configuration"},
	} {
		for name, wrap := range map[string]func(http.Handler) http.Handler{"basic": basic, "bearer": bearer} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				host := serve(t, wrap(inProcess()))
				dir := t.TempDir()
				t.Setenv("DOCKER_CONFIG", dir)
				if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, c.config, host), 0o600); err != nil {
					t.Fatal(err)
				}
				p := place(t, "%s/m:v1", host)
				_, err := publish(t.Context(), p, false, &registry.Upload{Files: []registry.File{file("a.pt", "A")}})
				var data string
				if err == nil {
					data, _, err = fetch(t.Context(), p, dir)
				}
				switch {
				case c.want == "" && (err != nil || data != "A"):
					t.Errorf("got %q, %v", data, err)
				case c.want != "" && (!isRegistryError(err) || !strings.Contains(err.Error(), c.want)):
					t.Errorf("got %v (exit code %d), want %q", err, cli.ExitCode(err), c.want)
				case err != nil && strings.Contains(err.Error(), "s3cret"):
					t.Errorf("the error tells the password: %v", err)
				}
			})
		}
	}
}

// A registry says how large a layer is; that is not believed.
func TestTooLarge(t *testing.T) {
	h := inProcess()
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/huge") {
			m := `{"schemaVersion":2,"config":{"mediaType":"` + empty + `"},"layers":[{"mediaType":"x/y","digest":"sha256:` + strings.Repeat("0", 64) + `","size":1000000000000000,"annotations":{"org.opencontainers.image.title":"a.pt"}}]}`
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			w.Header().Set("Content-Length", fmt.Sprint(len(m)))
			io.WriteString(w, m)
			return
		}
		h.ServeHTTP(w, r)
	}))
	_, _, err := fetch(t.Context(), place(t, "%s/m:huge", host), t.TempDir())
	var limit *model.LimitError
	if !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
}

// What is beside the weights comes along, weights that were not edited do not.
// A manifest is refused that another reader takes for something else, and so is
// a name that leads out of the model's folder.
func TestReadRefuses(t *testing.T) {
	host := serve(t, inProcess())
	push(t, host, "good", "application/vnd.test", empty, "{}", layer{"application/octet-stream", "a.pt", "A"})
	repo := &remote.Repository{PlainHTTP: true}
	repo.Reference.Registry, repo.Reference.Repository = host, "models/other"
	_, r, err := repo.FetchReference(t.Context(), "good")
	if err != nil {
		t.Fatal(err)
	}
	good, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"as it was":          {"", "", ""},
		"index too":          {`"layers":`, `"manifests":[],"layers":`, "is an index too"},
		"first version too":  {`"layers":`, `"fsLayers":[],"layers":`, "fsLayers"},
		"capitals":           {`"layers":`, `"LAYERS":`, `"LAYERS" is not written as "layers"`},
		"capitals too":       {`"layers":`, `"Layers":[],"layers":`, `"Layers" is not written as "layers"`},
		"twice":              {`"layers":`, `"layers":[],"layers":`, "comes twice"},
		"capitals inside":    {`"digest":`, `"Digest":`, `"Digest" is not written as "digest"`},
		"index in capitals":  {`"layers":`, `"MANIFESTS":[],"layers":`, `"MANIFESTS" is not written as`},
		"title up":           {`"a.pt"`, `"../../m.pt"`, "not a path inside a model"},
		"title up from in":   {`"a.pt"`, `"a/../../m.pt"`, "not a path inside a model"},
		"title from root":    {`"a.pt"`, `"/etc/m.pt"`, "not a path inside a model"},
		"title of Windows":   {`"a.pt"`, `"..\\m.pt"`, "not a path inside a model"},
		"title with ESC":     {`"a.pt"`, `"\u001b]0;m.pt"`, "not a path inside a model"},
		"title in bidi":      {`"a.pt"`, `"\u202etp.m"`, "not a path inside a model"},
		"title of the place": {`"a.pt"`, `"."`, "not a path inside a model"},
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(strings.Replace(string(good), c.old, c.new, 1))
			tag := strings.ReplaceAll(name, " ", "-")
			if err := repo.PushReference(t.Context(), content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, b), bytes.NewReader(b), tag); err != nil {
				t.Fatal(err)
			}
			data, _, err := fetch(t.Context(), place(t, "%s/models/other:%s", host, tag), t.TempDir())
			var format *model.FormatError
			switch {
			case c.want == "" && (err != nil || data != "A"):
				t.Errorf("got %q, %v", data, err)
			case c.want != "" && (!errors.As(err, &format) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %q, %v, want %q", data, err, c.want)
			}
		})
	}
	// The same of a name that only the archive has.
	push(t, host, "archive", "application/vnd.test", modelPack, "{}", layer{weights + "tar", "", archive(t, false, "../../m.pt", "A")})
	if _, _, err := fetch(t.Context(), place(t, "%s/models/other:archive", host), t.TempDir()); !errors.As(err, new(*model.FormatError)) {
		t.Errorf("a name that leads out of an archive: got %v", err)
	}
	// Nor is such a name published.
	for _, name := range []string{"../../m.pt", "/m.pt", "a/../m.pt", `..\m.pt`, "m\n.pt"} {
		_, err := publish(t.Context(), place(t, "%s/models/out:v1", host), true, &registry.Upload{Files: []registry.File{file(name, "A")}})
		if !errors.As(err, new(*registry.ReferenceError)) {
			t.Errorf("published as %q: got %v", name, err)
		}
	}
}
