package mlflow

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// editMLmodel makes an MLmodel true of a version with an ONNX model, whose
// checkpoint is at its old place or not.
func editMLmodel(text []byte, kept bool) ([]byte, error) {
	m := mlmodel{RunID: "run", ModelID: "m-1", Location: "mlflow-artifacts:/0/m", Kept: kept, ONNX: "m.onnx", Has: func(string) bool { return true }}
	edited, _, err := m.edit(text)
	return edited, err
}

// Whatever an MLmodel holds, what is made of it is one again, and true.
func FuzzMLmodel(f *testing.F) {
	mlmodelText, err := os.ReadFile("testdata/MLmodel")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(mlmodelText), "", "flavors: {}", "flavors: {onnx: {data: a}, python_function: {loader_module: mlflow.onnx, data: a}}",
		"a: &a {b: *a}\nflavors: {x: *a}", "run_id: &r 1\nx: *r\nflavors: {}", "flavors: {p: &p {}}\nx: *p", "? [a]\n: b\nflavors: {[a]: {}}", "flavors: {}\nflavors: {}",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, kept bool) {
		edited, err := editMLmodel(text, kept)
		if err != nil {
			return
		}
		var got struct {
			RunID   string                    `yaml:"run_id"`
			Flavors map[string]map[string]any `yaml:"flavors"`
		}
		var tree yaml.Node
		if err := yaml.Unmarshal(edited, &tree); err != nil {
			t.Fatalf("%v in\n%s", err, edited)
		}
		// A person may have written the same key twice; then nobody can read it.
		if yaml.Unmarshal(edited, &got) == nil && (got.RunID != "run" || got.Flavors["onnx"]["data"] != "m.onnx") {
			t.Errorf("got %+v of\n%s", got, edited)
		}
	})
}
