package scan

import (
	"fmt"
	"strings"
	"testing"
)

// What scanners of pickles have in their own tests, and what got past one of
// them once: functions that run code, read or send files, or load something
// that does.
var malicious = strings.Fields(`
	os.system posix.system nt.system posix.popen os.popen os.execl os.spawnl os.remove subprocess.Popen subprocess.run
	subprocess.call subprocess.check_output commands.getoutput popen2.popen2 pty.spawn platform.popen
	builtins.eval builtins.exec builtins.compile builtins.open builtins.getattr builtins.setattr builtins.apply
	builtins.__import__ builtins.breakpoint __builtin__.eval __builtin__.exec __builtin__.execfile __builtin__.getattr
	__builtin__.globals __builtin__.map io.open _io.FileIO io.FileIO codecs.open
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
	cloudpickle.loads joblib.load shelve.open distutils.file_util.write_file numpy.testing._private.utils.runstring
	numpy.f2py.crackfortran.myeval numpy.distutils.exec_command.exec_command torch.hub.load torch.load torch.serialization.load
	torch.jit.unsupported_tensor_ops.execWrapper torch.utils._config_module.load_config
	torch.utils.bottleneck.__main__.run_cprofile torch.utils.collect_env.run torch.utils.data.datapipes.utils.decoder.basichandlers
	torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch._dynamo.guards.GuardBuilder.get
	torch._inductor.codecache.compile_file torch.fx.graph_module.reduce_graph_module
	functools.reduce linecache.getline logging.config.listen __main__.evil
`)

// Nothing of it passes, whichever way it is called, in whichever protocol.
func TestMalicious(t *testing.T) {
	for _, global := range malicious {
		i := strings.LastIndex(global, ".")
		module, name := global[:i], global[i+1:]
		for way, code := range map[string]string{
			"GLOBAL and REDUCE": fmt.Sprintf("c%s\n%s\n%s\x85R.", module, name, short("x")),
			"NEWOBJ":            fmt.Sprintf("c%s\n%s\n%s\x85\x81.", module, name, short("x")),
			"STACK_GLOBAL":      short(module) + "\x94" + short(name) + "\x94\x93)R.",
			"a dotted name":     fmt.Sprintf("c%s\n%s\n)R.", strings.Split(global, ".")[0], strings.SplitN(global, ".", 2)[1]),
			"an argument":       fmt.Sprintf("cargparse\nNamespace\nc%s\n%s\n\x85\x81.", module, name),
			"a key":             fmt.Sprintf("}(c%s\n%s\nNu.", module, name),
			"INST":              fmt.Sprintf("(S'x'\ni%s\n%s\n.", module, name),
			"OBJ":               fmt.Sprintf("(c%s\n%s\nS'x'\no.", module, name),
		} {
			for where, b := range map[string][]byte{
				"bare":       []byte("\x80\x02" + code),
				"checkpoint": checkpoint(t, "\x80\x02"+code),
				"protocol 0": []byte(code),
			} {
				r := scanBytes(t, b)
				want := Danger
				if global == "__main__.evil" || global == "builtins.getattr" || global == "__builtin__.getattr" ||
					global == "torch.utils.data.datapipes.utils.decoder.basichandlers" || global == "bdb.Bdb.run" {
					want = Unknown
				}
				if r.Worst() < want || !r.Fails(Unknown) {
					t.Errorf("%s by %s, %s: %s", global, way, where, summary(r))
				}
			}
		}
	}
}

