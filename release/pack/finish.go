package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// repository is the place that a checkout names as the home of the source.
const repository = "urn:lethe:source"

// finish writes what is about all files of a release.
func finish(dir, version, commit string, binaries []string, date time.Time) error {
	log, err := changelog(version, date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), log, 0o644); err != nil {
		return err
	}
	modules, toolchain, err := linked(binaries)
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, fmt.Sprintf("lethe-%s.cdx.json", version)), bill(version, commit, toolchain, modules, date)); err != nil {
		return err
	}
	sums, err := digests(dir)
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, fmt.Sprintf("lethe-%s.intoto.json", version)), provenance(version, commit, toolchain, modules, sums)); err != nil {
		return err
	}
	if sums, err = digests(dir); err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&b, "%s  %s\n", s.sha256, s.name)
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// linked returns the modules in the binaries, each once, and Go's version.
func linked(binaries []string) (modules []*debug.Module, toolchain string, err error) {
	listed := map[string]bool{}
	for _, path := range binaries {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, "", err
		}
		toolchain = info.GoVersion
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			if !listed[m.Path] {
				listed[m.Path] = true
				modules = append(modules, m)
			}
		}
	}
	slices.SortFunc(modules, func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, toolchain, nil
}

type object = map[string]any

// bill is the bill of materials, CycloneDX 1.6.
func bill(version, commit, toolchain string, modules []*debug.Module, date time.Time) object {
	own := "pkg:generic/lethe@" + version
	components, refs := []object{}, []string{}
	add := func(name, version, purl string, more object) {
		c := object{"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": "required"}
		for k, v := range more {
			c[k] = v
		}
		components, refs = append(components, c), append(refs, purl)
	}
	release := strings.TrimPrefix(toolchain, "go")
	add("std", release, "pkg:golang/std@"+release, object{"licenses": []object{{"license": object{"id": "BSD-3-Clause"}}}})
	for _, m := range modules {
		add(m.Path, m.Version, "pkg:golang/"+m.Path+"@"+m.Version, object{"properties": []object{{"name": "go:sum", "value": m.Sum}}})
	}
	// A number of its own, the same for the same release.
	id := sha256.Sum256([]byte("lethe bill of materials\n" + version + "\n" + commit + "\n" + strings.Join(refs, "\n")))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	serial := fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
	return object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": serial,
		"metadata": object{
			"timestamp": date.Format(time.RFC3339),
			"component": object{"type": "application", "bom-ref": own, "name": "lethe", "version": version, "purl": own,
				"licenses":   []object{{"license": object{"id": "Apache-2.0"}}},
				"properties": []object{{"name": "git:commit", "value": commit}}},
		},
		"components":   components,
		"dependencies": []object{{"ref": own, "dependsOn": refs}},
	}
}

// digest is the name and the checksum of a file.
type digest struct{ name, sha256 string }

// digests returns those of all files in a folder but SHA256SUMS, by name.
func digests(dir string) ([]digest, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []digest
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		all = append(all, digest{e.Name(), hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// provenance is a statement of in-toto with the predicate of SLSA, version 1. It
// is not signed and says so: whoever publishes a release signs it.
func provenance(version, commit, toolchain string, modules []*debug.Module, sums []digest) object {
	var subjects []object
	for _, s := range sums {
		subjects = append(subjects, object{"name": s.name, "digest": object{"sha256": s.sha256}})
	}
	from := []object{
		{"uri": repository, "digest": object{"gitCommit": commit}},
		{"uri": "pkg:golang/toolchain@" + toolchain, "name": "toolchain"},
	}
	for _, m := range modules {
		from = append(from, object{"uri": "pkg:golang/" + m.Path + "@" + m.Version, "annotations": object{"go.sum": m.Sum}})
	}
	return object{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": object{
			"buildDefinition": object{
				"buildType":            "urn:lethe:release/build/v1",
				"externalParameters":   object{"version": version, "script": "release/build"},
				"internalParameters":   object{},
				"resolvedDependencies": from,
			},
			"runDetails": object{"builder": object{"id": "urn:lethe:release/build", "version": object{"go": toolchain}}},
		},
	}
}

// writeJSON writes a value with its keys in order.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
