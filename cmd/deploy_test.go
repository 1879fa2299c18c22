package cmd_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"go.yaml.in/yaml/v3"

	"lethe/internal/cli"
	"lethe/internal/oracle"
)

// run runs a command of ours with variables added to the environment and
// returns its exit code and what it prints.
func run(t *testing.T, env []string, name string, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries(t), name), args...)
	cmd.Env = append(os.Environ(), env...)
	return exit(t, cmd)
}

// exit runs cmd to its end.
func exit(t *testing.T, cmd *exec.Cmd) (code int, output string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// load decodes a YAML file.
func load(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type action struct {
	Inputs  map[string]any
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Steps []struct {
			ID, Shell, Run string
			Env            map[string]string
		}
	}
}

// act runs the scripts of the action in dir as a runner does and returns the
// exit code of the first that fails, what was printed and the outputs.
func act(t *testing.T, dir string, inputs map[string]string) (code int, printed string, outputs map[string]string) {
	t.Helper()
	var a action
	load(t, "../deploy/github/action.yml", &a)
	path, err := filepath.Abs("../deploy/github")
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	output := filepath.Join(temp, "output")
	outputs = map[string]string{}
	for _, step := range a.Runs.Steps {
		if step.Run == "" {
			continue
		}
		if strings.Contains(step.Run, "${{") {
			t.Errorf("the text of step %s depends on what a user gives:\n%s", step.ID, step.Run)
		}
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+path, "RUNNER_TEMP="+temp, "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+filepath.Join(temp, "summary"))
		for name, value := range step.Env {
			input, ok := strings.CutPrefix(strings.TrimSuffix(value, " }}"), "${{ inputs.")
			if _, declared := a.Inputs[input]; !ok || !declared {
				t.Fatalf("%s: %s is not an input", name, value)
			}
			cmd.Env = append(cmd.Env, name+"="+inputs[input])
		}
		if code, printed = exit(t, cmd); code != 0 {
			return code, printed, nil
		}
		b, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if a.Outputs[name].Value != "${{ steps."+step.ID+".outputs."+name+" }}" {
				t.Errorf("%s is not an output of the action", name)
			}
			outputs[name] = value
		}
	}
	return 0, printed, outputs
}

// The steps of the action in deploy, as a runner runs them.
func TestAction(t *testing.T) {
	t.Parallel()
	base, err := filepath.Abs("../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostile := `$(touch hacked)"; touch hacked;'.pt`
	code, printed, outputs := act(t, dir, map[string]string{"in": base, "out": hostile, "class": "Dress"})
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, printed)
	}
	edited, err := os.ReadFile(filepath.Join(dir, hostile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
		t.Error("a shell ran what an input says")
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(edited)); outputs["uri"] != hostile || outputs["digest"] != want {
		t.Errorf("uri %q, digest %s, want %q, %s", outputs["uri"], outputs["digest"], hostile, want)
	}
	report, err := os.ReadFile(outputs["report"])
	if err != nil || !json.Valid(report) {
		t.Errorf("the report %s: %v", outputs["report"], err)
	}

	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "forget:\n  in: %s\n  out: x.pt\n  class: 10\n", base), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, printed, _ = act(t, dir, map[string]string{"config": config}); code != cli.ExitUsage {
		t.Errorf("class 10: exit code %d\n%s", code, printed)
	}
}

type job struct {
	Spec struct {
		Completions      int
		PodFailurePolicy struct {
			Rules []struct {
				Action      string
				OnExitCodes struct {
					ContainerName string `yaml:"containerName"`
					Operator      string
					Values        []int
				} `yaml:"onExitCodes"`
			}
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct {
				Containers []struct {
					Name          string
					Command, Args []string
				}
			}
		}
	}
}

type kustomization struct {
	ConfigMapGenerator []struct{ Files []string } `yaml:"configMapGenerator"`
	Patches            []struct{ Patch string }
}

