package cli

import (
	"fmt"

	"lethe/internal/stage"
	"lethe/internal/weights"
	"lethe/pickle"
)

import urfave "github.com/urfave/cli/v2"

const (
	plainFlag  = "plain-http"
	uriFlag    = "output-uri-file"
	digestFlag = "output-digest-file"
	dryFlag    = "dry-run"
	jsonFlag   = "json"
)

// ReadFlags are the flags that say how to read a checkpoint.
func ReadFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "key", Usage: "`KEY` of the state dict to take where a checkpoint has several, such as ema; inner keys and places in lists after a slash; . is the top"},
		&urfave.BoolFlag{Name: "inert", Usage: "read a whole pickled module: its classes are named and carried along, never run"},
		&urfave.IntFlag{Name: "max-memory", DefaultText: "512", Usage: "`MIB` of memory that reading the structure of a file may take; tensors take none"},
		&urfave.IntFlag{Name: "max-depth", DefaultText: "128", Usage: "`LEVELS` of containers inside containers that a pickle may have"},
		&urfave.BoolFlag{Name: plainFlag, Usage: "reach oci:// registries without TLS; on loopback addresses only"},
	}
}

// ReadOptions returns what [ReadFlags] ask for.
func ReadOptions(c *urfave.Context) pickle.Options {
	return pickle.Options{Key: c.String("key"), Inert: c.Bool("inert"), Limits: pickle.Limits{Memory: c.Int("max-memory") << 20, Depth: c.Int("max-depth")}}
}

// Given returns those of some flags that are on a command line, for the same line of
// another command.
func Given(c *urfave.Context, of []urfave.Flag) (flags []string) {
	for _, f := range of {
		name := f.Names()[0]
		switch {
		case !c.IsSet(name):
		case takesValue(f):
			flags = append(flags, "--"+name, fmt.Sprint(c.Value(name)))
		case c.Bool(name):
			flags = append(flags, "--"+name)
		}
	}
	return flags
}

// ResultFlags are the flags that tell the next step of a pipeline where the
// output is.
func ResultFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: uriFlag, Usage: "`FILE` for the URI of the output; in a registry it is pinned to the digest"},
		&urfave.StringFlag{Name: digestFlag, Usage: "`FILE` for the digest of the output, sha256:...; in a registry, of its manifest"},
	}
}

// ResultFilesOf returns what [ResultFlags] ask for.
func ResultFilesOf(c *urfave.Context) stage.ResultFiles {
	return stage.ResultFiles{URI: c.String(uriFlag), Digest: c.String(digestFlag)}
}

// DryFlag is the flag for a [weights.Plan] instead of the work.
func DryFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: dryFlag, Usage: "find out what can be known before the work, say what would happen, and write nothing"}
}

// QuietFlag is the flag for no results.
func QuietFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"}
}

// PlanSettingsOf returns what [DryFlag] and others ask for, from the flags of a command.
func PlanSettingsOf(c *urfave.Context) weights.PlanSettings {
	return weights.PlanSettings{Tool: c.App.Name, DryRun: c.Bool(dryFlag), JSON: c.Bool(jsonFlag), Quiet: c.Bool("quiet")}
}
