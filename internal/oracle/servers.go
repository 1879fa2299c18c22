package oracle

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// DockerRegistry starts Debian's docker-registry on a free port of this machine
// and returns its host and port. Without the program the test is skipped, or
// fails if REQUIRE_ORACLE=1.
func DockerRegistry(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		Missing(t, "no docker-registry")
	}
	dir, host := t.TempDir(), freePort(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", dir, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "http://"+host+"/v2/", exec.Command(program, "serve", config))
	return host
}

// MLflow starts an MLflow server with a new store of its own on a free port of
// this machine and returns its address. It wants a password; until the test ends,
// address and credentials are in the environment. Without the Python modules
// mlflow and flask_wtf the test is skipped, or fails if REQUIRE_ORACLE=1. It takes
// seconds.
func MLflow(t *testing.T) string {
	t.Helper()
	python := Python(t, "mlflow, flask_wtf") // the second comes with mlflow[auth]
	dir, host := t.TempDir(), freePort(t)
	address, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1", "--host", address, "--port", port,
		"--backend-store-uri", "sqlite:///"+filepath.ToSlash(filepath.Join(dir, "mlflow.db")), "--artifacts-destination", filepath.Join(dir, "artifacts"))
	cmd.Dir = dir // where it keeps its users
	// Without the cache, each request takes the time that guessing a password
	// should take.
	config := filepath.Join(dir, "auth.ini")
	text := "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///auth.db\nadmin_username = admin\nadmin_password = " + mlflowPassword +
		"\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 3600\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "MLFLOW_AUTH_CONFIG_PATH="+config, "MLFLOW_FLASK_SERVER_SECRET_KEY=key",
		"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "PYTHONDONTWRITEBYTECODE=1")
	start(t, "http://"+host+"/health", cmd)
	t.Setenv("MLFLOW_TRACKING_URI", "http://"+host)
	t.Setenv("MLFLOW_TRACKING_USERNAME", "admin")
	t.Setenv("MLFLOW_TRACKING_PASSWORD", mlflowPassword)
	return "http://" + host
}

const mlflowPassword = "a long password"

// freePort returns an address on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the test ends and returns when it answers at url.
func start(t *testing.T, url string, cmd *exec.Cmd) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = time.Second // children may still have the output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		// What is killed leaves its children behind.
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	for {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%v: %v\n%s", cmd.Args, err, &output)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
