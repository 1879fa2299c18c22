package scan

import (
	"encoding/binary"
	"strings"
	"testing"
)

func ggufOf(tensors, values uint64, template string) string {
	b := binary.LittleEndian.AppendUint32([]byte("GGUF"), 3)
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, tensors), values)
	for _, s := range []string{"tokenizer.chat_template", template} {
		if s == template {
			b = binary.LittleEndian.AppendUint32(b, 8)
		}
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	return string(b)
}

// Texts beside weights that make a loader run or read something, and ordinary texts
// that look like them.
func TestTexts(t *testing.T) {
	const attack = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
	st := func(header string) string {
		return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + "\x00\x00\x00\x00"
	}
	for _, c := range []struct{ what, text, want string }{
		{"Keras, a Lambda layer in JSON", `{"class_name": "Sequential", "config": {"layers": [{"class_name": "L\u0061mbda", "config": {}}]}}`, "danger"},
		{"Keras, a module in JSON", `{"module": "os", "class_name": "system", "config": {}}`, "danger"},
		{"Keras, a function of Python", `{"module": "builtins", "class_name": "function", "config": "eval"}`, "danger"},
		{"Keras, a module that is not known", `{"module": "my.layers", "class_name": "L", "config": {}}`, "unknown"},
		{"Keras", `{"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, "activation": {"module": "builtins", "class_name": "function", "config": "relu"}}}`, "clean"},
		{"Keras without weights", string(zipOf(t, entry{"config.json", `{"module": "os", "class_name": "system"}`}, entry{"metadata.json", "{}"})), "danger"},
		{"YAML, a call", "lr: 0.1\nx: !!python/object/apply:os.system ['true']\n", "danger"},
		{"YAML, a tag in full", "- !<tag:yaml.org,2002:python/name:os.system> ''\n", "danger"},
		{"a text about YAML", "Tags such as `!!python/object` are refused.\n", "clean"},
		{"hydra, a command", "model:\n  _target_: os.system\n", "danger"},
		{"hydra, JSON", `{"model": {"_target_": "subprocess.run"}}`, "danger"},
		{"hydra", "optimizer:\n  _target_: torch.optim.Adam\n  lr: 0.1\n", "clean"},
		{"a template", attack, "danger"},
		{"a template in JSON", `{"chat_template": "{{ x['_' ~ '_globals__'] }}{% if ''.__class__ %}"}`, "danger"},
		{"a template in a list", `{"chat_template": [{"name": "a", "template": "x.__globals__"}]}`, "danger"},
		{"an ordinary template", `{"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}`, "clean"},
		{"words of a vocabulary", `{"chat_template": "x", "model": {"vocab": {"__globals__": 1}}}`, "clean"},
		{"a list of shards", `{"weight_map": {"a": "model-00001-of-00002.safetensors"}}`, "clean"},
		{"shards upwards", `{"weight_map": {"a": "../../x.bin"}}`, "danger"},
		{"shards elsewhere", `{"weight_map": {"a": "C:\\x.bin"}}`, "danger"},
		{"shards at the root", `{"weight_map": {"a": "/x.bin"}}`, "danger"},
		{"code of transformers", `{"auto_map": {"AutoModel": "modeling.Net"}}`, "unknown"},
		{"JSON that is cut", `{"auto_map": {"AutoModel": "modeling.Net"`, "unknown"},
		{"a template in GGUF", ggufOf(0, 1, attack), "danger"},
		{"GGUF", ggufOf(0, 1, "{{ messages }}"), "clean"},
		{"GGUF, numbers that are too large", ggufOf(1<<60, 1, "x"), "incomplete"},
		{"safetensors, a type", st(`{"a":{"dtype":"PY","shape":[1],"data_offsets":[0,4]}}`), "notice"},
		{"safetensors, metadata", st(`{"__metadata__":{"a":1},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), "notice"},
		{"safetensors, a name", st(`{"a\u0000b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), "notice"},
		{"machine code in a checkpoint", string(zipOf(t, entry{"m/data.pkl", "}."}, entry{"m/data/x.so", "\x7fELF..."})), "danger"},
	} {
		if r := scanBytes(t, []byte(c.text)); r.Verdict() != c.want {
			t.Errorf("%s: %s, want %s", c.what, summary(r), c.want)
		}
	}
	far := strings.Repeat("a: b\n", window/5) + "x: !!python/name:os.system\n"
	if r := scanBytes(t, []byte(far)); r.Verdict() != "danger" {
		t.Errorf("YAML behind much else: %s", summary(r))
	}
}
