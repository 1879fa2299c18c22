package scan

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Texts beside weights that some loader acts on: configurations of Keras, hydra and
// transformers, YAML that names Python objects, templates of chats, lists of shards.

// text looks for what a loader would run or read because a text says so.
func (w *walk) text(p part) {
	first := bytes.TrimLeft(w.head(p, 64), " \t\r\n\ufeff")
	if len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		w.configuration(p)
	}
	w.windows(p, func(b []byte, at int64) {
		if m := yamlPython().FindIndex(b); m != nil {
			w.find(Finding{Level: Danger, Kind: KindCode, What: "YAML tag of Python", Why: "a reader of YAML that is not told otherwise would import a module or call a function of it", Member: p.member, Offset: at + int64(m[0])})
		}
		if m := templateAttack().FindIndex(b); m != nil {
			w.template(p, at+int64(m[0]))
		}
		for _, m := range hydraTarget().FindAllSubmatchIndex(b, -1) {
			w.target(p, string(b[m[2]:m[3]]), at+int64(m[0]))
		}
	})
}

var (
	yamlPython     = lazyRegexp("(^|[\\s:\\[{,-])(!!python/|!<tag:yaml.org,2002:python/)")
	hiddenName     = lazyRegexp(`__(class|mro|base|bases|subclasses|globals|builtins|import|code)__`)
	templateAttack = lazyRegexp(`\{[{%][^}]{0,400}__(class|mro|base|bases|subclasses|globals|builtins|import|code)__`)
	hydraTarget    = lazyRegexp(`["']?_target_["']?\s*:\s*["']?([A-Za-z_][\w.]{0,200})`)
)

// windows gives the bytes of a part piece by piece; neighbours overlap.
func (w *walk) windows(p part, visit func(b []byte, at int64)) {
	const overlap = 512
	b := make([]byte, min(window, p.size))
	for at := int64(0); at < p.size; at += window - overlap {
		b = b[:min(window, p.size-at)]
		if !w.read(p, b, at) {
			return
		}
		visit(b, at)
	}
}

func (w *walk) template(p part, at int64) {
	w.find(Finding{Level: Danger, Kind: KindCode, What: "template", Why: "the template reaches for the inside of Python: a program that renders it outside of a sandbox would run what it says", Member: p.member, Offset: at})
}

// target is a name that hydra's instantiate would import and call.
func (w *walk) target(p part, name string, at int64) {
	if why := harm(name); why != "" {
		w.find(Finding{Level: Danger, Kind: KindGlobal, What: name, Why: "hydra would call it when it makes what the configuration says: it " + why, Member: p.member, Offset: at})
	}
}

// configuration looks at JSON that Keras or transformers read.
func (w *walk) configuration(p part) {
	const most = 16 << 20
	if word := w.search(p, `"class_name"`, `"weight_map"`, `"auto_map"`, `"chat_template"`, `"module"`); word == "" || p.size > most {
		return
	}
	b, ok := w.all(p, most)
	if !ok {
		return
	}
	keras := bytes.Contains(b, []byte(`"class_name"`)) && bytes.Contains(b, []byte(`"config"`))
	walkJSON(b, func(parent, key string, value any) {
		s, ok := value.(string)
		if !ok {
			return
		}
		switch {
		case keras:
			w.kerasValue(p, key, s)
		case parent == "weight_map" && outside(s):
			w.find(Finding{Level: Danger, Kind: KindReadings, What: s, Why: "the list of files names one outside of the folder: its loader would read that", Member: p.member})
		case parent == "auto_map":
			w.find(Finding{Level: Unknown, Kind: KindCode, What: s, Why: "transformers would import this Python code if it is told to trust the folder", Member: p.member})
		case (key == "chat_template" || key == "template") && hiddenName().MatchString(s):
			w.template(p, 0)
		}
	})
}

// outside reports whether a path leaves its folder.
func outside(path string) bool {
	path = strings.ReplaceAll(path, `\`, "/")
	return strings.HasPrefix(path, "/") || strings.Contains(path, ":") || slices.Contains(strings.Split(path, "/"), "..")
}

// kerasValue looks at a text in a configuration of Keras.
func (w *walk) kerasValue(p part, key, s string) {
	top, _, _ := strings.Cut(s, ".")
	switch {
	case key == "class_name" && (s == "Lambda" || s == "__lambda__"):
		w.find(Finding{Level: Danger, Kind: KindCode, What: "Lambda layer", Why: "Keras would run the Python code in it when it loads the model", Member: p.member})
	case (key == "class_name" || key == "config") && (s == "__import__" || slices.Contains([]string{"eval", "exec", "compile", "open", "getattr", "breakpoint"}, s)):
		w.find(Finding{Level: Danger, Kind: KindGlobal, What: "builtins." + s, Why: "Keras would take the function of Python for a layer or an activation", Member: p.member})
	case key != "module" || top == "keras" || top == "tf_keras" || s == "builtins":
	case harm(s) != "" || slices.Contains(reach, top):
		w.find(Finding{Level: Danger, Kind: KindGlobal, What: s, Why: "Keras would import the module and call a function of it when it loads the model", Member: p.member})
	default:
		w.find(Finding{Level: Unknown, Kind: KindGlobal, What: s, Why: "Keras would import the module, which is not known", Member: p.member})
	}
}

// gguf looks at what the head of a GGUF file claims and at its chat template.
func (w *walk) gguf(p part) string {
	const kind = "GGUF"
	head := w.head(p, 24)
	if len(head) < 24 {
		w.gap(p, int64(len(head)), "the file ends in its header")
		return kind
	}
	tensors, values := binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])
	if tensors > uint64(p.size) || values > uint64(p.size) {
		w.gap(p, 8, "the header claims %d tensors and %d values, more than the file has bytes", tensors, values)
		return kind
	}
	const name = "tokenizer.chat_template"
	w.windows(p, func(b []byte, at int64) {
		for i := 0; ; {
			j := bytes.Index(b[i:], []byte(name))
			if j < 0 {
				return
			}
			i += j + len(name)
			for i < len(b) && (b[i] == '.' || b[i] >= 'a' && b[i] <= 'z' || b[i] == '_') { // others have a name of their own
				i++
			}
			var value [12]byte // the type of a string, and its length
			where := at + int64(i)
			if p.size-where < 12 || !w.read(p, value[:], where) || binary.LittleEndian.Uint32(value[:]) != 8 {
				continue
			}
			n := binary.LittleEndian.Uint64(value[4:])
			if n > 1<<20 || n > uint64(p.size-where-12) {
				continue
			}
			text := make([]byte, n)
			if w.read(p, text, where+12) && hiddenName().Match(text) {
				w.template(p, where+12)
			}
		}
	})
	return kind
}
