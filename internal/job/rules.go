package job

import (
	"context"
	"fmt"
	"io"

	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/report"
)

// readRules returns the rules of an edit of a network whose accuracy on the classes
// that it is to keep is remain: those of [verify.Network.Rules], as far as the file at path
// does not replace them.
func readRules(ctx context.Context, path string, stdin io.Reader, n *network.Network, pick learn.Selection, aim report.Aim, remain float64) (report.Rules, error) {
	move, _, err := learn.Movable(n.Graph, pick)
	if err != nil {
		if _, _, whole := learn.Movable(n.Graph, learn.Selection{}); whole == nil { // only what was chosen makes no sense
			err = usage.Errorf("--train, --freeze: %v", err)
		}
		return report.Rules{}, err
	}
	rules, err := n.Net.Rules(move, remain)
	if err != nil {
		return report.Rules{}, err
	}
	if aim == report.AimUnseen {
		rules = report.Unseen(rules, remain)
	}
	if path == "" {
		return rules, nil
	}
	text, err := stage.ReadSmall(ctx, path, stdin)
	if err != nil {
		return report.Rules{}, err
	}
	if rules, err = report.ParseRules(text, rules); err != nil {
		return report.Rules{}, fmt.Errorf("%s: %w", path, err)
	}
	return rules, nil
}