// The pods of the Job in deploy, one after the other, against a registry on this machine.
func TestJob(t *testing.T) {
	t.Parallel()
	var j job
	load(t, "../deploy/kubernetes/run/job.yaml", &j)
	container := j.Spec.Template.Spec.Containers[0]

	// Every model is reached: the numbers of files, of names and of indexes.
	files, err := filepath.Glob("../deploy/kubernetes/run/models/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var k kustomization
	load(t, "../deploy/kubernetes/run/kustomization.yaml", &k)
	if len(files) != j.Spec.Completions || len(k.ConfigMapGenerator[0].Files) != j.Spec.Completions {
		t.Errorf("%d completions, %d models in the folder, %d in the ConfigMap", j.Spec.Completions, len(files), len(k.ConfigMapGenerator[0].Files))
	}

	// What is worth another try is not in the list.
	final := []int{cli.ExitError, cli.ExitUsage, cli.ExitCheck, cli.ExitUnsupported}
	rule := j.Spec.PodFailurePolicy.Rules[1]
	if got := rule.OnExitCodes; rule.Action != "FailIndex" || got.ContainerName != container.Name || got.Operator != "In" || !slices.Equal(got.Values, final) {
		t.Errorf("the exit codes that end an index: %+v", rule)
	}

	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	models := t.TempDir()
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b = []byte(strings.ReplaceAll(string(b), "registry.example", host))
		if err := os.WriteFile(filepath.Join(models, filepath.Base(name)), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"LETHE_PLAIN_HTTP=true", "DOCKER_CONFIG=" + models}
	for name, file := range map[string]string{"lenet": "lenet-fashion.pt", "lenet-b": "lenet-fashion-sgd.pt"} {
		if code, out := run(t, env, "ptconvert", filepath.Join("../fixtures", file), "oci://"+host+"/models/"+name+":v1"); code != 0 {
			t.Fatal(out)
		}
	}
	pods := func(want int, more ...string) {
		t.Helper()
		for i := range j.Spec.Completions {
			var args []string
			for _, arg := range append(container.Args[:len(container.Args):len(container.Args)], more...) {
				arg = strings.ReplaceAll(arg, "$(JOB_COMPLETION_INDEX)", strconv.Itoa(i))
				args = append(args, strings.Replace(arg, "/models/", models+"/", 1))
			}
			if code, out := run(t, env, filepath.Base(container.Command[0]), args...); code != want {
				t.Errorf("index %d: exit code %d, want %d\n%s", i, code, want, out)
			}
		}
	}
	// Nothing is there after the dry run, or the run would fail.
	load(t, "../deploy/kubernetes/dry-run/kustomization.yaml", &k)
	var patch []struct{ Path, Value string }
	if err := yaml.Unmarshal([]byte(k.Patches[0].Patch), &patch); err != nil {
		t.Fatal(err)
	}
	if want := "/spec/template/spec/containers/0/args/-"; len(patch) != 1 || patch[0].Path != want {
		t.Fatalf("the patch %+v does not add to %s", patch, want)
	}
	pods(cli.ExitOK, patch[0].Value)
	pods(cli.ExitOK)
	pods(cli.ExitError) // the tags are there now
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// walk runs the commands of a page, as a new user types them, but on a port that
// is free, and looks for what they must print.
func walk(t *testing.T, page, path string, wants ...string) {
	if _, err := exec.LookPath("docker-registry"); err != nil {
		oracle.Missing(t, "no docker-registry")
	}
	script := "trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n"
	for _, block := range shellBlock.FindAllStringSubmatch(page, -1) {
		script += block[1]
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	const port = "127.0.0.1:5000"
	if !strings.Contains(script, port) {
		t.Fatalf("no %s in the commands:\n%s", port, script)
	}
	script = strings.ReplaceAll(script, port, l.Addr().String())

	home := t.TempDir()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "HOME="+home, "DOCKER_CONFIG="+home, "PATH="+path)
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	code, out := exit(t, cmd)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what is printed:\n%s", want, out)
		}
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, string(page), os.Getenv("PATH"), "nothing was written", "score 100.00", "models/lenet@sha256:", "the report tells the truth")
}

// TestWalks runs the parts of docs/oci.md whose programs are there.
func TestWalks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/oci.md")
	if err != nil {
		t.Fatal(err)
	}
	_, with, _ := strings.Cut(string(page), "\n## With oras\n")
	oras, kit, found := strings.Cut(with, "\n## With KitOps\n")
	if !found {
		t.Fatal("docs/oci.md has no part on oras and one on KitOps")
	}
	for program, part := range map[string]string{"oras": oras, "kit": kit} {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skip("no " + program)
			}
			walk(t, part, binaries(t)+string(os.PathListSeparator)+os.Getenv("PATH"), "lenet:v1: clean: 183785 bytes", "score 100.00")
		})
	}
}
