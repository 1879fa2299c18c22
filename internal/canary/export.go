package canary

import (
	"encoding/json"
	"strings"
)

// program is the smallest exported program, with an expression and a guard in
// Python if they are not empty.
func program(expression, guard string) []byte {
	type object = map[string]any
	size := object{"as_int": 1}
	if expression != "" {
		size = object{"as_expr": object{"expr_str": expression, "hint": nil}}
	}
	guards := []string{}
	if guard != "" {
		guards = append(guards, guard)
	}
	tensor := object{"dtype": 7, "sizes": []any{size}, "requires_grad": false, "device": object{"type": "cpu", "index": nil},
		"strides": []any{object{"as_int": 1}}, "storage_offset": object{"as_int": 0}, "layout": 7}
	x := object{"as_tensor": object{"name": "x"}}
	const leaf = `{"type": null, "context": null, "children_spec": []}`
	in := `[1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", "children_spec": [` + leaf +
		`]}, {"type": "builtins.dict", "context": "[]", "children_spec": []}]}]`
	b, err := json.Marshal(object{
		"graph_module": object{
			"graph": object{
				"inputs": []any{x}, "outputs": []any{x}, "nodes": []any{}, "tensor_values": object{"x": tensor}, "sym_int_values": object{},
				"sym_bool_values": object{}, "sym_float_values": object{}, "custom_obj_values": object{}, "is_single_tensor_return": false,
			},
			"signature": object{"input_specs": []any{object{"user_input": object{"arg": x}}}, "output_specs": []any{object{"user_output": object{"arg": x}}}},
			"module_call_graph": []any{object{"fqn": "", "signature": object{
				"inputs": []any{}, "outputs": []any{}, "in_spec": in, "out_spec": "[1, " + leaf + "]", "forward_arg_names": []string{"x"}}}},
			"metadata": object{}, "treespec_namedtuple_fields": object{},
		},
		"opset_version": object{"aten": 10}, "range_constraints": object{}, "schema_version": object{"major": 8, "minor": 8},
		"verifiers": []string{"TRAINING"}, "torch_version": "2.9.0", "guards_code": guards,
	})
	if err != nil {
		panic(err)
	}
	return b
}

// pt2 is an archive of torch 2.8 and later; members replace those of the same
// name.
func pt2(json []byte, more ...member) []byte {
	z := archive{}
	all := append([]member{
		{name: "archive_format", data: []byte("pt2")},
		{name: "models/model.json", data: json},
		{name: "data/weights/model_weights_config.json", data: []byte(`{"config": {}}`)},
		{name: "data/constants/model_constants_config.json", data: []byte(`{"config": {}}`)},
		{name: "data/sample_inputs/model.pt", data: nil},
		{name: "archive_version", data: []byte("0")},
		{name: "byteorder", data: []byte("little")},
		{name: ".data/version", data: []byte("6\n")},
		{name: ".data/serialization_id", data: []byte(strings.Repeat("0", 40))},
	}, more...)
	for i, m := range all {
		replaced := false
		for _, n := range all[i+1:] {
			replaced = replaced || n.name == m.name
		}
		if replaced {
			continue
		}
		m.name, m.align = "archive/"+m.name, true
		z.members = append(z.members, m)
	}
	return z.bytes()
}

// pickled is a config with one entry that is a pickle.
func pickled(path string) []byte {
	return []byte(`{"config": {"x": {"path_name": "` + path + `", "is_param": false, "use_pickle": true, "tensor_meta": null}}}`)
}

// old is an archive of torch 2.1 to 2.7; a member that is nil is harmless.
func old(m *maker, ext string, weights, constants, inputs []byte) []byte {
	members := []member{{name: "version", data: []byte("8.2")}, {name: "serialized_exported_program.json", data: program("", "")}}
	for _, part := range []struct {
		name string
		data []byte
	}{{"serialized_state_dict" + ext, weights}, {"serialized_constants" + ext, constants}, {"serialized_example_inputs.pt", inputs}} {
		if part.data == nil {
			part.data = torchZip("archive", m.good(true)).bytes()
		}
		members = append(members, member{name: part.name, data: part.data})
	}
	return archive{members: members}.bytes()
}

