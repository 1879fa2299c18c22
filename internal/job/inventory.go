package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"lethe/file"
	"lethe/internal/stage"
	"lethe/internal/weights"
)

// Inventory is what a file with a state dict holds, as a command prints it.
type Inventory struct {
	SHA256    string           `json:"sha256"`
	Bytes     int64            `json:"bytes"`
	Container string           `json:"container"`
	Protocol  int              `json:"pickle_protocol,omitempty"`
	Path      []string         `json:"path_to_state_dict,omitempty"`
	Beside    []string         `json:"beside_state_dict,omitempty"` // names of Left
	Entries   []InventoryEntry `json:"entries"`
	Left      []file.Left      `json:"-"` // what is not in Entries
}

// InventoryEntry is a tensor.
type InventoryEntry struct {
	Name     string `json:"name"`
	DType    string `json:"dtype"`
	Shape    []int  `json:"shape"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`            // of the elements in C order, little-endian
	Storage  string `json:"storage,omitempty"` // key of the record that holds the elements
	Sharing  int    `json:"sharing,omitempty"` // entries over that record, if more than one
	Location string `json:"location,omitempty"`
}

// List returns what the file at path holds.
func List(ctx context.Context, path string, r Reading, std stage.Streams) (*Inventory, error) {
	n, err := weights.Open(ctx, path, std.In, r.Options)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	n.StartDigest()
	info := n.File().Info()
	list := &Inventory{Container: info.Container, Protocol: info.Protocol, Path: info.Path, Left: info.Beside}
	for _, e := range info.Entries {
		t := n.State.Get(e.Name)
		r, err := t.Reader()
		if err != nil {
			return nil, err
		}
		h := sha256.New()
		size, err := io.Copy(h, r)
		if err != nil {
			return nil, err
		}
		line := InventoryEntry{e.Name, t.DType().String(), t.Shape(), size, hex.EncodeToString(h.Sum(nil)), e.Storage, 0, e.Location}
		if e.Sharing > 1 {
			line.Sharing = e.Sharing
		}
		list.Entries = append(list.Entries, line)
	}
	digest, err := n.Digest()
	if err != nil {
		return nil, err
	}
	list.SHA256, list.Bytes = digest.SHA256, digest.Bytes
	for _, left := range info.Beside {
		list.Beside = append(list.Beside, left.Name)
	}
	return list, nil
}
