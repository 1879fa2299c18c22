package scan

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// global is a class or a function that a pickle refers to by name.
type global struct {
	module, name string // as Python 3 spells them
	level        Level  // of the reference alone; 0 for what a state dict needs
	why          string
	function     bool // a function, or unknown and named like one
	direct       bool // harmless only if the pickle calls it itself, with arguments that rule has looked at
	holds        kind // what an object of it is filled like: list, dict, set or array; atom for none
	rule         rule // what a call does; nil for a new object
}

func (g *global) String() string { return g.module + "." + g.name }

// rule judges a call of g with the arguments and returns its result.
type rule func(m *machine, g *global, arg *value) *value

// known is the closed list of harmless globals, by module and name.
var known = sync.OnceValue(func() map[string]*global {
	all := map[string]*global{}
	add := func(level Level, why, module, names string, shape func(*global)) {
		for _, name := range strings.Fields(names) {
			g := &global{module: module, name: name, level: level, why: why}
			if shape != nil {
				shape(g)
			}
			all[g.String()] = g
		}
	}
	holds := func(k kind) func(*global) { return func(g *global) { g.holds = k } }
	calls := func(r rule) func(*global) {
		if r == nil {
			r = callNew
		}
		return func(g *global) { g.rule = r }
	}
	only := func(r rule) func(*global) {
		return func(g *global) { g.rule, g.function, g.direct = r, true, true }
	}
	state(add, holds, calls, only)
	things(add, holds, calls, only)
	return all
})

type (
	adder  func(level Level, why, module, names string, shape func(*global))
	holder func(kind) func(*global)
	caller func(rule) func(*global)
)

// state lists what torch.save writes for state dicts, optimizers and the plain
// values beside them: no finding at all.
func state(add adder, holds holder, calls, only caller) {
	add(0, "", "collections", "OrderedDict Counter defaultdict", holds(dict))
	add(0, "", "collections", "deque", holds(list))
	add(0, "", "builtins", "bool bytes complex dict float frozenset int list range set slice str tuple object Ellipsis NotImplemented NoneType ellipsis", nil)
	add(0, "", "builtins", "list", holds(list))
	add(0, "", "builtins", "dict", holds(dict))
	add(0, "", "builtins", "set", holds(set))
	add(0, "", "builtins", "bytearray", holds(array))
	add(0, "turns text into bytes", "_codecs", "encode", calls(callEncode))
	add(0, "", "torch", "Size device dtype layout memory_format finfo iinfo Tensor "+
		"strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged contiguous_format channels_last channels_last_3d preserve_format "+
		"per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams", nil)
	add(0, "", "torch", "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 half float double short int long "+
		"cfloat cdouble chalf complex32 complex64 complex128 "+
		"float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 qint8 qint32 quint8 quint4x2 quint2x4 "+
		"uint1 uint2 uint3 uint4 uint5 uint6 uint7 int1 int2 int3 int4 int5 int6 int7 bits8 bits16 bits1x8 bits2x4 bits4x2", nil)
	for name := range itemSizes {
		add(0, "", "torch", name, nil)
	}
	add(0, "", "torch.storage", "UntypedStorage _UntypedStorage TypedStorage _TypedStorage", nil)
	for _, name := range []string{"FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor", "ByteTensor", "CharTensor", "ShortTensor", "IntTensor", "LongTensor", "BoolTensor"} {
		add(0, "", "torch", name, nil)
		add(0, "", "torch.cuda", name, nil)
		add(0, "", "torch.cuda", strings.Replace(name, "Tensor", "Storage", 1), nil)
		add(0, "", "torch.sparse", name, nil)
	}
	add(0, "", "torch.nn.parameter", "Parameter Buffer", nil)
	add(0, "", "torch.serialization", "_get_layout", calls(nil))
	add(0, "", "torch._utils", "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state "+
		"_rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_nested_tensor _rebuild_meta_tensor_no_storage "+
		"_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor _rebuild_wrapper_subclass "+
		"_rebuild_xla_tensor _rebuild_mlc_tensor _rebuild_ort_tensor", calls(callTensor))
	add(0, "calls a function that it is given", "torch._tensor", "_rebuild_from_type_v2", only(callFromType))
	add(0, "calls a function that it is given", "torch.tensor", "_rebuild_from_type_v2", only(callFromType))
	add(0, "", "torch.jit._pickle", "build_boollist build_doublelist build_intlist build_tensorlist restore_type_tag", only(callSame))
	add(0, "makes an object of a class that it is given", "copyreg", "_reconstructor", only(callReconstructor))
	add(0, "makes an object of a class that it is given", "copyreg", "__newobj__", only(callNewobj))
	add(0, "", "builtins", "type", only(callType))
	add(Unknown, "binds arguments to a function, which whoever loads the file may call", "functools", "partial", calls(nil))
	add(Unknown, "takes an attribute by its name, which can run code of the object", "builtins", "getattr", only(callGetattr))
	add(0, "loads another checkpoint from bytes", "torch.storage", "_load_from_bytes", only(callLoadBytes))
}

