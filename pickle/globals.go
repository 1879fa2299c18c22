package pickle

import (
	"slices"
	"strings"

	"lethe/model"
)

// use is what a pickle may do with a global.
type use uint8

const (
	named        use = iota // an argument only, never called: a class, a layout
	ordered                 // a call makes an OrderedDict
	mapping                 // a call makes a dict
	sequences               // a call makes a list
	tagged                  // a call returns its first argument: TorchScript says the type of a container so
	reconstructs            // a call makes an instance of its first argument, as protocols 0 and 1 do
	inert                   // a call, or a new instance, makes a value without behaviour
	rebuilds                // a call makes a tensor
	storages                // part of a persistent id: the class of a storage
	dtypes                  // an argument: the type of a tensor
	refused                 // part of PyTorch that makes tensors that model cannot hold
	unlisted                // not in the list: a class that Options.Inert lets pass, never called
)

// global is one entry of the closed list of what a pickle may refer to.
type global struct {
	module, name string
	use          use
	dtype        model.DType // of a storage class or a dtype; Invalid if model has none
}

func (g *global) String() string { return g.module + "." + g.name }

// untyped is the storage class that counts bytes instead of elements.
func (g *global) untyped() bool { return g.use == storages && g.name == "UntypedStorage" }

// unhashable reports whether Python refuses instances of an inert class as keys.
func (g *global) unhashable() bool {
	return slices.Contains([]string{"set", "bytearray", "Namespace", "SimpleNamespace", "slice", "_reconstruct"}, g.name)
}

// lookup returns the entry of a global, or nil if it is not in the list.
func lookup(module, name string) *global { return globals[[2]string{module, name}] }