// The scan sees a call through detours that only some unpickler takes.
func TestDetours(t *testing.T) {
	for what, code := range map[string]string{
		"INST":                              "(S'x'\niposix\nsystem\n.",
		"OBJ":                               "(cposix\nsystem\nS'x'\no.",
		"text":                              "cposix\nsystem\n(V x\ntR.",
		"names through the memo":            short("posix") + "\x94" + short("system") + "\x940h\x00h\x01\x93)R.",
		"names through a text memo":         "Vposix\np7\nVsystem\np8\n0g7\ng8\n\x93)R.",
		"other names above, taken away":     short("posix") + short("system") + short("torch") + short("Size") + "00\x93)R.",
		"an escaped name":                   "V\\u0070osix\nVsystem\n\x93)R.",
		"an escaped name in quotes":         "S'\\x70o\\163ix'\nS\"system\"\n\x93)R.",
		"a memo index with an underscore":   "Vposix\np1_0\nVsystem\np11\n00Vtorch\nVSize\n00g10\ng11\n\x93)R.",
		"a memo index with a sign":          "Vposix\np+10\nVsystem\np +11\t\n00g10\ng11\n\x93)R.",
		"a memo index that is a name":       "Vposix\npa\n0cargparse\nNamespace\npb\n0ga\n.",
		"an extension":                      "\x82\x01)R.",
		"a second pickle":                   "}.cposix\nsystem\n.",
		"a second pickle after another":     "}.}.\x80\x02cposix\nsystem\n)R.",
		"no end":                            "}",
		"a name that a call makes":          short("posix") + "cbuiltins\nstr\n" + short("system") + "\x85R\x93)R.",
		"a call of an attribute":            "cbuiltins\ngetattr\n(cm\nC\nS'f'\ntR)R.",
		"a call of an object":               "cargparse\nNamespace\n)R)R.",
		"state for a class":                 "ccollections\nOrderedDict\n}(Vx\nK\x01ub.",
		"state for a class through a tuple": "ccollections\nOrderedDict\nN}Vx\nK\x01s\x86b.",
		"state for what is handed through":  "ctorch.jit._pickle\nrestore_type_tag\n(ccollections\nOrderedDict\nVx\ntR}Vupdate\nK\x01sb.",
		"state for a class by its id":       "(Vmodule\nccollections\nOrderedDict\nNNtQ}Vx\nK\x01sb.",
		"state for the class of None":       "cbuiltins\ntype\n(NtR}Vx\nK\x01sb.",
		"a tensor of any function":          "ctorch._tensor\n_rebuild_from_type_v2\n(cm\nf\ncm\nC\n)}tR.",
		"a tensor of an identity":           "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch.jit._pickle\nrestore_type_tag\nctorch\nTensor\n(ccollections\nOrderedDict\nVx\nt}tR.",
		"a class that is made":              "cbuiltins\ntype\n(VX\n)}tR.",
		"a factory that loads":              "ccollections\ndefaultdict\n(ctorch.storage\n_load_from_bytes\ntR.",
		"a loader as a value":               "}(Vx\nctorch.storage\n_load_from_bytes\nu.",
		"a loader in a tuple in a list":     "](ctorch.storage\n_load_from_bytes\n\x85e.",
		"a loader of text":                  "ctorch.storage\n_load_from_bytes\n(VX\ntR.",
		"a loader of a pickle":              "ctorch.storage\n_load_from_bytes\nC\x10cposix\nsystem\n)R\x85R.",
		"an item of a tensor":               "ctorch\nFloatTensor\n)\x81K\x00K\x01s.",
		"an item of a namespace":            "cargparse\nNamespace\n)\x81K\x00K\x01s.",
		"a value appended to an object":     "cargparse\nNamespace\n)\x81K\x00a.",
		"numbers that are objects":          "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\nI0\nI1\ntRC\x01.tR.",
		"numbers whose type gets fields":    "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VV8\nI0\nI1\ntR(K\x03V|\nNVa\n\x85}K\x08K\x01K\x00tbC\x01.tR.",
		"a generator that calls":            "cnumpy.random._pickle\n__generator_ctor\n(Vx\ncm\nf\ntR.",
		"a base class that is not plain":    "ccopyreg\n_reconstructor\n(cargparse\nNamespace\ncbuiltins\ntype\nNtR.",
		"a new object of no class":          "ccopyreg\n__newobj__\n(cbuiltins\ngetattr\n(cm\nC\nVf\ntRtR.",
		"arguments in a list":               "ctorch._tensor\n_rebuild_from_type_v2\n](cm\nf\ncm\nC\n)}eR.",
		"a call of a bound function":        "cfunctools\npartial\ncm\nC\n\x85R)R.",
		"a bound loader":                    "cfunctools\npartial\nctorch.storage\n_load_from_bytes\n\x85R.",
		"a bound loader by state":           "cfunctools\npartial\ncm\nC\n\x85R(ctorch.storage\n_load_from_bytes\n)}Ntb.",
		"a file that a class writes":        "ctorch._C\nPyTorchFileWriter\nVx\n\x85R.",
		"a name in another alphabet":        "c_codecs\nencode\n(Vcbfvk\nVrot13\ntR\x8c\x06system\x93)R.",
		"a name from a loader":              "K\x01QVsystem\n\x93)R.",
		"a call of what a loader gives":     "K\x01Q)R.",
		"a class without a mark":            "icommands\ngetoutput\n.",
		"a function behind a callback":      "cpytorch_lightning.callbacks.model_checkpoint\nnp.load\n.",
		"out of band":                       "\x97.",
		"Python 2 names a module":           "ccommands\ngetoutput\n(VX\ntR.",
		"Python 2 renames a function":       "c__builtin__\nreduce\n(VX\ntR.",
		"an attribute of a known class":     "\x80\x04ccollections\nOrderedDict.fromkeys.__globals__\n.",
		"a module through a module":         "ctorch\nos\n.",
		"a module through a module, deep":   "\x80\x04ctorch\nos.system\n(Vx\ntR.",
		"a frame beyond the end":            "\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00N.cposix\nsys\nN.",
		"a line without end":                "}Vposix",
		"an unknown instruction":            "}\xff.",
	} {
		for where, b := range map[string][]byte{"bare": []byte("\x80\x02" + code), "checkpoint": checkpoint(t, "\x80\x02"+code)} {
			if r := scanBytes(t, b); !r.Fails(Unknown) {
				t.Errorf("%s, %s: %s", what, where, summary(r))
			}
		}
	}
}

