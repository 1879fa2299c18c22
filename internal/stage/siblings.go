package stage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Siblings opens files in the folder of an input, which no link leads out of.
type Siblings struct {
	folder string
	root   *os.Root
	files  []*Input
}

// Beside returns the siblings of the file at path.
func Beside(path string) *Siblings { return &Siblings{folder: filepath.Dir(path)} }

// Open opens the file at a location, which stays open until Close.
func (s *Siblings) Open(location string) (io.ReaderAt, int64, error) {
	if s.root == nil {
		root, err := os.OpenRoot(s.folder)
		if err != nil {
			return nil, 0, fmt.Errorf("cannot open the folder %s: %w", s.folder, Cause(err))
		}
		s.root = root
	}
	name := filepath.FromSlash(location)
	info, err := s.root.Stat(name) // before it is opened: a pipe may never open
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var f *os.File
	if err == nil {
		f, err = s.root.Open(name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot open %s: %w", filepath.Join(s.folder, name), Cause(err))
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("cannot open %s: %w", filepath.Join(s.folder, name), Cause(err))
	}
	in := &Input{ReaderAt: f, Size: info.Size(), Name: filepath.Join(s.folder, name), file: f, opened: info}
	s.files = append(s.files, in)
	return in, in.Size, nil
}

// Unchanged is [Input.Unchanged] of all files.
func (s *Siblings) Unchanged() error {
	for _, in := range s.files {
		if err := in.Unchanged(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all of them.
func (s *Siblings) Close() {
	for _, f := range s.files {
		f.Close()
	}
	if s.root != nil {
		s.root.Close()
	}
}
