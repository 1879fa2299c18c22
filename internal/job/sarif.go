package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"lethe/internal/terminal"
	"lethe/internal/version"
	"lethe/scan"
)

// The parts of SARIF 2.1.0 that a scan needs.
type (
	sarifFile struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool      sarifTool       `json:"tool"`
		Artifacts []sarifArtifact `json:"artifacts"`
		Results   []sarifResult   `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifArtifact struct {
		Location sarifURI          `json:"location"`
		Length   int64             `json:"length"`
		Hashes   map[string]string `json:"hashes,omitempty"`
	}
	sarifURI struct {
		URI   string `json:"uri"`
		Index *int   `json:"index,omitempty"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifURI     `json:"artifactLocation"`
		Region   *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		ByteOffset int64 `json:"byteOffset"`
		ByteLength int64 `json:"byteLength"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

// sarifRules are the kinds of findings, and the one for what could not be read.
var sarifRules = []sarifRule{
	{string(scan.KindGlobal), sarifText{"A pickle refers to a class or a function."}},
	{string(scan.KindCall), sarifText{"A pickle calls something when it is loaded."}},
	{string(scan.KindState), sarifText{"A pickle changes a class, a function or a foreign object."}},
	{string(scan.KindSpelling), sarifText{"An instruction that two unpicklers read differently."}},
	{string(scan.KindExternal), sarifText{"The program that loads the file decides what it means."}},
	{string(scan.KindBytes), sarifText{"Bytes that belong to nothing."}},
	{string(scan.KindReadings), sarifText{"Two loaders see different contents."}},
	{string(scan.KindMember), sarifText{"A member that the archive has no place for."}},
	{string(scan.KindNesting), sarifText{"Archives within archives."}},
	{string(scan.KindCode), sarifText{"Source or machine code."}},
	{string(scan.KindFormat), sarifText{"A format that is known and not read in detail."}},
	{"incomplete", sarifText{"Something could not be read to its end."}},
}

// sarifLog makes the log for dashboards.
func sarifLog(files []ScannedFile) sarifFile {
	run := sarifRun{Tool: sarifTool{sarifDriver{"ptcheck", version.String(), nil}}, Artifacts: []sarifArtifact{}, Results: []sarifResult{}}
	index := map[string]int{}
	for i, r := range sarifRules {
		index[r.ID] = i
		r.ID = ruleID(r.ID)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r)
	}
	levels := map[scan.Level]string{scan.Notice: "note", scan.Unknown: "warning", scan.Danger: "error"}
	for i, f := range files {
		uri := fileURI(f.File)
		artifact := sarifArtifact{Location: sarifURI{URI: uri}, Length: f.Bytes}
		if f.SHA256 != "" {
			artifact.Hashes = map[string]string{"sha-256": f.SHA256}
		}
		run.Artifacts = append(run.Artifacts, artifact)
		add := func(kind, level, text string, x scan.Finding) {
			at := sarifLocation{Physical: sarifPhysical{Artifact: sarifURI{uri, &i}}}
			if x.Member != "" {
				at.Logical = []sarifLogical{{terminal.Escape(x.Member)}}
			} else if x.Offset < f.Bytes {
				at.Physical.Region = &sarifRegion{x.Offset, 1}
			}
			sum := sha256.Sum256([]byte(kind + "\x00" + x.What + "\x00" + x.Why + "\x00" + x.Member))
			run.Results = append(run.Results, sarifResult{ruleID(kind), index[kind], level, sarifText{text + " (" + Where(x) + ")"},
				[]sarifLocation{at}, map[string]string{"finding/v1": hex.EncodeToString(sum[:16])}})
		}
		for _, x := range f.Findings {
			add(string(x.Kind), levels[x.Level], fmt.Sprintf("%s: %s", terminal.Escape(x.What), terminal.Escape(x.Why)), x)
		}
		for _, g := range f.Gaps {
			add("incomplete", "error", terminal.Escape(g.What), scan.Finding{What: g.What, Member: g.Member, Offset: g.Offset})
		}
		if f.More > 0 {
			add("incomplete", "error", fmt.Sprintf("%d more findings are not listed", f.More), scan.Finding{})
		}
	}
	return sarifFile{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}

// ruleID is the name of a rule.
func ruleID(kind string) string { return "scan/" + strings.ReplaceAll(kind, " ", "-") }

// fileURI is the path of a file as a relative or a file reference.
func fileURI(path string) string {
	u := url.URL{Path: filepath.ToSlash(path)}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
	}
	return strings.TrimPrefix(u.String(), "./")
}
