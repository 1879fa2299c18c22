package evidence

import (
	"bytes"
	"encoding"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lethe/verify"
)

func schema(t *testing.T) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	b, err := os.ReadFile("../docs/schema/report-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s, tree.(map[string]any)
}

// The schema takes the golden report and none with one member more or less,
// except for those that may be missing.
func TestSchema(t *testing.T) {
	s, _ := schema(t)
	validate := func(text []byte) error {
		tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(tree)
	}
	if err := validate(read(t, "report.json")); err != nil {
		t.Fatal(err)
	}
	optional := []string{"score", "data", "onnx_parity", "audit", "method", "course", "files.onnx", "data.test_sha256", "data.test_before", "data.test_after", "label", "detail", "onnx_go_skipped"}
	for _, m := range mutants(read(t, "report.json")) {
		path, missing := strings.CutSuffix(m.path, " missing")
		more := strings.HasSuffix(m.path, " with a member more")
		may := false
		for _, o := range optional {
			may = may || path == o || strings.HasSuffix(path, "]."+o)
		}
		if missing && !may && validate(m.text) == nil {
			t.Errorf("%s is taken", m.path)
		}
		if more && validate(m.text) == nil {
			t.Errorf("%s is taken", m.path)
		}
	}
}

// The schema knows the members of the report in the code, and no other.
func TestSchemaIsComplete(t *testing.T) {
	_, root := schema(t)
	defs := root["$defs"].(map[string]any)
	resolve := func(v any) map[string]any {
		s, _ := v.(map[string]any)
		if name, ok := s["$ref"].(string); ok {
			s = defs[strings.TrimPrefix(name, "#/$defs/")].(map[string]any)
		}
		return s
	}
	var walk func(path string, ty reflect.Type, s map[string]any)
	walk = func(path string, ty reflect.Type, s map[string]any) {
		switch ty.Kind() {
		case reflect.Pointer:
			walk(path, ty.Elem(), s)
		case reflect.Slice:
			walk(path+"[]", ty.Elem(), resolve(s["items"]))
		case reflect.Struct:
			if ty.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
				return // a string
			}
			properties, _ := s["properties"].(map[string]any)
			known := map[string]bool{}
			for i := range ty.NumField() {
				name, _, _ := strings.Cut(ty.Field(i).Tag.Get("json"), ",")
				if name == "-" {
					continue
				}
				known[name] = true
				if properties[name] == nil {
					t.Errorf("%s.%s is not in the schema", path, name)
					continue
				}
				walk(path+"."+name, ty.Field(i).Type, resolve(properties[name]))
			}
			for name := range properties {
				if !known[name] {
					t.Errorf("%s.%s is in the schema alone", path, name)
				}
			}
		}
	}
	walk("report", reflect.TypeFor[verify.Report](), root)
	if schema := root["properties"].(map[string]any)["schema"].(map[string]any)["const"]; schema != verify.ReportSchema {
		t.Errorf("the schema is of %v, the code writes %s", schema, verify.ReportSchema)
	}
}
