package pickle

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/vectors"
)

// What scanners of pickles have in their own tests, and what got past one of
// them once: functions that run code, read or send files, or load something
// that does.
var malicious = strings.Fields(`
	os.system posix.system nt.system posix.popen os.popen os.execl os.spawnl os.remove subprocess.Popen subprocess.run
	subprocess.call subprocess.check_output commands.getoutput popen2.popen2 pty.spawn platform.popen
	builtins.eval builtins.exec builtins.compile builtins.open builtins.getattr builtins.setattr builtins.apply
	builtins.__import__ builtins.breakpoint __builtin__.eval __builtin__.exec __builtin__.execfile __builtin__.getattr
	__builtin__.globals __builtin__.map builtins.type io.open _io.FileIO io.FileIO codecs.open
	webbrowser.open http.client.HTTPSConnection httplib.HTTPSConnection requests.get requests.api.get aiohttp.ClientSession
	urllib.request.urlopen urllib2.urlopen socket.create_connection socket.socket ssl.SSLSocket smtplib.SMTP telnetlib.Telnet
	shutil.rmtree shutil.copyfile tempfile.mktemp zipfile.ZipFile tarfile.open sqlite3.connect
	runpy.run_path runpy._run_code importlib.import_module imp.load_source pkgutil.resolve_name pip.main pip._internal.main
	ensurepip._run_pip venv.create setuptools.setup code.interact code.InteractiveInterpreter.runcode codeop.compile_command
	bdb.Bdb.run pdb.run profile.run profile.Profile.run cProfile.run cProfile.runctx trace.Trace.run timeit.timeit
	timeit.main doctest.debug_script pydoc.pipepager lib2to3.pgen2.pgen.ParserGenerator idlelib.run.Executive.runcode
	idlelib.pyshell.ModifiedInterpreter.runcode idlelib.autocomplete.AutoComplete.fetch_completions
	asyncio.unix_events._UnixSubprocessTransport._start asyncio.create_subprocess_shell multiprocessing.Process threading.Thread
	operator.attrgetter operator.methodcaller _operator.attrgetter types.FunctionType types.CodeType ctypes.CDLL
	ctypes.util.find_library sys.exit sys.modules pickle.loads _pickle.loads cPickle.loads marshal.loads dill.loads
	joblib.load shelve.open distutils.file_util.write_file numpy.testing._private.utils.runstring
	numpy.f2py.crackfortran.myeval numpy.distutils.exec_command.exec_command torch.hub.load torch.load torch.serialization.load
	torch.jit.unsupported_tensor_ops.execWrapper torch.utils._config_module.load_config
	torch.utils.bottleneck.__main__.run_cprofile torch.utils.collect_env.run torch.utils.data.datapipes.utils.decoder.basichandlers
	torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch._dynamo.guards.GuardBuilder.get
	torch._inductor.codecache.compile_file torch.fx.graph_module.reduce_graph_module copyreg._reconstructor copy_reg._reconstructor
	functools.partial functools.reduce linecache.getline logging.config.listen __main__.Evil
`)

// Nothing of it passes, whichever way it is called. What Options.Inert lets
// pass is a class that Lethe does not know, not one that is known to run code.
func TestMalicious(t *testing.T) {
	inertAllows := map[string]bool{"functools": true, "__main__": true, "copyreg": true, "copy_reg": true, "logging": true}
	for _, global := range malicious {
		i := strings.LastIndex(global, ".")
		module, name := global[:i], global[i+1:]
		short := func(s string) string { return "\x8c" + string(rune(len(s))) + s }
		for way, code := range map[string]string{
			"GLOBAL and REDUCE": fmt.Sprintf("c%s\n%s\n%s\x85R.", module, name, textCode("x")),
			"NEWOBJ":            fmt.Sprintf("c%s\n%s\n%s\x85\x81.", module, name, textCode("x")),
			"STACK_GLOBAL":      short(module) + "\x94" + short(name) + "\x94\x93)R.",
			"a dotted name":     fmt.Sprintf("c%s\n%s\n)R.", strings.Split(global, ".")[0], strings.SplitN(global, ".", 2)[1]),
			"beside a tensor":   "}(" + textCode("w") + w0 + textCode("x") + fmt.Sprintf("c%s\n%s\n)Ru.", module, name),
			"an argument":       fmt.Sprintf("cargparse\nNamespace\nc%s\n%s\n\x85\x81.", module, name),
			"a key":             fmt.Sprintf("}(c%s\n%s\nNu.", module, name),
		} {
			b := withPickle(t, code)
			if _, err := decode(b); err == nil {
				t.Errorf("%s by %s passes", global, way)
			}
			top, _, _ := strings.Cut(module, ".")
			_, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Inert: true})
			if got := vectors.Outcome(err); !inertAllows[top] && got != "malformed" {
				t.Errorf("%s by %s with inert: %s, %v", global, way, got, err)
			}
		}
	}
}
