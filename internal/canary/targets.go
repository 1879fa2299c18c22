package canary

import "strings"

// A target is a function and the arguments with which it makes the canary,
// whose path takes the place of every @ in a string.
type target struct {
	module, name string
	args         []any
	then         []any // if not nil, the result is called with these
}

// with puts the path in place of every @.
func with(v any, path string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "@", path)
	case []byte:
		return []byte(strings.ReplaceAll(string(v), "@", path))
	case []any:
		var out []any
		for _, e := range v {
			out = append(out, with(e, path))
		}
		return out
	}
	return v
}

type a = []any

// code is a statement that makes the canary.
const code = "__import__('os').mkdir('@')"

// Functions and classes that make the canary when they are called with the
// arguments.
var direct = []target{
	{module: "os", name: "mkdir", args: a{"@"}},
	{module: "posix", name: "mkdir", args: a{"@"}},
	{module: "os", name: "makedirs", args: a{"@"}},
	{module: "os", name: "mknod", args: a{"@"}},
	{module: "os", name: "mkfifo", args: a{"@"}},
	{module: "posix", name: "symlink", args: a{"x", "@"}},
	{module: "os", name: "open", args: a{"@", 65}},
	{module: "os", name: "system", args: a{"touch @"}},
	{module: "posix", name: "system", args: a{"touch @"}},
	{module: "nt", name: "system", args: a{"mkdir @"}},
	{module: "os", name: "popen", args: a{"touch @"}},
	{module: "os", name: "spawnlp", args: a{0, "touch", "touch", "@"}},
	{module: "os", name: "execlp", args: a{"touch", "touch", "@"}},
	{module: "os", name: "posix_spawnp", args: a{"touch", a{"touch", "@"}, node(global("os", "environ"))}},
	{module: "subprocess", name: "call", args: a{a{"touch", "@"}}},
	{module: "subprocess", name: "run", args: a{a{"touch", "@"}}},
	{module: "subprocess", name: "Popen", args: a{a{"touch", "@"}}},
	{module: "subprocess", name: "check_output", args: a{a{"touch", "@"}}},
	{module: "subprocess", name: "getoutput", args: a{"touch @"}},
	{module: "subprocess", name: "getstatusoutput", args: a{"touch @"}},
	{module: "asyncio.subprocess", name: "subprocess.getoutput", args: a{"touch @"}},
	{module: "builtins", name: "eval", args: a{code}},
	{module: "builtins", name: "exec", args: a{code}},
	{module: "builtins", name: "open", args: a{"@", "w"}},
	{module: "io", name: "open", args: a{"@", "w"}},
	{module: "_io", name: "FileIO", args: a{"@", "w"}},
	{module: "_pyio", name: "open", args: a{"@", "w"}},
	{module: "codecs", name: "open", args: a{"@", "w"}},
	{module: "gzip", name: "open", args: a{"@", "wb"}},
	{module: "bz2", name: "open", args: a{"@", "wb"}},
	{module: "lzma", name: "open", args: a{"@", "wb"}},
	{module: "zipfile", name: "ZipFile", args: a{"@", "w"}},
	{module: "tarfile", name: "open", args: a{"@", "w"}},
	{module: "shelve", name: "open", args: a{"@"}},
	{module: "dbm.dumb", name: "open", args: a{"@", "n"}},
	{module: "sqlite3", name: "connect", args: a{"@"}},
	{module: "wave", name: "open", args: a{"@", "wb"}},
	{module: "mailbox", name: "Maildir", args: a{"@"}},
	{module: "logging", name: "FileHandler", args: a{"@"}},
	{module: "logging.config", name: "_resolve", args: a{"os.mkdir"}, then: a{"@"}},
	{module: "shutil", name: "copyfile", args: a{"/dev/null", "@"}},
	{module: "shutil", name: "copytree", args: a{"/proc/self/fdinfo", "@"}},
	{module: "tempfile", name: "mkdtemp", args: a{"", "@", "."}},
	{module: "tempfile", name: "mkstemp", args: a{"", "@", "."}},
	{module: "pty", name: "spawn", args: a{a{"touch", "@"}}},
	{module: "runpy", name: "_run_code", args: a{code, node(dict())}},
	{module: "code", name: "InteractiveInterpreter.runsource", args: a{node(call(global("code", "InteractiveInterpreter"))), code}},
	{module: "timeit", name: "timeit", args: a{code}},
	{module: "timeit", name: "main", args: a{a{"-n1", "-r1", "0 or " + code}}},
	{module: "cProfile", name: "run", args: a{code}},
	{module: "profile", name: "run", args: a{code}},
	{module: "trace", name: "Trace.run", args: a{node(call(global("trace", "Trace"), num(0), num(0))), code}},
	{module: "bdb", name: "Bdb.run", args: a{node(call(global("bdb", "Bdb"))), code}},
	{module: "doctest", name: "debug_script", args: a{code, true}},
	{module: "pydoc", name: "pipepager", args: a{"", "touch @"}},
	{module: "pydoc", name: "locate", args: a{"os.mkdir"}, then: a{"@"}},
	{module: "pkgutil", name: "resolve_name", args: a{"os:mkdir"}, then: a{"@"}},
	{module: "unittest.mock", name: "_importer", args: a{"os.mkdir"}, then: a{"@"}},
	{module: "imaplib", name: "IMAP4_stream", args: a{"touch @"}},
	{module: "webbrowser", name: "BackgroundBrowser.open", args: a{node(call(global("webbrowser", "BackgroundBrowser"), str("touch"))), "@"}},
	{module: "_osx_support", name: "_read_output", args: a{"touch @"}},
	{module: "idlelib.calltip", name: "get_entity", args: a{code}},
	{module: "distutils.file_util", name: "write_file", args: a{"@", a{}}},
	{module: "distutils.spawn", name: "spawn", args: a{a{"touch", "@"}}},
	{module: "distutils.dir_util", name: "mkpath", args: a{"@"}},
	{module: "uuid", name: "_get_command_stdout", args: a{"python3", "-c", code}},
	{module: "multiprocessing.util", name: "spawnv_passfds", args: a{[]byte("/usr/bin/touch"), a{"touch", "@"}, a{}}},
	{module: "_thread", name: "start_new_thread", args: a{node(global("os", "mkdir")), node(tuple(str("canary")))}},
	{module: "ctypes.util", name: "os.mkdir", args: a{"@"}},
	{module: "dataclasses", name: "_create_fn", args: a{"f", a{"x=" + code}, a{"pass"}}},
	{module: "pickle", name: "loads", args: a{[]byte("cos\nmkdir\n(V@\ntR.")}},
	{module: "_pickle", name: "loads", args: a{[]byte("cposix\nmkdir\n(V@\ntR.")}},
	{module: "pickle", name: "_loads", args: a{[]byte("cos\nmkdir\n(V@\ntR.")}},
	{module: "multiprocessing.reduction", name: "ForkingPickler.loads", args: a{[]byte("cos\nmkdir\n(V@\ntR.")}},
	{module: "numpy", name: "memmap", args: a{"@", "uint8", "w+", 0, 1}},
	{module: "numpy", name: "savetxt", args: a{"@", a{}}},
	{module: "numpy.testing._private.utils", name: "runstring", args: a{code, node(dict())}},
	{module: "numpy.testing", name: "runstring", args: a{code, node(dict())}},
	{module: "numpy.f2py.crackfortran", name: "myeval", args: a{code}},
	{module: "numpy.f2py.diagnose", name: "run_command", args: a{"touch @"}},
	{module: "numpy.distutils.exec_command", name: "exec_command", args: a{"touch @"}},
	{module: "numpy", name: "load", args: a{node(call(global("io", "BytesIO"), octets([]byte("cos\nmkdir\n(Vcanary\ntR.")))), nil, true}},
	{module: "torch.storage", name: "_load_from_bytes", args: a{[]byte("cos\nmkdir\n(V@\ntR.")}},
	{module: "torch.serialization", name: "load", args: a{node(call(global("io", "BytesIO"), octets([]byte("cos\nmkdir\n(Vcanary\ntR."))))}},
	{module: "torch", name: "load", args: a{node(call(global("io", "BytesIO"), octets([]byte("cos\nmkdir\n(Vcanary\ntR.")))), nil, node(global("pickle", "_Unpickler"))}},
	{module: "torch", name: "save", args: a{1, "@"}},
	{module: "torch", name: "from_file", args: a{"@", true, 1}},
	{module: "torch._C", name: "PyTorchFileWriter", args: a{"@"}},
	{module: "torch", name: "FloatStorage.from_file", args: a{"@", true, 1}},
	{module: "torch.storage", name: "UntypedStorage.from_file", args: a{"@", true, 1}},
	{module: "torch.jit.unsupported_tensor_ops", name: "execWrapper", args: a{code, node(dict()), node(dict())}},
	{module: "torch.utils.collect_env", name: "run", args: a{"touch @"}},
	{module: "torch.utils.collect_env", name: "run_and_read_all", args: a{node(global("torch.utils.collect_env", "run")), "touch @"}},
	{module: "torch.utils.bottleneck.__main__", name: "run_cprofile", args: a{code, node(dict())}},
	{module: "torch.utils.bottleneck.__main__", name: "run_autograd_prof", args: a{code, node(dict())}},
	{module: "torch.utils._pytree", name: "tree_map", args: a{node(global("os", "mkdir")), "@"}},
	{module: "torch.utils.checkpoint", name: "checkpoint", args: a{node(global("os", "mkdir")), "@"}},
	{module: "torch.utils.benchmark.utils.common", name: "os.mkdir", args: a{"@"}},
	{module: "torch.fx.graph_module", name: "_exec_with_source", args: a{code, node(dict())}},
	{module: "torch.fx.graph_module", name: "_forward_from_src", args: a{code + "\ndef forward(): pass", node(dict())}},
	{module: "torch.fx.graph_module", name: "reduce_graph_module", args: a{node(dict(str("_code"), str(strings.ReplaceAll(code, "@", "canary")+"\ndef forward(self): pass"))), ""}},
	{module: "torch.distributed.rpc.internal", name: "_run_function", args: a{node(call(global("torch.distributed.rpc.internal", "PythonUDF"), global("os", "mkdir"), tuple(str("canary")), dict()))}},
	{module: "torch.distributed.elastic.utils.data.elastic_distributed_sampler", name: "torch.os.mkdir", args: a{"@"}},
	{module: "torch._tensor", name: "_rebuild_from_type_v2", args: a{node(global("os", "mkdir")), node(global("torch", "Tensor")), node(tuple(str("canary"))), node(dict())}},
	{module: "torch._tensor", name: "_rebuild_from_type", args: a{node(global("os", "mkdir")), node(global("torch", "Tensor")), node(tuple(str("canary"))), node(dict())}},
	{module: "torch.hub", name: "os.mkdir", args: a{"@"}},
	{module: "torch.jit._script", name: "functools.partial", args: a{node(global("os", "mkdir")), "@"}, then: a{}},
	{module: "torch.nn.modules.module", name: "functools.partial", args: a{node(global("os", "mkdir")), "@"}, then: a{}},
	{module: "sympy", name: "sympify", args: a{code}},
	{module: "sympy.core.sympify", name: "sympify", args: a{code}},
	{module: "setuptools._distutils.spawn", name: "spawn", args: a{a{"touch", "@"}}},
	{module: "concurrent.futures.process", name: "_process_chunk", args: a{node(global("os", "mkdir")), node(list(tuple(str("canary"))))}},
}

// code that runs when an object is torn down, or when the process ends.
var late = []target{
	{module: "atexit", name: "register", args: a{node(global("os", "mkdir")), "@"}},
	{module: "weakref", name: "finalize", args: a{node(newObj(global("collections", "UserList"))), node(global("os", "mkdir")), "@"}},
	{module: "contextlib", name: "ExitStack.callback", args: a{node(call(global("contextlib", "ExitStack"))), node(global("os", "mkdir")), "@"}},
}
