package pickle

import (
	"io"

	"lethe/model"
)

// Info is what a checkpoint says about itself, without its tensor data.
type Info struct {
	Container string   // "zip", "legacy", "torchscript" or "pt2"
	Root      string   // the folder inside the archive, often the first name of the file
	Protocol  int      // of the pickle
	BigEndian bool     // byte order of the elements in the file
	Path      []string // keys that lead from the pickled object to the state dict; empty if it is the object
	Members   []Member // in the order of the file
	Entries   []Entry  // of the state dict, in order
}

// Member is one record of the archive.
type Member struct {
	Name   string // with the root
	Offset int64  // of the data in the file
	Size   int64
}

// Entry is one tensor of the state dict.
type Entry struct {
	Name     string
	DType    model.DType
	Shape    []int
	Strides  []int  // in elements
	Offset   int    // of the first element in the storage, in elements
	Storage  string // key of the record data/KEY
	Bytes    int64  // size of the whole storage
	Location string // device that it was saved from, such as "cpu" or "cuda:0"
	Sharing  int    // entries over that storage, this one included
}

// Inspect reads the structure of a checkpoint. It finds everything that
// [Decode] finds, except a wrong CRC of tensor data.
func Inspect(r io.ReaderAt, size int64, opts Options) (*Info, error) {
	c, err := open(r, size, opts)
	if err != nil {
		return nil, err
	}
	return c.Info(), nil
}

// Info returns the structure of the file that the checkpoint was read from.
func (c *Checkpoint) Info() *Info {
	info := &Info{Container: c.container, Root: c.folder, Protocol: c.protocol, BigEndian: c.settings[orderRecord] == "big", Path: c.path}
	if c.a != nil {
		for _, m := range c.a.members {
			info.Members = append(info.Members, Member{m.name, m.data, m.size})
		}
	}
	sharing := map[*storage]int{}
	for _, e := range c.entries {
		sharing[e.storage]++
	}
	for _, e := range c.entries {
		info.Entries = append(info.Entries, Entry{
			Name: e.name, DType: e.DType(), Shape: e.Shape(), Strides: e.Strides(), Offset: e.Offset(),
			Storage: e.storage.key, Bytes: e.storage.size, Location: e.storage.location, Sharing: sharing[e.storage],
		})
	}
	return info
}
