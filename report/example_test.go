package report_test

import (
	"fmt"

	"lethe/report"
)

func ExampleRules() {
	for _, r := range report.FashionMNIST.All() {
		relation := "<="
		if r.MoreIsBetter() {
			relation = ">="
		}
		fmt.Printf("%s %s %g has full marks, %g none, and %g is the limit\n", r.Name, relation, r.Full, r.None, r.Hard)
	}
	fmt.Printf("%+v\n", report.FashionMNIST.FullMarks())
	// Output:
	// target <= 0.09 has full marks, 0.3 none, and 0.5 is the limit
	// remain >= 0.9 has full marks, 0.87 none, and 0.75 is the limit
	// L2 <= 1.3 has full marks, 3 none, and 8 is the limit
	// KL <= 0.2 has full marks, 0.5 none, and 1.75 is the limit
	// {Target:0.09 KL:0.2 L2:1.3}
}
