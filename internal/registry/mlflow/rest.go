package mlflow

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"lethe/internal/registry"
	"lethe/internal/strictjson"
)

// Variables that MLflow's own client reads too.
const (
	trackingURI      = "MLFLOW_TRACKING_URI"
	trackingToken    = "MLFLOW_TRACKING_TOKEN"
	trackingUser     = "MLFLOW_TRACKING_USERNAME"
	trackingPassword = "MLFLOW_TRACKING_PASSWORD"
	experimentID     = "MLFLOW_EXPERIMENT_ID"
)

// Paths of the REST interface, after the address of the server.
const (
	pathAPI       = "api/2.0/mlflow/"
	pathArtifacts = "api/2.0/mlflow-artifacts/artifacts"
)

// Error codes of MLflow.
const (
	codeMissing = "RESOURCE_DOES_NOT_EXIST"
	codeExists  = "RESOURCE_ALREADY_EXISTS"
)

// server is the REST interface of an MLflow server.
type server struct {
	client     *registry.Client
	address    *url.URL
	auth       string // of the header Authorization, "" for none
	experiment string // for new runs; "" is that of the base
}

// newServer reads the environment. The error says what is wrong there, as
// the end of a sentence about a reference.
func newServer(c *registry.Client, getenv func(string) string) (*server, error) {
	s := &server{client: c, experiment: getenv(experimentID)}
	text := getenv(trackingURI)
	if text == "" {
		return nil, errors.New("needs the address of an MLflow server in " + trackingURI + ", such as https://mlflow.example")
	}
	var err error
	// The text of the error would have the address, and with it a password.
	if s.address, err = url.Parse(text); err != nil || s.address.Scheme != "http" && s.address.Scheme != "https" || s.address.Host == "" {
		return nil, errors.New("needs an MLflow server, and " + trackingURI + " is not an address of one; it begins with https:// or http://")
	}
	if s.address.User != nil {
		return nil, errors.New("is of a server whose address in " + trackingURI + " has a user name or password; set " + trackingUser + " and " + trackingPassword + " instead")
	}
	s.address.RawQuery, s.address.Fragment = "", ""
	user, password, token := getenv(trackingUser), getenv(trackingPassword), getenv(trackingToken)
	switch { // in the order of MLflow's client
	case user != "" && password != "":
		s.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	case token != "":
		s.auth = "Bearer " + token
	}
	if s.auth != "" && s.address.Scheme == "http" && !registry.Loopback(s.address.Host) {
		return nil, errors.New("is of a server that " + trackingURI + " reaches without TLS: the token or password could be read on the way; use https://, or unset " + trackingToken + ", " + trackingUser + " and " + trackingPassword)
	}
	return s, nil
}

// send sends one request and returns the answer if it is a success. content
// returns its body and may be nil.
func (s *server) send(ctx context.Context, method, path string, query url.Values, content func() io.Reader, size int64) (*http.Response, error) {
	u := s.address.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if content != nil {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(content()), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = size
		if size == 0 {
			req.Body = http.NoBody
		}
	}
	req.Header.Set("User-Agent", "lethe")
	if s.auth != "" {
		req.Header.Set("Authorization", s.auth)
	}
	if strings.HasPrefix(path, pathAPI) && content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	answer := &errcode.ErrorResponse{Method: method, URL: u, StatusCode: resp.StatusCode}
	var reason struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return nil, err
	}
	// Without a reason, the status alone is told.
	if json.Unmarshal(b, &reason) == nil && reason.Code != "" {
		answer.Errors = errcode.Errors{{Code: reason.Code, Message: reason.Message}}
	}
	return nil, answer
}

// isCode reports whether an error is one that MLflow names with a code.
func isCode(err error, code string) bool {
	var answer *errcode.ErrorResponse
	return errors.As(err, &answer) && len(answer.Errors) == 1 && answer.Errors[0].Code == code
}

// call makes one call of the interface. in is a JSON document, or [url.Values]
// for a GET; out may be nil.
func (s *server) call(ctx context.Context, method, name string, in, out any) error {
	var (
		body  []byte
		query url.Values
		open  func() io.Reader
		err   error
	)
	if values, ok := in.(url.Values); ok {
		query = values
	} else {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		open = func() io.Reader { return bytes.NewReader(body) }
	}
	resp, err := s.send(ctx, method, pathAPI+name, query, open, int64(len(body)))
	if err != nil {
		return err
	}
	return decode(resp, out)
}