// What real checkpoints hold beside tensors stops nobody.
func TestHarmless(t *testing.T) {
	for what, c := range map[string]struct {
		code string
		want string
	}{
		"an empty dictionary":        {"}.", "clean"},
		"an ordered dictionary":      {"ccollections\nOrderedDict\n)R(Vx\nK\x01u}V_metadata\nccollections\nOrderedDict\n)Rsb.", "clean"},
		"one of Python 2":            {"ccollections\nOrderedDict\n((lp1\n(lp2\nVx\naI1\naatR.", "clean"},
		"a counter":                  {"ccollections\nCounter\n}Vx\nK\x01s\x85R.", "clean"},
		"a default dictionary":       {"ccollections\ndefaultdict\ncbuiltins\nlist\n\x85RVx\n]s.", "clean"},
		"a set":                      {"c__builtin__\nset\n]K\x01a\x85R.", "clean"},
		"bytes of Python 2":          {"c_codecs\nencode\n(Vx\nVlatin1\ntR.", "clean"},
		"a long and a unicode":       {"](c__builtin__\nlong\nc__builtin__\nunicode\ne.", "clean"},
		"a shape":                    {"ctorch\nSize\nK\x01\x85\x85R.", "clean"},
		"a namespace":                {"cargparse\nNamespace\n)\x81}Vx\nK\x01sb.", "notice"},
		"a date":                     {"cdatetime\ndatetime\nC\x0a0123456789\x85R.", "notice"},
		"a number of numpy":          {"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\nI0\nI1\ntR(K\x03V<\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbC\x0801234567tR.", "notice"},
		"Lightning":                  {"cpytorch_lightning.utilities.parsing\nAttributeDict\n)\x81(Vx\nK\x01u.", "notice"},
		"a callback of Lightning":    {"}(cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n}u.", "notice"},
		"a tensor of Python 2":       {"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQI0\n(I4\nt(I1\ntI00\nNtR.", "clean"},
		"an old object":              {"ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR}Vx\nK\x01sb.", "notice"},
		"the class of None":          {"]cbuiltins\ntype\n(NtRa.", "clean"},
		"a whole module":             {"ctorch.nn.modules.linear\nLinear\n)\x81}Vtraining\n\x88sb.", "unknown"},
		"a method":                   {"}Vf\ncbuiltins\ngetattr\n(cm\nC\nVforward\ntRs.", "unknown"},
		"a function with arguments":  {"cfunctools\npartial\ncm\nC\n\x85R(cm\nC\n)}Ntb.", "unknown"},
		"a function of torch":        {"]ctorch._C._nn\ngelu\na.", "unknown"},
		"a logger":                   {"clogging\ngetLogger\nVx\n\x85R.", "notice"},
		"a table":                    {"cpandas._libs.internals\n_unpickle_block\n(NNK\x02tR.", "unknown"},
		"a random generator":         {"cnumpy.random._pickle\n__generator_ctor\n(VPCG64\ncnumpy.random._pickle\n__bit_generator_ctor\ntR.", "notice"},
		"a nested class of somebody": {"\x80\x04cm\nOuter.Inner\n)\x81.", "unknown"},
	} {
		if r := scanBytes(t, []byte("\x80\x02"+c.code)); r.Verdict() != c.want {
			t.Errorf("%s: want %s: %s", what, c.want, summary(r))
		}
	}
}

