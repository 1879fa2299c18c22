package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// What people have fits the default memory, and takes no more than it.
func TestManyOfEach(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads files of some megabytes")
	}
	integers := func(n int) string {
		var b strings.Builder
		for i := 0; i < n; i += batch {
			b.WriteString("(")
			for j := range batch {
				b.WriteString("J" + string(binary.LittleEndian.AppendUint32(nil, uint32(1000+i+j))))
			}
			b.WriteString("e")
		}
		return b.String()
	}
	var vocabulary, tensors strings.Builder
	vocabulary.WriteString("}q\x00")
	memo := 1
	for i := 0; i < 600_000; i += batch {
		vocabulary.WriteString("(")
		for j := range batch {
			vocabulary.WriteString(textCode(fmt.Sprintf("word%d", i+j)))
			if memo < 256 {
				vocabulary.WriteString("q" + string([]byte{byte(memo)}))
			} else {
				vocabulary.WriteString("r" + string(binary.LittleEndian.AppendUint32(nil, uint32(memo))))
			}
			memo++
			vocabulary.WriteString("J" + string(binary.LittleEndian.AppendUint32(nil, uint32(i+j))))
		}
		vocabulary.WriteString("u")
	}
	beside := func(code string) []byte { // {"w": tensor, "x": ...}
		return withPickle(t, code+"r"+string(binary.LittleEndian.AppendUint32(nil, uint32(memo)))+"0}("+textCode("w")+w0+textCode("x")+"j"+string(binary.LittleEndian.AppendUint32(nil, uint32(memo)))+"u.")
	}
	const count = 100_000
	records := []record{{"data.pkl", nil}}
	tensors.WriteString("\x80\x02}(")
	for i := range count {
		key := fmt.Sprint(i)
		tensors.WriteString(textCode("layers."+key+".weight") + tensorCode(storageCode("FloatStorage", key, 1), "K\x00", "K\x01K\x01\x86", "K\x01K\x01\x86"))
		records = append(records, record{"data/" + key, []byte{0, 0, 128, 63}})
	}
	tensors.WriteString("u.")
	records[0].data = []byte(tensors.String())
	vocabularyFile := beside(vocabulary.String())
	memo = 0
	for name, c := range map[string]struct {
		b    []byte
		want int
	}{
		"100,000 tensors":            {pack(t, "many", append(records, record{"version", []byte("3\n")})...), count},
		"a vocabulary of 600,000":    {vocabularyFile, 1},
		"2 million numbers in lists": {beside("]" + integers(2_000_000)), 1},
	} {
		before := vectors.Allocated()
		info, err := Inspect(bytes.NewReader(c.b), int64(len(c.b)), Options{})
		used := vectors.Allocated() - before
		if err != nil || len(info.Entries) != c.want {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d MiB allocated", name, used>>20)
		if limit := uint64(Limits{}.orDefaults().Memory); used > 2*limit {
			t.Errorf("%s: %d bytes allocated, twice the limit is %d", name, used, 2*limit)
		}
		// With less than is there, the error says how to have more.
		_, err = Inspect(bytes.NewReader(c.b), int64(len(c.b)), Options{Limits: Limits{Memory: 16 << 20}})
		var l *model.LimitError
		if !errors.As(err, &l) || l.Unit != "bytes" || l.Flag != "max-memory" || !strings.Contains(err.Error(), "raise it with --max-memory") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