// globals is the list that torch.load has for weights_only=True, with the
// inert values that training scripts like to put beside a state dict, and
// without what builds tensors other than strided views.
var globals = table(
	entries("collections", ordered, "OrderedDict"),
	entries("collections", mapping, "Counter", "defaultdict"),
	entries("collections", sequences, "deque"),
	entries("copy_reg", reconstructs, "_reconstructor"),
	entries("copyreg", reconstructs, "_reconstructor"),
	entries("__builtin__", inert, "bytearray", "bytes", "complex", "frozenset", "set", "slice", "xrange"),
	entries("builtins", inert, "bytearray", "bytes", "complex", "frozenset", "set", "slice", "range"),
	entries("__builtin__", named, "bool", "dict", "float", "int", "list", "str", "tuple", "long", "unicode", "object", "Ellipsis", "NotImplemented"),
	entries("builtins", named, "bool", "dict", "float", "int", "list", "str", "tuple", "object", "Ellipsis", "NotImplemented"),
	entries("_codecs", inert, "encode"),
	entries("argparse", inert, "Namespace"),
	entries("types", inert, "SimpleNamespace"),
	entries("inspect", named, "_empty"),
	entries("decimal", inert, "Decimal"),
	entries("fractions", inert, "Fraction"),
	entries("uuid", inert, "UUID"),
	entries("pathlib", inert, "Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
	entries("datetime", inert, "date", "datetime", "time", "timedelta", "timezone"),
	entries("numpy", inert, "dtype"),
	entries("numpy", named, "ndarray"),
	entries("numpy.core.multiarray", inert, "scalar", "_reconstruct"),
	entries("numpy._core.multiarray", inert, "scalar", "_reconstruct"),
	entries("torch", inert, "Size", "device"),
	entries("torch.torch_version", inert, "TorchVersion"),
	entries("torch", named, "Tensor", "ByteTensor", "CharTensor", "ShortTensor", "IntTensor", "LongTensor", "HalfTensor", "FloatTensor", "DoubleTensor"),
	entries("torch.nn.parameter", named, "Parameter", "Buffer"),
	entries("torch.serialization", inert, "_get_layout"),
	entries("numpy", named, "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "str_"),
	entries("torch.jit._pickle", tagged, "build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag"),

	entries("torch._utils", rebuilds, "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3",
		"_rebuild_parameter", "_rebuild_parameter_with_state"),
	entries("torch._tensor", rebuilds, "_rebuild_from_type_v2"),
	entries("torch._utils", refused, "_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor",
		"_rebuild_nested_tensor", "_rebuild_meta_tensor_no_storage", "_rebuild_wrapper_subclass",
		"_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
		"_rebuild_xla_tensor", "_rebuild_mlc_tensor", "_rebuild_ort_tensor"),

	typed(storages, map[string]model.DType{
		"BoolStorage": model.Bool, "ByteStorage": model.Uint8, "CharStorage": model.Int8,
		"ShortStorage": model.Int16, "IntStorage": model.Int32, "LongStorage": model.Int64,
		"HalfStorage": model.Float16, "BFloat16Storage": model.BFloat16, "FloatStorage": model.Float32,
		"DoubleStorage": model.Float64, "ComplexFloatStorage": model.Complex64, "ComplexDoubleStorage": model.Complex128,
	}),
	entries("torch", storages, "QInt8Storage", "QInt32Storage", "QUInt8Storage", "QUInt4x2Storage", "QUInt2x4Storage"),
	entries("torch.storage", storages, "UntypedStorage"),

	typed(dtypes, map[string]model.DType{
		"bool": model.Bool, "uint8": model.Uint8, "int8": model.Int8, "int16": model.Int16,
		"int32": model.Int32, "int64": model.Int64, "float16": model.Float16, "bfloat16": model.BFloat16,
		"float32": model.Float32, "float64": model.Float64, "complex64": model.Complex64, "complex128": model.Complex128,
		"uint16": model.Uint16, "uint32": model.Uint32, "uint64": model.Uint64, "complex32": model.Complex32,
		"float8_e4m3fn": model.Float8E4M3FN, "float8_e4m3fnuz": model.Float8E4M3FNUZ, "float8_e5m2": model.Float8E5M2,
		"float8_e5m2fnuz": model.Float8E5M2FNUZ, "float8_e8m0fnu": model.Float8E8M0FNU,
	}),
	entries("torch", dtypes, "float4_e2m1fn_x2", "qint8", "qint32", "quint8", "quint4x2", "quint2x4"),
)

func table(parts ...[]*global) map[[2]string]*global {
	m := map[[2]string]*global{}
	for _, part := range parts {
		for _, g := range part {
			m[[2]string{g.module, g.name}] = g
		}
	}
	return m
}

func entries(module string, u use, names ...string) []*global {
	var gs []*global
	for _, name := range names {
		gs = append(gs, &global{module: module, name: name, use: u})
	}
	return gs
}

// typed lists members of torch that stand for an element type.
func typed(u use, names map[string]model.DType) []*global {
	var gs []*global
	for name, d := range names {
		gs = append(gs, &global{module: "torch", name: name, use: u, dtype: d})
	}
	return gs
}

// codeRunning are modules of Python, with those below them, whose functions a
// malicious pickle calls. A function that runs commands has no place in a
// checkpoint at all, not even inert: the next reader may run it.
var codeRunning = strings.Fields("__builtin__ builtins _io _operator _osx_support _pickle _posixsubprocess _pyrepl aiohttp ast asyncio bdb " +
	"cProfile cPickle cgi cloudpickle code codeop codecs commands ctypes dill distutils doctest ensurepip " +
	"http httplib idlelib imp importlib inspect io joblib lib2to3 linecache marshal modulefinder " +
	"multiprocessing nt numpy.distutils numpy.f2py numpy.testing operator os pdb pickle pip pkgutil platform popen2 " +
	"posix profile pty py_compile pydoc requests runpy setuptools shelve shutil smtplib socket sqlite3 " +
	"ssl subprocess sys tarfile telnetlib tempfile threading timeit torch._dynamo torch._inductor torch.fx " +
	"torch.hub torch.jit torch.load torch.package torch.serialization torch.utils trace types urllib " +
	"urllib2 venv webbrowser xmlrpc zipfile zipimport")

// runsCode reports whether a global, by its full name, is one of these modules or
// in one.
func runsCode(global string) bool {
	return slices.ContainsFunc(codeRunning, func(top string) bool { return global == top || strings.HasPrefix(global, top+".") })
}
