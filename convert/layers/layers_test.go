package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"lethe/convert/layers"
	"lethe/model"
)

// entry is a name and a shape.
type entry struct {
	name  string
	shape []int
}

// dict returns a state dict of zeros. A name that ends in "!" stands for the
// entries of a batch normalization, one without a suffix for weight and bias.
func dict(t testing.TB, list ...entry) *model.StateDict {
	t.Helper()
	var entries []model.Entry
	add := func(name string, shape []int) {
		x, err := model.NewTensor(model.Float32, shape, make([]int, len(shape)), 0, model.BytesStorage(make([]byte, 4)))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, model.Entry{Name: name, Tensor: x})
	}
	for _, e := range list {
		if path, ok := strings.CutSuffix(e.name, "!"); ok {
			for _, s := range []string{"weight", "bias", "running_mean", "running_var"} {
				add(path+"."+s, e.shape)
			}
			continue
		}
		add(e.name+".weight", e.shape)
		add(e.name+".bias", e.shape[:1])
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// lenets are networks of strangers, with the layers that a draft must be able to
// choose.
var lenets = []struct {
	name    string
	weights []entry
	input   []int
	want    string // layers, with commas between them
}{
	{"conv1 to fc3", []entry{{"conv1", []int{6, 1, 5, 5}}, {"conv2", []int{16, 6, 5, 5}}, {"fc1", []int{120, 256}}, {"fc2", []int{84, 120}}, {"fc3", []int{10, 84}}}, nil,
		"{conv: conv1}, relu, {max_pool: 2}, {conv: conv2}, relu, {max_pool: 2}, flatten, {linear: fc1}, relu, {linear: fc2}, relu, {linear: fc3}"},
	{"padded", []entry{{"conv1", []int{6, 1, 5, 5}}, {"conv2", []int{16, 6, 5, 5}}, {"fc1", []int{120, 400}}, {"fc2", []int{84, 120}}, {"fc3", []int{10, 84}}}, []int{1, 28, 28},
		"{conv: conv1, padding: 2}, relu, {max_pool: 2}, {conv: conv2}, relu, {max_pool: 2}, flatten, {linear: fc1}, relu, {linear: fc2}, relu, {linear: fc3}"},
	{"one Sequential", []entry{{"1", []int{6, 1, 5, 5}}, {"4", []int{16, 6, 5, 5}}, {"8", []int{120, 256}}, {"10", []int{84, 120}}, {"12", []int{10, 84}}}, nil,
		"{conv: \"1\"}, relu, {max_pool: 2}, {conv: \"4\"}, relu, {max_pool: 2}, flatten, {linear: \"8\"}, relu, {linear: \"10\"}, relu, {linear: \"12\"}"},
	{"20 and 50 channels", []entry{{"features.0", []int{20, 1, 5, 5}}, {"features.3", []int{50, 20, 5, 5}}, {"classifier.0", []int{500, 800}}, {"classifier.2", []int{10, 500}}}, nil,
		"{conv: features.0}, relu, {max_pool: 2}, {conv: features.3}, relu, {max_pool: 2}, flatten, {linear: classifier.0}, relu, {linear: classifier.2}"},
	{"PyTorch's example", []entry{{"conv1", []int{32, 1, 3, 3}}, {"conv2", []int{64, 32, 3, 3}}, {"fc1", []int{128, 9216}}, {"fc2", []int{10, 128}}}, nil,
		"{conv: conv1}, relu, {conv: conv2}, relu, {max_pool: 2}, flatten, {linear: fc1}, relu, {linear: fc2}"},
	{"normalized, all convolutions first", []entry{{"c1", []int{8, 3, 3, 3}}, {"c2", []int{8, 8, 3, 3}}, {"n1!", []int{8}}, {"n2!", []int{8}}, {"fc", []int{10, 512}}}, []int{3, 32, 32},
		"{conv: c1, padding: 1}, {batch_norm: n1}, relu, {max_pool: 2}, {conv: c2, padding: 1}, {batch_norm: n2}, relu, {max_pool: 2}, flatten, {linear: fc}"},
	{"VGG", []entry{{"f.0", []int{8, 1, 3, 3}}, {"f.1!", []int{8}}, {"f.3", []int{8, 8, 3, 3}}, {"f.4!", []int{8}}, {"f.7", []int{16, 8, 3, 3}}, {"f.8!", []int{16}}, {"c", []int{10, 784}}}, nil,
		"{conv: f.0, padding: 1}, {batch_norm: f.1}, relu, {conv: f.3, padding: 1}, {batch_norm: f.4}, relu, {max_pool: 2}, {conv: f.7, padding: 1}, {batch_norm: f.8}, relu, {max_pool: 2}, flatten, {linear: c}"},
	{"features", []entry{{"net.0", []int{32, 20}}, {"net.2", []int{3, 32}}}, nil, "{linear: net.0}, relu, {linear: net.2}"},
	{"images as features", []entry{{"l1", []int{32, 784}}, {"l2", []int{10, 32}}}, []int{1, 28, 28}, "flatten, {linear: l1}, relu, {linear: l2}"},
	{"convolutions alone", []entry{{"a", []int{8, 1, 3, 3}}, {"b", []int{10, 8, 1, 1}}}, nil, "{conv: a, padding: 1}, relu, {conv: b}, {adaptive_avg_pool: 1}, flatten"},
}

// TestDraft finds the wiring that the network has among those that a draft leaves.
func TestDraft(t *testing.T) {
	for _, c := range lenets {
		sd := dict(t, c.weights...)
		n, err := layers.Draft(sd, c.input)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		list, _, err := n.Wirings(layers.ShapesOf(sd), 1000)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		found := slices.IndexFunc(list, func(w layers.Wiring) bool { return spelled(t, n.Fix(w)) == c.want })
		if found < 0 || found > 40 {
			t.Errorf("%s: of %d wirings the wanted one is number %d; the first is %s", c.name, len(list), found, spelled(t, n.Fix(list[0])))
		}
	}
}

func spelled(t *testing.T, n *layers.Net) string {
	t.Helper()
	list, err := n.Fixed()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, l := range list {
		words = append(words, l.String())
	}
	return strings.Join(words, ", ")
}

// TestGaps leaves out what the numbers of a Sequential contradict.
func TestGaps(t *testing.T) {
	sd := dict(t, entry{"f.0", []int{8, 1, 3, 3}}, entry{"f.1!", []int{8}}, entry{"f.3", []int{8, 8, 3, 3}}, entry{"f.4!", []int{8}}, entry{"f.7", []int{16, 8, 3, 3}}, entry{"f.8!", []int{16}}, entry{"c", []int{10, 784}})
	n, err := layers.Draft(sd, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := n.Wirings(layers.ShapesOf(sd), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		s := spelled(t, n.Fix(w))
		if between := s[strings.Index(s, "f.1"):strings.Index(s, "f.3")]; strings.Contains(between, "relu") && strings.Contains(between, "pool") {
			t.Errorf("two layers between f.1 and f.3: %s", s)
		}
		if strings.Contains(s, "{conv: f.0, padding: 1}, relu") {
			t.Errorf("an activation between f.0 and f.1: %s", s)
		}
	}
}

func TestDraftRefuses(t *testing.T) {
	for name, list := range map[string][]entry{
		"branch":    {{"conv1", []int{8, 3, 3, 3}}, {"conv2", []int{16, 8, 3, 3}}, {"down", []int{16, 8, 1, 1}}, {"fc", []int{10, 16}}},
		"embedding": {{"e", []int{8}}, {"fc", []int{10, 16}}},
		"nothing":   {},
		"no size":   {{"conv1", []int{8, 1, 5, 5}}, {"fc", []int{10, 8 * 7777777}}},
	} {
		_, err := layers.Draft(dict(t, list...), nil)
		var u *model.UnsupportedError
		if !errors.As(err, &u) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEncode reads a draft back, and compares it with its schema.
func TestEncode(t *testing.T) {
	schema := compile(t)
	for _, c := range lenets {
		n, err := layers.Draft(dict(t, c.weights...), c.input)
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := n.Encode(&first, "a comment"); err != nil {
			t.Fatal(err)
		}
		back, err := layers.Parse(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first.String())
		}
		if err := back.Encode(&second, "a comment"); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Errorf("%s: written\n%s\nread back\n%s", c.name, first.String(), second.String())
		}
		if err := validate(t, schema, first.String()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile("../../docs/schema/layers-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("layers", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("layers")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// TestParseRefuses has an error with its line for every rule, and what the
// schema can express it refuses too.
func TestParseRefuses(t *testing.T) {
	schema := compile(t)
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{"layers: [relu", "line 1"},
		{"layers: []", "no layers"},
		{"laiers: [relu]", "unknown key \"laiers\""},
		{"layers:\n  - relu\n  - rellu", "line 3: unknown layer \"rellu\""},
		{"layers:\n  - {conv: c, paddin: 1}", "line 2: conv has no setting \"paddin\""},
		{"layers:\n  - {conv: c, padding: -1}", "line 2: padding must be an integer from 0"},
		{"layers:\n  - {conv: c, stride: 0}", "line 2: stride must be an integer from 1"},
		{"layers:\n  - {conv: c, stride: [1, 1, 1]}", "line 2: stride must be a number or a list of two"},
		{"layers:\n  - {conv: c, stride: 1.5}", "line 2: stride must be an integer"},
		{"layers:\n  - {conv: }", "line 2: conv needs the path"},
		{"layers:\n  - conv", "line 2: conv needs the path"},
		{"layers:\n  - max_pool", "line 2: max_pool needs a size"},
		{"layers:\n  - {max_pool: 2, ceil: 1}", "line 2: ceil must be true or false"},
		{"layers:\n  - {batch_norm: b, epsilon: x}", "line 2: epsilon must be a number"},
		{"layers:\n  - {batch_norm: b, epsilon: -1}", "line 2: epsilon is -1"},
		{"layers:\n  - {leaky_relu: x}", "line 2: leaky_relu must be a number"},
		{"layers:\n  - {relu: 1}", "line 2: relu takes no value"},
		{"layers:\n  - {flatten: last}", "line 2: flatten must be"},
		{"layers:\n  - {one_of: []}", "line 2: one_of must be a list"},
		{"layers:\n  - {one_of: [relu], padding: 1}", "line 2: one_of must be a list"},
		{"layers:\n  - activation", "line 2: the file does not say what activation stands for"},
		{"layers:\n  - {pool: 2}", "line 2: the file does not say what pool stands for"},
		{"activation: flatten\nlayers: [activation]", "line 1: flatten is not an activation"},
		{"pooling: relu\nlayers: [{pool: 2}]", "line 1: pooling must be"},
		{"input: [1, 2]\nlayers: [relu]", "line 1: input must be"},
		{"input: 0\nlayers: [relu]", "line 1: a size of the input"},
		{"layers:\n  - &a relu\n  - *a", "line 2: unknown layer"},
		{"layers:\n  - {conv: &a c}", "line 2: anchors"},
		{"layers:\n  - relu\nlayers:\n  - relu", "occurs twice"},
		{"layers:\n  - {}", "line 2: unknown layer"},
		{"- relu", "a mapping"},
	} {
		_, err := layers.Parse(strings.NewReader(c.text))
		var f *model.FormatError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if c.text == "" || strings.ContainsAny(c.text, "&") || strings.Contains(c.text, "[relu") && !strings.Contains(c.text, "]") || strings.Contains(err.Error(), "twice") ||
			strings.Contains(c.want, "stands for") {
			continue // the schema sees what YAML makes of it
		}
		if validate(t, schema, c.text) == nil {
			t.Errorf("%q: the schema accepts it", c.text)
		}
	}
}

// TestAfter compares sizes with those that PyTorch documents.
func TestAfter(t *testing.T) {
	sd := dict(t, entry{"c", []int{4, 1, 5, 3}}, entry{"d", []int{6, 2, 3, 3}})
	for _, c := range []struct {
		in   []int
		text string
		want []int
	}{
		{[]int{1, 28, 28}, "{conv: c}", []int{4, 24, 26}},
		{[]int{1, 28, 28}, "{conv: c, stride: 2, padding: [2, 1]}", []int{4, 14, 14}},
		{[]int{1, 28, 28}, "{conv: c, dilation: 2}", []int{4, 20, 24}},
		{[]int{4, 8, 8}, "{conv: d}", []int{6, 6, 6}}, // two groups
		{[]int{3, 8, 8}, "{conv: d}", nil},
		{[]int{1, 4, 4}, "{conv: c}", nil},
		{[]int{4, 7, 7}, "{max_pool: 2}", []int{4, 3, 3}},
		{[]int{4, 7, 7}, "{max_pool: 2, ceil: true}", []int{4, 4, 4}},
		{[]int{4, 7, 7}, "{max_pool: 3, stride: 2, padding: 1}", []int{4, 4, 4}},
		{[]int{4, 7, 7}, "{max_pool: 2, padding: 2}", nil},
		{[]int{4, 1, 1}, "{max_pool: 2, padding: 1, ceil: true}", []int{4, 1, 1}},
		{[]int{4, 7, 7}, "{adaptive_avg_pool: [2, 3]}", []int{4, 2, 3}},
		{[]int{4, 7, 7}, "flatten", []int{196}},
		{[]int{196}, "{max_pool: 2}", nil},
		{[]int{4, 7, 7}, "relu", []int{4, 7, 7}},
	} {
		n, err := layers.Parse(strings.NewReader("layers: [" + c.text + "]"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.Slots[0].Alternatives[0][0].After(c.in, layers.ShapesOf(sd))
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s of %v: %v, %v; want %v", c.text, c.in, got, err, c.want)
		}
	}
}

// FuzzParse reads anything: what is read can be written and read again.
func FuzzParse(f *testing.F) {
	for _, c := range lenets[:3] {
		n, err := layers.Draft(dict(f, c.weights...), c.input)
		if err != nil {
			f.Fatal(err)
		}
		var b strings.Builder
		if err := n.Encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.String())
	}
	f.Add("input: 5\nlayers: [{one_of: [relu, [], [tanh, {elu: 0.5}]]}, {flatten: channels_last}]")
	f.Add("layers: [{one_of: [[]]}]")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := layers.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		var b strings.Builder
		if err := n.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := layers.Parse(strings.NewReader(b.String())); err != nil {
			t.Errorf("%v in\n%s", err, b.String())
		}
		if n.Input != nil {
			_, _, _ = n.Wirings(func(string) []int { return []int{2, 2, 1, 1} }, 10)
		}
	})
}

// FuzzDraft drafts state dicts of any names and shapes.
func FuzzDraft(f *testing.F) {
	f.Add("a.weight,b.weight,c.running_mean,f.3.weight", []byte{4, 6, 1, 5, 5, 2, 10, 6, 1, 6, 4, 6, 6, 3, 3})
	f.Add("a.weight,b.weight,c.running_mean,f.3.weight", []byte{4, 2, 10, 6, 5, 6, 1, 5, 1, 6, 4, 6, 6, 3, 3}) // a normalization without an axis
	f.Fuzz(func(t *testing.T, names string, sizes []byte) {
		var entries []model.Entry
		for _, name := range strings.Split(names, ",") {
			if len(sizes) == 0 || len(entries) > 40 {
				break
			}
			rank := min(int(sizes[0])%5, len(sizes)-1)
			shape := make([]int, rank)
			for i := range shape {
				shape[i] = int(sizes[1+i])
			}
			sizes = sizes[1+rank:]
			x, err := model.NewTensor(model.Float32, shape, make([]int, rank), 0, model.BytesStorage(make([]byte, 4)))
			if err != nil {
				t.Skip()
			}
			entries = append(entries, model.Entry{Name: name, Tensor: x})
		}
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Skip()
		}
		n, err := layers.Draft(sd, nil)
		var u *model.UnsupportedError
		if err != nil && !errors.As(err, &u) {
			t.Fatal(err)
		}
		if err == nil {
			if _, _, err := n.Wirings(layers.ShapesOf(sd), 10); err != nil {
				t.Error(err)
			}
		}
	})
}
