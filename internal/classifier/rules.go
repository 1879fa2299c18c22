package classifier

import (
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/learn"
	"lethe/report"
)

const rulesFlag = "rules"

// Rules returns the rules of an edit of a network whose accuracy on the classes
// that it is to keep is remain: those of [learn.Rules], as far as --rules does not
// replace them.
func Rules(c *urfave.Context, n *Network, pick learn.Selection, remain float64) (report.Rules, error) {
	move, _, err := learn.Movable(n.Graph, pick)
	if err != nil {
		return report.Rules{}, err
	}
	rules, name := learn.Rules(n.Net, move, remain), c.String(rulesFlag)
	if name == "" {
		return rules, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return report.Rules{}, err
	}
	if rules, err = report.ParseRules(text, rules); err != nil {
		return report.Rules{}, fmt.Errorf("%s: %w", name, err)
	}
	return rules, nil
}
