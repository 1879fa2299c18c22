package scan

import (
	"strings"
	"sync"
)

// harms says in plain words what the functions of a module would do, for the
// modules with which a pickle can do harm. A name stands for everything below
// it; the longest name counts.
var harms = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for why, names := range map[string]string{
		"would run a command of the operating system, or read, replace or remove files": "os posix nt posixpath.os ntpath.os",
		"would run a program": "subprocess commands popen2 _posixsubprocess pty platform asyncio.subprocess asyncio.create_subprocess_shell " +
			"asyncio.create_subprocess_exec asyncio.unix_events multiprocessing _winapi pexpect plumbum invoke fabric torch.utils.collect_env " +
			"numpy.distutils distutils setuptools pip ensurepip venv torch.utils.cpp_extension torch.utils.bottleneck",
		"would run Python code from text or from a file": "builtins.eval builtins.exec builtins.compile builtins.execfile builtins.input __builtin__.eval __builtin__.exec " +
			"__builtin__.execfile __builtin__.compile __builtin__.input runpy code.interact code.InteractiveInterpreter code.InteractiveConsole code.compile_command codeop timeit profile.run profile.runctx profile.Profile cProfile bdb pdb trace.Trace trace.main doctest pydoc idlelib lib2to3 " +
			"_pyrepl numpy.testing numpy.f2py sympy pandas.eval pandas.core.computation numexpr torch._dynamo torch._inductor torch.fx torch.jit torch.ops torch._ops torch.package " +
			"torch.classes torch._classes torch.compile torch.utils._config_module torch.onnx torch.export torch._export IPython ast test.support test.libregrtest test.regrtest _testcapi _xxsubinterpreters " +
			"interpreters _interpreters ttk tkinter turtle ipdb pudb nose pytest _pytest unittest torch.testing torch.library logging.config",
		"would import a module, and run what is in it": "builtins.__import__ __builtin__.__import__ importlib imp pkgutil zipimport modulefinder site _frozen_importlib " +
			"_frozen_importlib_external _imp antigravity this",
		"would reach for any attribute or call any function": "builtins.getattr builtins.setattr builtins.delattr builtins.vars builtins.globals builtins.locals builtins.dir " +
			"builtins.apply builtins.map builtins.filter builtins.reduce builtins.sorted builtins.min builtins.max builtins.classmethod builtins.staticmethod builtins.property builtins.super builtins.iter " +
			"__builtin__.apply __builtin__.map __builtin__.globals __builtin__.getattr __builtin__.reduce operator _operator types functools.reduce " +
			"functools.singledispatch functools.lru_cache functools.cached_property inspect sys gc weakref _functools functools.partialmethod copyreg copy_reg builtins.type itertools.starmap itertools.accumulate " +
			"collections.namedtuple builtins.next contextlib dataclasses.make_dataclass enum.Enum.__call__ atexit signal faulthandler threading _thread concurrent sched queue",
		"would start the debugger, stop the program or print": "builtins.breakpoint builtins.exit builtins.quit builtins.help builtins.print __builtin__.breakpoint",
		"would read or write files": "builtins.open __builtin__.open __builtin__.file io _io _pyio codecs shutil tempfile fileinput linecache zipfile tarfile sqlite3 dbm shelve mmap glob " +
			"tokenize gzip bz2 lzma filecmp py_compile compileall mailbox netrc pathlib.Path. numpy.load numpy.save numpy.savez numpy.fromfile numpy.memmap numpy.loadtxt numpy.savetxt " +
			"numpy.genfromtxt numpy.fromregex numpy.lib.npyio numpy.lib.format numpy.lib._npyio_impl numpy.DataSource numpy.lib._datasource numpy.ctypeslib h5py tables pandas.read_csv torch.save torch.from_file torch.storage.save torch._C.PyTorchFileWriter torch._C.PyTorchFileReader " +
			"torch.utils.tensorboard cgi cgitb logging.FileHandler logging.handlers configparser xml lxml csv wave torchvision.io torchaudio.load safetensors",
		"would open a network connection": "socket ssl http httplib urllib urllib2 urllib3 requests aiohttp httpx ftplib smtplib poplib imaplib nntplib telnetlib xmlrpc xmlrpclib " +
			"socketserver webbrowser asyncio wsgiref paramiko torch.hub torch.distributed.rpc torch.distributed.launch torch.distributed.run torch.distributed.elastic websocket huggingface_hub boto3 botocore",
		"would load another pickle": "pickle _pickle cPickle marshal dill cloudpickle joblib pandas.read_pickle pandas.io torch.load torch.serialization torch.utils torch.multiprocessing torch.legacy " +
			"jsonpickle sklearn.externals.joblib yaml ruamel",
		"would call machine code": "ctypes _ctypes cffi numba llvmlite tensorflow.load_op_library",
	} {
		for _, name := range strings.Fields(names) {
			all[name] = why
		}
	}
	// Within those modules, not known and not known to be harmful.
	for _, name := range strings.Fields("torch.utils.data torch.utils.hooks joblib.numpy_pickle.NumpyArrayWrapper io.BytesIO io.StringIO _io.BytesIO _io.StringIO " +
		"torch.fx.graph_module.GraphModule torch.fx.node torch.onnx.symbolic threading.Lock weakref.WeakValueDictionary torch.utils.checkpoint torch.package.importer") {
		all[name] = ""
	}
	return all
})