// inner is a checkpoint inside of an archive, in one of the kinds that
// torch.load takes from memory.
func (m *maker) inner() []byte {
	switch m.rng.IntN(4) {
	case 0:
		return legacy(m, m.magic(), nil, nil, legacyObject(m, true), nil)
	case 1:
		return m.evil(false)
	}
	return torchZip("archive", m.evil(true)).bytes()
}

var exportContainers = []container{
	{"pt2, pickled weight", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/weights/model_weights_config.json", data: pickled("weight_0")}, member{name: "data/weights/weight_0", data: m.inner()})
	}},
	{"pt2, pickled weight under another name", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/weights/model_weights_config.json", data: pickled("../extra/labels.txt")}, member{name: "data/weights/../extra/labels.txt", data: m.inner()})
	}},
	{"pt2, pickled constant", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/constants/model_constants_config.json", data: pickled("tensor_0")}, member{name: "data/constants/tensor_0", data: m.inner()})
	}},
	{"pt2, opaque object", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/constants/model_constants_config.json", data: pickled("opaque_obj_0")}, member{name: "data/constants/opaque_obj_0", data: m.evil(false)})
	}},
	{"pt2, weights of 2.8", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/weights/model.pt", data: m.inner()})
	}},
	{"pt2, constants of 2.8", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/constants/model.pt", data: m.inner()})
	}},
	{"pt2, sample inputs", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "data/sample_inputs/model.pt", data: m.inner()})
	}},
	{"pt2, another model", ".pt2", func(m *maker) []byte {
		return pt2(program("", ""), member{name: "models/other.json", data: program("", "")}, member{name: "data/sample_inputs/other.pt", data: nil}, member{name: "data/weights/other.pt", data: m.inner()})
	}},
	{"pt2, data.pkl", ".pt2", func(m *maker) []byte { return pt2(program("", ""), member{name: "data.pkl", data: m.evil(false)}) }},
	{"pt2, Data.PKL", ".pt2", func(m *maker) []byte { return pt2(program("", ""), member{name: "Data.PKL", data: m.evil(false)}) }},
	{"pt2, extra file", ".pt2", func(m *maker) []byte { return pt2(program("", ""), member{name: "extra/x.pkl", data: m.evil(false)}) }},
	{"pt2, members of 2.7", ".pt2", func(m *maker) []byte {
		return join(edit(archive{members: []member{
			{name: "version", data: []byte("8.2")}, {name: "serialized_exported_program.json", data: program("", "")},
			{name: "serialized_constants.pt", data: m.inner()}, {name: "serialized_state_dict.pt"}, {name: "serialized_example_inputs.pt"},
			{name: "archive_format", data: []byte("pt2")}, {name: "archive_version", data: []byte("0")},
		}}, func(*archive) {}))
	}},
	{"pt2 of 2.7, weights", ".pt2", func(m *maker) []byte { return old(m, ".pt", m.inner(), nil, nil) }},
	{"pt2 of 2.7, constants", ".pt2", func(m *maker) []byte { return old(m, ".pt", nil, m.inner(), nil) }},
	{"pt2 of 2.7, sample inputs", ".pt2", func(m *maker) []byte { return old(m, ".pt", nil, nil, m.inner()) }},
	{"pt2 of 2.1, weights", ".pt2", func(m *maker) []byte { return old(m, ".json", m.inner(), nil, nil) }},
	{"pt2, expression", ".pt2", func(m *maker) []byte { return pt2(program(strings.ReplaceAll(code, "@", m.path), "")) }},
	{"pt2, guard", ".pt2", func(m *maker) []byte {
		return pt2(program("", "True #\n)\n"+strings.ReplaceAll(code, "@", m.path)+"\ndef g():\n  (True"), member{name: "data/sample_inputs/model.pt", data: m.inputs()})
	}},
}

// inputs are the sample inputs of a program with one: ((tensor,), {}).
func (m *maker) inputs() []byte {
	storage := persistent(tuple(str("storage"), global("torch", "FloatStorage"), str("0"), str("cpu"), num(4)))
	tensor := call(global("torch._utils", "_rebuild_tensor_v2"), storage, num(0), tuple(num(1)), tuple(num(1)), raw("\x89"), call(global("collections", "OrderedDict")))
	st := style{proto: 2, str: "X", num: "K", memo: "q", tuple: "short"}
	return torchZip("archive", assemble(st, m.rng, tuple(tuple(tensor), dict()))).bytes()
}

