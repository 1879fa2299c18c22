package onnxio

import (
	"fmt"
	"io"
	"math"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"lethe/model"
)

// ExternalFile is a file with tensor data beside the model.
type ExternalFile struct {
	Location string // relative to the model's folder, with slashes
	Size     int64
	r        io.ReaderAt
	mu       sync.Mutex
	storages map[span]*model.Storage // by range: tensors over the same bytes are tied
}

// external is where in a file outside the elements of a tensor are.
type external struct {
	file *ExternalFile
	at   span
}

// locate opens the files outside that the tensors of the model name, wherever
// in the model they are.
func (s *scan) locate() error {
	opened := map[string]*ExternalFile{}
	for _, t := range s.file.located {
		if len(t.raws)+len(t.lists) > 0 {
			return broken(t.member(), "it has elements in the model and in another file")
		}
		values := map[string]string{}
		for _, e := range t.entries {
			if _, twice := values[e.key]; twice {
				return broken(t.member(), "its external data has the key %q twice", e.key)
			}
			values[e.key] = e.value
		}
		location := values["location"]
		if err := checkLocation(location, t.member()); err != nil {
			return err
		}
		file := opened[location]
		if file == nil {
			if s.opens == nil {
				return &model.UnsupportedError{What: fmt.Sprintf("the data of %q is in another file, %q", t.name, location),
					Advice: "name the model by its path, with that file beside it"}
			}
			r, size, err := s.opens(location)
			if err != nil {
				return fmt.Errorf("the data of %q is in another file: %w", t.name, err)
			}
			file = &ExternalFile{Location: location, Size: size, r: r, storages: map[span]*model.Storage{}}
			opened[location] = file
			s.file.outside = append(s.file.outside, file)
		}
		start, err := position(values, "offset", 0, t.member())
		if err != nil {
			return err
		}
		if start > file.Size {
			return broken(t.member(), "its data begins at byte %d of %q, which has %d", start, location, file.Size)
		}
		length, err := position(values, "length", file.Size-start, t.member())
		if err != nil {
			return err
		}
		if length > file.Size-start {
			return broken(t.member(), "its data, %d bytes from byte %d on, leaves %q, which has %d; is it another version of that file?", length, start, location, file.Size)
		}
		if _, given := values["length"]; !given && t.number < uint64(len(elementTypes)) && !t.badDims {
			if n, ok := model.Elements(t.dims); ok && n <= math.MaxInt/16 {
				length = min(length, elementTypes[t.number].rawBytes(n))
			}
		}
		t.place = &external{file, span{start, start + length}}
	}
	return nil
}

// checkLocation refuses paths that lead out of the model's folder.
func checkLocation(location, member string) error {
	if location == "" {
		return broken(member, "its data is in another file that has no location")
	}
	if !filepath.IsLocal(location) || path.IsAbs(location) || strings.ContainsAny(location, "\\\x00") || strings.Contains(location, ":") {
		return broken(member, "its data is at %q, which is not a path inside the model's folder", location)
	}
	return nil
}

// position reads a number of external data.
func position(values map[string]string, key string, def int64, member string) (int64, error) {
	text, ok := values[key]
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, broken(member, "the %s of its external data is %q, no number of bytes", key, text)
	}
	return n, nil
}

func (t *tensorProto) member() string { return "initializer " + t.name }

// settle checks the form of a weight and gives it its elements, which stay
// where they are.
func (s *scan) settle(t *tensorProto) (err error) {
	if t.segment {
		return &model.UnsupportedError{What: fmt.Sprintf("initializer %q is stored in segments", t.name)}
	}
	if t.t, err = typeOf(t.number, t.member()); err != nil {
		return err
	}
	var ok bool
	if t.n, ok = model.Elements(t.dims); !ok || t.badDims {
		return broken(t.member(), "shape %v is negative or has more elements than an int can count", t.dims)
	}
	storage, err := s.storage(t)
	if err != nil {
		return err
	}
	t.tensor, err = model.NewTensor(t.t.dtype, t.dims, nil, 0, storage)
	if err != nil {
		return broken(t.member(), "%v", err)
	}
	return nil
}

// storage returns the elements of a weight.
func (s *scan) storage(t *tensorProto) (*model.Storage, error) {
	if t.n > math.MaxInt/16 {
		return nil, broken(t.member(), "shape %v has more bytes than an int can count", t.dims)
	}
	size := t.t.rawBytes(t.n)
	short := func(got int64) error {
		return broken(t.member(), "shape %v has %d %v elements of %d bytes, but there are %d bytes", t.dims, t.n, t.t.dtype, size, got)
	}
	inMemory := int64(t.n) * int64(t.t.dtype.Size())
	if t.place != nil {
		at := t.place.at
		if at.len() != size {
			return nil, short(at.len())
		}
		t.place.file.mu.Lock()
		defer t.place.file.mu.Unlock()
		if st := t.place.file.storages[at]; st != nil && st.Size() == inMemory {
			return st, nil
		}
		st := t.t.storage(io.NewSectionReader(t.place.file.r, at.start, size), inMemory)
		t.place.file.storages[at] = st
		return st, nil
	}
	switch {
	case len(t.raws)+len(t.lists) > 1:
		return nil, broken(t.member(), "it has two sets of elements")
	case len(t.raws) == 1:
		if got := t.raws[0].len(); got != size {
			return nil, short(got)
		}
		return t.t.storage(io.NewSectionReader(s.w.r, t.raws[0].start, size), inMemory), nil
	case len(t.lists) == 0:
		if size > 0 {
			return nil, short(0)
		}
		return model.BytesStorage(nil), nil
	case !t.lists[t.t.list]:
		return nil, broken(t.member(), "%v elements are in the list of another type", t.t.dtype)
	}
	count, width := t.t.listed(t.n)
	got, err := s.listed(t)
	if err != nil {
		return nil, err
	}
	if got != count {
		return nil, short(got * int64(width))
	}
	if whole, ok := t.flat(); ok {
		return t.t.storage(io.NewSectionReader(s.w.r, whole.start, size), inMemory), nil
	}
	data := &listData{file: s.w.r, size: s.w.size, tensor: t.path[len(t.path)-1].value, list: t.t.list, width: width}
	if t.t.bits == 6 { // a number for each element
		return model.NewStorage(data, inMemory), nil
	}
	return t.t.storage(data, inMemory), nil
}

// flat returns the range of typed data that lies as raw_data would: one packed
// list of numbers of a fixed width.
func (t *tensorProto) flat() (span, bool) {
	if t.loose || len(t.packed) != 1 || listWires[t.t.list] == wireVarint {
		return span{}, false
	}
	return t.packed[0].value, true
}

// listed counts the numbers of typed data.
func (s *scan) listed(t *tensorProto) (n int64, err error) {
	wire := listWires[t.t.list]
	for _, chunk := range t.packed {
		more, err := s.w.count(chunk.value, wire)
		if err != nil {
			return 0, err
		}
		n += more
	}
	if !t.loose {
		return n, nil
	}
	err = s.w.each(t.path[len(t.path)-1].value, func(f field) error {
		if f.number == t.t.list && f.wire == wire {
			n++
		}
		return nil
	})
	return n, err
}

// storage returns elements that lie in r as in raw_data. size counts the bytes
// that they have in memory.
func (e *elementType) storage(r io.ReaderAt, size int64) *model.Storage {
	if e.bits < 8 {
		r = unpacked{r, e}
	}
	return model.NewStorage(r, size)
}