// harm returns what a global with the full name could do, "" if it is not known
// to be harmful.
func harm(full string) string {
	for name := full; name != ""; {
		if why, ok := harms()[name]; ok {
			return why
		}
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			break
		}
		name = name[:i]
	}
	if strings.HasPrefix(full, "builtins.") || strings.HasPrefix(full, "__builtin__.") {
		return "would call a function of Python that has no place in a checkpoint"
	}
	return ""
}

// python3 translates a name that Python 2 wrote, as pickle's fix_imports does.
func python3(module, name string) (string, string) {
	if to, ok := renamed[module+"."+name]; ok {
		i := strings.LastIndexByte(to, '.')
		return to[:i], to[i+1:]
	}
	if to, ok := moved[module]; ok {
		return to, name
	}
	return module, name
}

// renamed and moved are the names that changed between Python 2 and 3 (module
// _compat_pickle of the standard library).
var renamed = pairs("__builtin__.xrange builtins.range __builtin__.reduce functools.reduce __builtin__.intern sys.intern __builtin__.unichr builtins.chr " +
	"__builtin__.unicode builtins.str __builtin__.long builtins.int __builtin__.basestring builtins.str itertools.izip builtins.zip itertools.imap builtins.map " +
	"itertools.ifilter builtins.filter itertools.ifilterfalse itertools.filterfalse itertools.izip_longest itertools.zip_longest " +
	"UserDict.IterableUserDict collections.UserDict UserList.UserList collections.UserList UserString.UserString collections.UserString " +
	"whichdb.whichdb dbm.whichdb _socket.fromfd socket.fromfd _multiprocessing.Connection multiprocessing.connection.Connection " +
	"multiprocessing.process.Process multiprocessing.context.Process multiprocessing.forking.Popen multiprocessing.popen_fork.Popen " +
	"urllib.ContentTooShortError urllib.error.ContentTooShortError urllib.getproxies urllib.request.getproxies urllib.pathname2url urllib.request.pathname2url " +
	"urllib.quote_plus urllib.parse.quote_plus urllib.quote urllib.parse.quote urllib.unquote_plus urllib.parse.unquote_plus urllib.unquote urllib.parse.unquote " +
	"urllib.url2pathname urllib.request.url2pathname urllib.urlcleanup urllib.request.urlcleanup urllib.urlencode urllib.parse.urlencode " +
	"urllib.urlopen urllib.request.urlopen urllib.urlretrieve urllib.request.urlretrieve urllib2.HTTPError urllib.error.HTTPError urllib2.URLError urllib.error.URLError")

var moved = pairs("__builtin__ builtins copy_reg copyreg Queue queue SocketServer socketserver ConfigParser configparser repr reprlib tkFileDialog tkinter.filedialog " +
	"tkSimpleDialog tkinter.simpledialog tkColorChooser tkinter.colorchooser tkCommonDialog tkinter.commondialog Dialog tkinter.dialog Tkdnd tkinter.dnd " +
	"tkFont tkinter.font tkMessageBox tkinter.messagebox ScrolledText tkinter.scrolledtext Tkconstants tkinter.constants Tix tkinter.tix ttk tkinter.ttk Tkinter tkinter " +
	"markupbase _markupbase _winreg winreg thread _thread dummy_thread _dummy_thread dbhash dbm.bsd dumbdbm dbm.dumb dbm dbm.ndbm gdbm dbm.gnu xmlrpclib xmlrpc.client " +
	"SimpleXMLRPCServer xmlrpc.server DocXMLRPCServer xmlrpc.server httplib http.client htmlentitydefs html.entities HTMLParser html.parser Cookie http.cookies " +
	"cookielib http.cookiejar BaseHTTPServer http.server SimpleHTTPServer http.server CGIHTTPServer http.server test.test_support test.support commands subprocess " +
	"urlparse urllib.parse robotparser urllib.robotparser urllib2 urllib.request anydbm dbm _abcoll collections.abc " +
	"cPickle pickle _elementtree xml.etree.ElementTree FileDialog tkinter.filedialog SimpleDialog tkinter.simpledialog whichdb dbm cStringIO io StringIO io " +
	"exceptions builtins UserDict collections")

// pairs makes a map of words that alternate.
func pairs(s string) map[string]string {
	words := strings.Fields(s)
	m := map[string]string{}
	for i := 0; i+1 < len(words); i += 2 {
		m[words[i]] = words[i+1]
	}
	return m
}