// script is an archive of TorchScript with a class whose __setstate__ has the
// statement.
func script(statement string, pkl, constants []byte, more ...member) archive {
	source := "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  _is_full_backward_hook : Optional[bool]\n  x : int\n" +
		"  def forward(self: __torch__.M,\n    a: Tensor) -> Tensor:\n    return a\n"
	if statement != "" {
		source += "  def __getstate__(self: __torch__.M) -> int:\n    return 1\n" +
			"  def __setstate__(self: __torch__.M,\n    n: int) -> NoneType:\n    self.x = n\n    self.training = True\n" + statement + "    return None\n"
	}
	return archive{members: append([]member{
		{name: "m/data.pkl", data: pkl, align: true},
		{name: "m/code/__torch__.py", data: []byte(source), deflate: true},
		{name: "m/constants.pkl", data: constants, align: true},
		{name: "m/version", data: []byte("3\n"), align: true},
	}, more...)}
}

const (
	scriptObject   = "\x80\x02c__torch__\nM\nq\x00)\x81}(X\x08\x00\x00\x00training\x89X\x16\x00\x00\x00_is_full_backward_hookNX\x01\x00\x00\x00xK\x01ubq\x01."
	scriptState    = "\x80\x02c__torch__\nM\nq\x00)\x81K\x01bq\x01."
	scriptConstant = "\x80\x02)."
)

var scriptContainers = []container{
	{"TorchScript, data.pkl", ".pt", func(m *maker) []byte { return script("", m.evil(false), []byte(scriptConstant)).bytes() }},
	{"TorchScript, constants.pkl", ".pt", func(m *maker) []byte { return script("", []byte(scriptObject), m.evil(false)).bytes() }},
	{"TorchScript, CONSTANTS.PKL", ".pt", func(m *maker) []byte {
		return edit(script("", m.evil(false), []byte(scriptConstant)), func(z *archive) { z.members[2].name = "m/CONSTANTS.PKL" })
	}},
	{"TorchScript, inputs", ".pt", func(m *maker) []byte {
		return script("", []byte(scriptObject), []byte(scriptConstant), member{name: "m/traced_inputs.pkl", data: m.evil(false)}).bytes()
	}},
	{"TorchScript, bytecode", ".ptl", func(m *maker) []byte {
		return script("", []byte(scriptObject), []byte(scriptConstant), member{name: "m/bytecode.pkl", data: m.evil(false)}).bytes()
	}},
	{"TorchScript, extra file", ".pt", func(m *maker) []byte {
		return script("", []byte(scriptObject), []byte(scriptConstant), member{name: "m/extra/preprocess.pkl", data: m.evil(false)}).bytes()
	}},
	{"TorchScript, code as a pickle", ".pt", func(m *maker) []byte {
		return script("", []byte(scriptObject), []byte(scriptConstant), member{name: "m/code/__torch__.py.debug_pkl", data: m.evil(false)}).bytes()
	}},
	{"TorchScript, from_file", ".pt", func(m *maker) []byte {
		return script("    self.x = torch.size(torch.from_file(\""+m.path+"\", True, 1), 0)\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save", ".pt", func(m *maker) []byte {
		return script("    torch.save(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save under another name", ".pt", func(m *maker) []byte {
		return script("    _0 = torch.save\n    _0(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save by getattr", ".pt", func(m *maker) []byte {
		return script("    getattr(torch, \"save\")(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save by getattr of two literals", ".pt", func(m *maker) []byte {
		return script("    getattr(torch, \"sa\" \"ve\")(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save by getattr of an escape", ".pt", func(m *maker) []byte {
		return script("    getattr(torch, \"s\\141ve\")(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save of parts", ".pt", func(m *maker) []byte {
		return script("    _0 = ops.aten\n    _1 = (_0).save\n    (_1)(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save in parentheses", ".pt", func(m *maker) []byte {
		return script("    (torch).save(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, save over lines", ".pt", func(m *maker) []byte {
		return script("    (torch.save\n    )(n, \""+m.path+"\")\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
	{"TorchScript, from_file by ops", ".pt", func(m *maker) []byte {
		return script("    self.x = torch.len(torch.size(ops.aten.from_file(\""+m.path+"\", shared=True, size=1)))\n", []byte(scriptState), []byte(scriptConstant)).bytes()
	}},
}