// decode reads an answer that is a JSON document.
func decode(resp *http.Response, out any) error {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, registry.MaxDocument+1))
	switch {
	case err != nil:
		return err
	case len(b) > registry.MaxDocument:
		return fmt.Errorf("the answer is larger than %d bytes", registry.MaxDocument)
	case out == nil:
		return nil
	}
	if err := strictjson.Decode(b, out); err != nil {
		// Not a FormatError: it is the server that is wrong, not a file.
		return fmt.Errorf("the answer is not what MLflow answers: %v", err)
	}
	return nil
}

// do makes a call that may be repeated.
func (s *server) do(ctx context.Context, method, name string, in, out any) error {
	return s.client.Try(ctx, func() error { return s.call(ctx, method, name, in, out) })
}

// create makes a call that makes something new each time. After an answer that
// got lost, find looks whether it was made. What a server still makes at that
// moment is not found, and is made twice.
func (s *server) create(ctx context.Context, name string, in, out any, find func() (found bool, err error)) error {
	first := true
	return s.client.Try(ctx, func() error {
		if !first {
			if found, err := find(); found || err != nil {
				return err
			}
		}
		first = false
		return s.call(ctx, http.MethodPost, name, in, out)
	})
}

// errSize reports an artifact that is not as long as the server says.
var errSize = errors.New("what the registry sends is not as long as it says")

// artifact is a file among the artifacts of a model.
type artifact struct {
	name string // path from the root of the model
	size int64  // -1 if the server does not say
}

// Bounds of what is listed.
const (
	maxArtifacts = 10_000
	maxFolders   = 1000 // each takes a request
	maxDepth     = 16
)

// list returns all files below a folder of the server's artifacts.
func (s *server) list(ctx context.Context, root string) ([]artifact, error) {
	var all []artifact
	folders := 0
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		if depth > maxDepth {
			return registry.TooLarge("depth of the folders of artifacts", int64(depth), maxDepth)
		}
		if folders++; folders > maxFolders {
			return registry.TooLarge("number of folders of artifacts", int64(folders), maxFolders)
		}
		var answer struct {
			Files []struct {
				Path string      `json:"path"`
				Dir  bool        `json:"is_dir"`
				Size json.Number `json:"file_size"`
			} `json:"files"`
		}
		if err := s.client.Try(ctx, func() error {
			answer.Files = nil
			resp, err := s.send(ctx, http.MethodGet, pathArtifacts, url.Values{"path": {path.Join(root, dir)}}, nil, 0)
			if err != nil {
				return err
			}
			return decode(resp, &answer)
		}); err != nil {
			return err
		}
		for _, f := range answer.Files {
			name := f.Path
			if !registry.IsArtifactName(name) || strings.Contains(name, "/") {
				return fmt.Errorf("the server lists an artifact %.100q, which is not a name of a file", name)
			}
			name = path.Join(dir, name)
			if f.Dir {
				if err := walk(name, depth+1); err != nil {
					return err
				}
				continue
			}
			size, err := f.Size.Int64()
			if err != nil {
				size = -1
			}
			if all = append(all, artifact{name, size}); len(all) > maxArtifacts {
				return registry.TooLarge("number of artifacts", int64(len(all)), maxArtifacts)
			}
		}
		return nil
	}
	err := walk("", 0)
	return all, err
}

// get copies an artifact of at most limit bytes; open returns where to, empty,
// for each attempt.
func (s *server) get(ctx context.Context, root string, a artifact, limit int64, open func() (io.Writer, error)) (size int64, err error) {
	what := fmt.Sprintf("size of %.100q in bytes", a.name)
	if a.size > limit {
		return 0, registry.TooLarge(what, a.size, limit)
	}
	err = s.client.Try(ctx, func() error {
		w, err := open()
		if err != nil {
			return err
		}
		resp, err := s.send(ctx, http.MethodGet, path.Join(pathArtifacts, escape(root), escape(a.name)), nil, nil, 0)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		size, err = io.Copy(w, io.LimitReader(resp.Body, limit+1))
		switch {
		case err != nil:
			return err
		case size > limit:
			return registry.TooLarge(what, size, limit)
		case a.size >= 0 && a.size != size:
			return errSize
		}
		return nil
	})
	return size, err
}

// put uploads an artifact. The server replaces what has its name.
func (s *server) put(ctx context.Context, root, name string, r io.ReaderAt, size int64) error {
	return s.client.Try(ctx, func() error {
		resp, err := s.send(ctx, http.MethodPut, path.Join(pathArtifacts, escape(root), escape(name)), nil,
			func() io.Reader { return io.NewSectionReader(r, 0, size) }, size)
		if err != nil {
			return err
		}
		return decode(resp, nil)
	})
}

// escape makes a path part of an address.
func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// mismatch is the error of content with another digest than it must have.
func mismatch(name string) error { return fmt.Errorf("%.100q: %w", name, content.ErrMismatchedDigest) }
