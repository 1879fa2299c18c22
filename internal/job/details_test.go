package job

import (
	"strings"
	"testing"

	"lethe/report"
	"lethe/verify"
)

func TestPrintDetails(t *testing.T) {
	r := &verify.Report{
		Comparison: &verify.Comparison{L2: 5, Layers: []verify.Layer{{Name: "fc", L2: 3, Share: 0.36}, {Name: "fc1", L2: 4, Share: 0.64}}},
		Data: &verify.Data{
			Predicted:   []verify.Predicted{{Class: 0, Label: "Shoe", Before: 0.25, After: 1}, {Class: 1, Label: "Hat", Before: 0.75}},
			TrainBefore: &verify.Measures{Confusion: [][]int{{10, 0}, {1, 3}}},
			TrainAfter:  &verify.Measures{Confusion: [][]int{{10, 0}, {4, 0}}},
		},
		Audit: &verify.Audit{
			Retrained: []report.Recipe{{Images: 54, Steps: 7}, {}, {}},
			Measures: []verify.AuditMeasure{
				{Title: "linear probe", Before: &verify.Estimate{Value: 0.9, Low: 0.8, High: 1}, After: &verify.Estimate{Value: 0.8, Low: 0.7, High: 0.9}, Retrained: &verify.Estimate{Value: 0.5, Low: 0.4, High: 0.6}},
				{Name: "relearning_steps", Title: "relearning (steps)", Before: &verify.Estimate{}, After: &verify.Estimate{Value: 6.2, Low: 5, High: 7.4}, Retrained: &verify.Estimate{Value: 200, Low: 7, High: 200, AtLeast: true}},
				{Title: "membership by loss", NotMeasured: "there is one image"},
			},
		},
		NotMeasured: []string{"membership by loss: there is one image"},
	}
	var b strings.Builder
	if err := PrintDetails(&b, r, true); err != nil {
		t.Fatal(err)
	}
	want := `
layer  L2      share of squared L2
fc     3.0000  36.0 %
fc1    4.0000  64.0 %

forgotten images are taken for  before  after
0 Shoe                          0.2500  1.0000
1 Hat                           0.7500  0.0000

training images before the edit, a row for each label, a column for each prediction:
      0  1
  0  10  0
  1   1  3

training images after the edit, a row for each label, a column for each prediction:
      0  1
  0  10  0
  1   4  0

audit on unseen images, 95 % intervals  before               after                retrained            gap
linear probe                            0.900 (0.800-1.000)  0.800 (0.700-0.900)  0.500 (0.400-0.600)  +0.300 *
relearning (steps)                      0.0 (0.0-0.0)        6.2 (5.0-7.4)        >=200.0 (7.0-200.0)  -193.8
membership by loss                      not measured
gap: after less retrained; * where the intervals lie apart
retrained: 3 networks, without the class, on 54 images in 7 steps
This is evidence of an edit, not of erasure.

not measured:
  membership by loss: there is one image
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}

	r.Audit.Retrained, r.Data.Predicted = nil, nil
	b.Reset()
	if err := PrintDetails(&b, r, false); err != nil || !strings.Contains(b.String(), "\nno comparison with retrained networks was made: --retrain\n") || strings.Contains(b.String(), "a row for each label") {
		t.Errorf("got %s, %v", b.String(), err)
	}
}