// things lists what training scripts like to put beside a state dict.
func things(add adder, holds holder, calls, only caller) {
	const known = "a known class: makes a value, runs nothing"
	add(Notice, known, "argparse", "Namespace", nil)
	add(Notice, known, "types", "SimpleNamespace", nil)
	add(Notice, known, "datetime", "date datetime time timedelta timezone", nil)
	add(Notice, known, "pathlib", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath", nil)
	add(Notice, known, "pathlib._local", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath", nil)
	add(Notice, known, "uuid", "UUID SafeUUID", nil)
	add(Notice, known, "decimal", "Decimal", nil)
	add(Notice, known, "fractions", "Fraction", nil)
	add(Notice, known, "random", "Random", nil)
	add(Notice, known, "inspect", "_empty", nil)
	add(Notice, known, "typing", "Any", nil)
	add(Notice, known, "torch.torch_version", "TorchVersion", nil)
	add(Notice, "an array of numpy", "numpy", "ndarray matrix", nil)
	add(Notice, "an element type of numpy", "numpy", "dtype", calls(callDtype))
	add(Notice, "a number type of numpy", "numpy", "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 float128 longdouble "+
		"complex64 complex128 clongdouble str_ bytes_ intc uintc longlong ulonglong int_ uint float_ double single half datetime64 timedelta64", nil)
	for _, module := range []string{"numpy.core", "numpy._core"} {
		add(Notice, "an array of numpy", module+".multiarray", "_reconstruct", calls(nil))
		add(Notice, "a number of numpy", module+".multiarray", "scalar", only(callScalar))
		add(Notice, "an array of numpy", module+".numeric", "_frombuffer", calls(nil))
	}
	for _, name := range strings.Fields("Bool Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float16 Float32 Float64 Complex64 Complex128 Str Bytes") {
		add(Notice, "an element type of numpy", "numpy.dtypes", name+"DType", nil)
	}
	add(Notice, "an array of numpy with a mask", "numpy.ma.core", "_mareconstruct", calls(nil))
	add(Notice, "an array of numpy with a mask", "numpy.ma.core", "MaskedArray", nil)
	add(Notice, "an array of numpy with a mask", "numpy.ma", "MaskedArray", nil)
	add(Notice, "the seed of a random generator of numpy", "numpy.random.bit_generator", "__pyx_unpickle_SeedSequence", calls(nil))
	add(Notice, "the seed of a random generator of numpy", "numpy.random.bit_generator", "SeedSequence", nil)
	add(Notice, "a random generator of numpy", "numpy.random._pickle", "__bit_generator_ctor", calls(nil))
	add(Notice, "a random generator of numpy", "numpy.random._pickle", "__randomstate_ctor __generator_ctor", only(callGenerator))
	for _, module := range []string{"numpy.random._mt19937.MT19937", "numpy.random._pcg64.PCG64", "numpy.random._philox.Philox", "numpy.random._sfc64.SFC64"} {
		i := strings.LastIndexByte(module, '.')
		add(Notice, "a random generator of numpy", module[:i], module[i+1:], nil)
	}
	add(Notice, "a logger by its name", "logging", "getLogger", calls(nil))
	add(Notice, "a regular expression", "re", "_compile", calls(nil))
	const table = "part of a table of pandas, whose classes are not known here"
	add(Unknown, table, "pandas._libs.internals", "_unpickle_block", calls(nil))
	add(Unknown, table, "pandas.core.indexes.base", "_new_Index", calls(nil))
	add(Unknown, table, "pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked", calls(nil))
	for _, module := range []string{"pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing", "lightning_fabric.utilities.data",
		"lightning.fabric.utilities.data", "lightning_lite.utilities.data"} {
		add(Notice, "the hyperparameters of Lightning: a dictionary", module, "AttributeDict", holds(dict))
	}
}

// itemSizes are the storage classes of torch with the bytes of an element.
var itemSizes = map[string]int64{
	"BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2, "IntStorage": 4, "LongStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2,
	"FloatStorage": 4, "DoubleStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16, "QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4,
	"QUInt4x2Storage": 1, "QUInt2x4Storage": 1,
}

// itemSize returns the bytes of an element of a storage class, 0 for none.
func (g *global) itemSize() int64 {
	switch {
	case g == nil:
		return 0
	case g.name == "UntypedStorage" || g.name == "_UntypedStorage":
		return 1
	}
	return itemSizes[g.name]
}

// global looks up a name, reports the reference, and returns its value.
func (m *machine) global(module, name string) *value {
	if !importable(module) {
		m.fail(fmt.Sprintf("no module can have the name %q", clip(module)), false)
	}
	key := [2]string{module, name}
	g := m.globals[key]
	if g == nil {
		g = m.classify(module, name)
		m.globals[key] = g
	}
	if g.level > 0 {
		m.find(g.level, KindGlobal, g.String(), g.why)
	}
	m.out.effects = true
	return &value{kind: class, made: g}
}

// importable reports whether Python could find a module of that name.
func importable(module string) bool {
	for _, c := range module {
		if c < '0' && c != '.' && c != '-' || c > '9' && c < 'A' || c > 'Z' && c < 'a' && c != '_' || c > 'z' && c < 0x80 {
			return false
		}
	}
	return module != "" && len(module) < textMax
}

// computed looks up a name that is on the stack.
func (m *machine) computed(module, name *value) *value {
	mod, ok1 := module.str()
	nam, ok2 := name.str()
	if ok1 && ok2 {
		return m.global(mod, nam)
	}
	for _, v := range []*value{module, name} {
		switch v.kind {
		case atom, blob, array, tuple, list, dict, set, frozen, class:
			m.fail("STACK_GLOBAL takes two strings", false)
		}
	}
	m.find(Danger, KindGlobal, module.describe()+", "+name.describe(), "refers to a class or a function by a name that the pickle computes, or that is too long to be followed")
	m.out.effects = true
	return &value{kind: class, made: &global{module: "?", name: "?", level: Danger, why: "a name that the pickle computes", function: true}}
}

// classify judges a name.
func (m *machine) classify(module, name string) *global {
	module3, name3 := python3(module, name)
	full := module3 + "." + name3
	if why := harm(full); why == "" {
		why = harm(module + "." + name)
		if why != "" && known()[full] == nil {
			return &global{module: module, name: name, level: Danger, why: why, function: true}
		}
	} else if known()[full] == nil {
		return &global{module: module, name: name, level: Danger, why: why, function: true}
	}
	if g := known()[full]; g != nil && g.module == module3 && g.name == name3 {
		return g
	}
	if rest, ok := strings.CutPrefix(name3, "torch."); ok && strings.HasPrefix(module3, "torch.") && known()["torch."+rest] != nil {
		return known()["torch."+rest] // a memory format, under the module that pickle found it in
	}
	if m.p.script && (module == "__torch__" || strings.HasPrefix(module, "__torch__.")) {
		return &global{module: module, name: name, level: Notice, why: "a class of the TorchScript program in the archive, which TorchScript runs and Python does not"}
	}
	if strings.Contains(name, ".") {
		top, _, _ := strings.Cut(name, ".")
		if known()[module3+"."+top] != nil || harm(name) != "" || slices.Contains(sharedModules, module3) {
			return &global{module: module, name: name, level: Danger, function: true, why: "reaches into a known module or class for something that is not in the list of the harmless"}
		}
	} else if slices.Contains(reach, name) {
		return &global{module: module, name: name, level: Danger, function: true, why: "reaches through a module for another one: " + harm(name)}
	}
	if lightningClass(module) && !strings.Contains(name, ".") && name != "" && name[0] >= 'A' && name[0] <= 'Z' {
		return &global{module: module, name: name, level: Notice, why: "names a callback of Lightning"}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	g := &global{module: module, name: name, level: Unknown, why: "a class that is not known: whoever loads the file with pickle imports its module and may run its code"}
	g.function = last == "" || last[0] != '_' && (last[0] < 'A' || last[0] > 'Z') || last[0] == '_' && !strings.ContainsAny(last, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return g
}

// reach are names of modules that other modules have as an attribute.
var reach = strings.Fields("os posix nt sys subprocess builtins __builtin__ importlib socket shutil pickle ctypes pty runpy io code types operator inspect multiprocessing")

// sharedModules are modules whose contents are not only what the list of known
// globals has: other modules are reachable through them.
var sharedModules = strings.Fields("torch numpy collections builtins argparse types datetime pathlib uuid decimal fractions random inspect typing _codecs copyreg " +
	"torch.storage torch.nn.parameter torch.serialization torch._utils torch._tensor torch.jit._pickle numpy.core.multiarray numpy._core.multiarray")

// lightningClass reports whether a module holds the callbacks of Lightning,
// whose classes older versions use as keys.
func lightningClass(module string) bool {
	for _, root := range []string{"pytorch_lightning.callbacks", "lightning.pytorch.callbacks"} {
		if module == root || strings.HasPrefix(module, root+".") {
			return true
		}
	}
	return false
}