// A number in a pickle does not make its reader take memory for as many elements
// without a finding, and the numbers that picklers write have none.
func TestClaims(t *testing.T) {
	large, text := "\x8a\x06\x00\x00\x00\x00\x00\x04", "I4398046511104\n"
	call := func(module, name, args string) string { return "c" + module + "\n" + name + "\n(" + args + "tR." }
	for name, code := range map[string]string{
		"bytes": call("builtins", "bytes", large), "bytearray": call("builtins", "bytearray", text), "a range": "cbuiltins\nlist\n(" + call("builtins", "range", large)[:len(call("builtins", "range", large))-1] + "tR.",
		"a range backwards": call("builtins", "range", text+"I0\nI-1\n"), "from a negative number": call("builtins", "range", "I-4398046511104\nI0\n"), "in Python 2": call("__builtin__", "xrange", text),
		"a storage": call("torch", "FloatStorage", large), "storages": call("torch.storage", "UntypedStorage", large), "a tensor": call("torch", "Tensor", "I4096\nI4096\nI4096\n"),
		"an array": call("numpy", "ndarray", "("+large+"t"), "an array of a list": call("numpy", "ndarray", "]"+large+"a"),
		"an array to fill": call("numpy.core.multiarray", "_reconstruct", "cnumpy\nndarray\n("+large+"tC\x01b"), "by NEWOBJ": "ctorch\nFloatStorage\n(" + large + "t\x81.",
		"a number of a text": "cbuiltins\nbytes\n(cbuiltins\nint\n(" + short("4398046511104") + "tRtR.", "a number of more bytes": call("builtins", "bytes", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		"many":     strings.Repeat("cbuiltins\nbytes\n(J\x00\x00\x60\x00tR0", 4) + "N.",
		"the memo": "Nr\x00\x00\x00\x100N.", "the memo as text": "Np268435456\n.",
	} {
		if r := scanBytes(t, []byte("\x80\x02"+code)); r.Worst() < Danger {
			t.Errorf("%s: %s", name, summary(r))
		}
	}
	for name, code := range map[string]string{
		"a range": call("builtins", "range", "I50000\n"), "no elements": call("numpy.core.multiarray", "_reconstruct", "cnumpy\nndarray\n(I0\ntC\x01b"),
		"bytes of bytes": call("builtins", "bytearray", "C\x03abc"), "empty": call("builtins", "bytes", ""), "a negative size": call("builtins", "bytes", "I-4398046511104\n"),
		"the memo": "]q\x00]q\x01.", "the memo of Python 2": "]p1\n]p2\n.",
	} {
		if r := scanBytes(t, []byte("\x80\x02"+code)); r.Worst() >= Unknown {
			t.Errorf("%s: %s", name, summary(r))
		}
	}
}
