package ptconvert

import (
	"slices"
	"strconv"
	"strings"

	"lethe/internal/rewrite"
	"lethe/internal/usage"
	"lethe/model"
)

import urfave "github.com/urfave/cli/v2"

const shardFlag = "max-shard-size"

// rewriteFlags are the flags that say how to rewrite a state dict.
func rewriteFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "select", Usage: "`NAME` of a tensor to keep, in which * stands for any characters; may be repeated; default: all"},
		&urfave.StringSliceFlag{Name: "drop", Usage: "`NAME` of a tensor to leave out, with * as for --select; may be repeated"},
		&urfave.StringFlag{Name: "strip-prefix", Usage: "`PREFIX` to take off all names that have it, such as module."},
		&urfave.StringSliceFlag{Name: "rename", Usage: "`OLD=NEW` names; each * of NEW stands for what that of OLD stood for; may be repeated"},
		&urfave.StringFlag{Name: "dtype", Usage: "type of all real numbers, `float16|bfloat16|float32`; one that does not fit is an error"},
		&urfave.StringFlag{Name: shardFlag, Usage: "`SIZE` of the tensors in a file, such as 5GB or 512MiB; more go into several files and an index beside the output"},
	}
}

// rewriteRules returns what [rewriteFlags] ask for.
func rewriteRules(c *urfave.Context) (rules rewrite.Rules, err error) {
	rules = rewrite.Rules{Select: c.StringSlice("select"), Drop: c.StringSlice("drop"), StripPrefix: c.String("strip-prefix")}
	for _, text := range c.StringSlice("rename") {
		r, err := rewrite.ParseRename(text)
		if err != nil {
			return rules, usage.Errorf("--rename: %v", err)
		}
		rules.Rename = append(rules.Rename, r)
	}
	if name := c.String("dtype"); name != "" {
		types := []model.DType{model.Float16, model.BFloat16, model.Float32}
		i := slices.IndexFunc(types, func(d model.DType) bool { return d.String() == name })
		if i < 0 {
			return rules, usage.Errorf("--dtype is %q, it must be float16, bfloat16 or float32", name)
		}
		rules.DType = types[i]
	}
	return rules, nil
}

// shardSize returns what --max-shard-size asks for, 0 for no bound.
func shardSize(c *urfave.Context) (int64, error) {
	text := c.String(shardFlag)
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "kKMGTiB")
	unit, known := map[string]float64{"": 1, "B": 1, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[text[len(number):]]
	size, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !known || !(size*unit >= 1) || size*unit > 1<<62 {
		return 0, usage.Errorf("--%s is %q, it must be a size such as 5GB or 512MiB", shardFlag, text)
	}
	return int64(size * unit), nil
}
