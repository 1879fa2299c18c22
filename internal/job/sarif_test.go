package job

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"lethe/internal/terminal"
	"lethe/scan"
)

// The log has what the schema of SARIF 2.1.0 and dashboards ask for: a rule for
// every result, levels and kinds of its lists, references that are URIs, and
// positions within the file.
func TestSARIF(t *testing.T) {
	files := []ScannedFile{
		{File: "a b/ü\x1b.pt", Bytes: 10, SHA256: "00", Findings: []scan.Finding{
			{Level: scan.Danger, Kind: scan.KindReadings, What: "x\x1b[31m", Why: "y", Offset: 3},
			{Level: scan.Unknown, Kind: scan.KindGlobal, What: "m.C", Member: "m/data.pkl", Offset: 7, Opcode: "GLOBAL"},
			{Level: scan.Notice, Kind: scan.KindCode, What: "z", Offset: 10},
		}},
		{File: "/b.pt", Gaps: []scan.Gap{{What: "cut", Offset: 0}}, More: 2},
	}
	var b bytes.Buffer
	if err := terminal.PrintJSON(&b, sarifLog(files)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "null") {
		t.Errorf("got %s", b.String())
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Artifacts []struct{ Location struct{ URI string } }
			Results   []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct {
							URI   string
							Index int
						}
						Region *struct{ ByteOffset, ByteLength int64 }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatal(err, b.String())
	}
	run := log.Runs[0]
	if got := run.Artifacts[0].Location.URI + " " + run.Artifacts[1].Location.URI; got != "a%20b/%C3%BC%1B.pt file:///b.pt" {
		t.Errorf("got %s", got)
	}
	var levels []string
	for _, r := range run.Results {
		levels = append(levels, r.Level)
		at := r.Locations[0].PhysicalLocation
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || run.Artifacts[at.ArtifactLocation.Index].Location.URI != at.ArtifactLocation.URI || r.Message.Text == "" {
			t.Errorf("got %+v", r)
		}
		if at.Region != nil && at.Region.ByteOffset+at.Region.ByteLength > 10 {
			t.Errorf("got %+v", at.Region)
		}
	}
	if got := strings.Join(levels, " "); got != "error warning note error error" {
		t.Errorf("got %s", got)
	}
}
