package mlflow

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// mlmodelFile is the document that says what the files of a model in MLflow are.
const mlmodelFile = "MLmodel"

// mlmodel is what is true of a version that was made from another.
type mlmodel struct {
	RunID, ModelID string // ModelID is "" on servers without logged models
	Location       string // URI of the artifacts
	Created        time.Time
	Size           int64  // of the artifacts so far
	Kept           bool   // the checkpoint is the same kind of file at the same place
	ONNX           string // name of the ONNX model, "" if there is none
	Has            func(name string) bool
}

// edit makes the MLmodel of the version before true of this one and returns what
// is gone from it. Flavours whose files are there stay, so does all that is not
// about files or identity.
func (m mlmodel) edit(text []byte) (edited []byte, gone []string, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil, errors.New("it is not a mapping")
	}
	top := doc.Content[0]
	// MLflow before 3 has a random identifier of its own there.
	id := m.ModelID
	if id == "" {
		id = m.RunID
	}
	set(top, "run_id", m.RunID)
	set(top, "model_uuid", id)
	if m.ModelID != "" {
		set(top, "model_id", m.ModelID)
		set(top, "artifact_path", m.Location)
	} else {
		remove(top, "model_id")
		set(top, "artifact_path", "model")
	}
	set(top, "utc_time_created", m.Created.Format("2006-01-02 15:04:05.000000"))
	set(top, "model_size_bytes", m.Size)
	if example := get(top, "saved_input_example_info"); example != nil {
		if file := get(example, "artifact_path"); file == nil || !m.Has(file.Value) {
			remove(top, "saved_input_example_info")
		}
	}
	flavors := get(top, "flavors")
	if flavors == nil || flavors.Kind != yaml.MappingNode {
		return nil, nil, errors.New("it has no mapping of flavors")
	}
	gone = m.flavors(flavors)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&doc), e.Close()); err != nil {
		return nil, nil, err
	}
	// What is gone may have been an anchor of something that is not.
	if err := yaml.Unmarshal(b.Bytes(), new(yaml.Node)); err != nil {
		return nil, nil, errors.New("edited, " + strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return b.Bytes(), gone, nil
}

// flavors keeps the flavours that are true, adds that of the ONNX model, and
// tells the others.
func (m mlmodel) flavors(flavors *yaml.Node) (gone []string) {
	const onnx, generic = "onnx", "python_function"
	for i := 0; i < len(flavors.Content); {
		name, flavor := flavors.Content[i].Value, flavors.Content[i+1]
		ofONNX := name == onnx
		if loader := get(flavor, "loader_module"); name == generic && loader != nil && loader.Value == "mlflow.onnx" {
			ofONNX = true
		}
		if ofONNX && m.ONNX == "" || !ofONNX && !m.Kept || flavor.Kind != yaml.MappingNode {
			gone = append(gone, "flavor "+name)
			flavors.Content = slices.Delete(flavors.Content, i, i+2)
			continue
		}
		if ofONNX {
			set(flavor, "data", m.ONNX)
		}
		i += 2
	}
	if m.ONNX != "" && get(flavors, onnx) == nil {
		flavors.Content = append(flavors.Content, scalar(onnx), &yaml.Node{Kind: yaml.MappingNode})
		set(get(flavors, onnx), "data", m.ONNX)
	}
	return gone
}

// get returns the value at a key of a mapping, or nil.
func get(mapping *yaml.Node, key string) *yaml.Node {
	if mapping.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if mapping.Content[i].Value == key {
				return mapping.Content[i+1]
			}
		}
	}
	return nil
}

// set gives a key of a mapping a string or an integer.
func set(mapping *yaml.Node, key string, value any) {
	node := scalar(fmt.Sprint(value))
	if n, ok := value.(int64); ok {
		node.Tag, node.Value = "!!int", strconv.FormatInt(n, 10)
	}
	if old := get(mapping, key); old != nil {
		node.Anchor = old.Anchor
		*old = *node
		return
	}
	mapping.Content = append(mapping.Content, scalar(key), node)
}

func remove(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

// scalar returns a string; one that looks like something else gets quotes.
func scalar(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}
