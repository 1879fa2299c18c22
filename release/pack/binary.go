package main

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"os"
	"slices"
	"strings"
)

// inspect returns an error unless a binary is a program for the operating system
// and processor, needs no library but those of the system itself, and has the
// version and the commit in it.
func inspect(path, goos, goarch, version, commit string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var machine string
	var libraries []string
	switch r := bytes.NewReader(data); goos {
	case "linux":
		machine, libraries, err = inspectELF(r)
	case "darwin":
		machine, libraries, err = inspectMachO(r)
	case "windows":
		machine, libraries, err = inspectPE(r)
	default:
		err = fmt.Errorf("unknown operating system %q", goos)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: no program for %s: %w", path, goos, err)
	case machine != goarch:
		return fmt.Errorf("%s: a program for %q, want %s", path, machine, goarch)
	case len(libraries) > 0:
		return fmt.Errorf("%s: needs libraries: %s", path, strings.Join(libraries, ", "))
	}
	for _, text := range []string{version, commit} {
		if text == "" || !bytes.Contains(data, []byte(text)) {
			return fmt.Errorf("%s: has no %q in it", path, text)
		}
	}
	return nil
}

// inspectELF returns the processor as Go calls it, and the interpreter and the
// libraries that a program needs: a static one has neither.
func inspectELF(r *bytes.Reader) (machine string, libraries []string, err error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "", nil, err
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return "", nil, fmt.Errorf("%v", f.Type)
	}
	if libraries, err = f.ImportedLibraries(); err != nil {
		return "", nil, err
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		libraries = append(libraries, "an interpreter")
	}
	return map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine], libraries, nil
}

// inspectMachO is inspectELF for macOS, where a program reaches the kernel by
// libraries of the system, which therefore do not count.
func inspectMachO(r *bytes.Reader) (machine string, libraries []string, err error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return "", nil, err
	}
	if f.Type != macho.TypeExec {
		return "", nil, fmt.Errorf("%v", f.Type)
	}
	if libraries, err = f.ImportedLibraries(); err != nil {
		return "", nil, err
	}
	libraries = slices.DeleteFunc(libraries, func(name string) bool {
		return strings.HasPrefix(name, "/usr/lib/") || strings.HasPrefix(name, "/System/Library/Frameworks/")
	})
	return map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu], libraries, nil
}

// inspectPE is inspectELF for Windows, where every program needs kernel32.dll.
func inspectPE(r *bytes.Reader) (machine string, libraries []string, err error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return "", nil, err
	}
	if f.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE == 0 || f.Characteristics&pe.IMAGE_FILE_DLL != 0 {
		return "", nil, fmt.Errorf("characteristics %#x", f.Characteristics)
	}
	symbols, err := f.ImportedSymbols() // as function:library
	if err != nil {
		return "", nil, err
	}
	for _, s := range symbols {
		name := strings.ToLower(s[strings.LastIndex(s, ":")+1:])
		if name != "kernel32.dll" && !slices.Contains(libraries, name) {
			libraries = append(libraries, name)
		}
	}
	return map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine], libraries, nil
}
