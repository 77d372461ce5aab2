package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook/bench"
)

func newBenchReplay(a *app) *cobra.Command {
	var options bench.Options
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Measure what snapshots save: a full replay against a load with a snapshot",
		Long: `Measure what snapshots save at growing lengths of a history: a load that replays all
events against one that begins with a snapshot, in turns. Every load must come to the
state that plain addition gives.

SQLite is measured in files that are removed at the end, in the directory for temporary
files, or beside FILE where --db names sqlite:FILE. With --db postgres://… that
database is measured as well: it is for scratch databases, as daybank bench is.
` + envDB + ` is not looked at, and --book is refused.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("book"):
				return usage("--book: the benchmark runs in new books of its own: leave --book out")
			case options.Rounds < 1:
				return usage("--rounds: %d is less than 1", options.Rounds)
			case options.Time <= 0:
				return usage("--time: %v is no time", options.Time)
			case slices.ContainsFunc(options.Lengths, func(events int) bool { return events > maxBenchEvents }):
				return usage("--events: at most %d", maxBenchEvents)
			}
			return a.benchReplay(cmd, options)
		},
	}
	cmd.Flags().IntSliceVar(&options.Lengths, "events", bench.DefaultLengths(), "the lengths of the histories; may be repeated, or a list with commas")
	cmd.Flags().IntVar(&options.Rounds, "rounds", bench.DefaultRounds, "how often each contender has its turn")
	cmd.Flags().DurationVar(&options.Time, "time", bench.DefaultReplayTime, "how long a turn lasts, at least")
	return cmd
}

// maxBenchEvents bounds what is written for one line of a table.
const maxBenchEvents = 10_000_000

func (a *app) benchReplay(cmd *cobra.Command, options bench.Options) error {
	options.Progress = a.stderr
	if a.db != "" {
		t, err := a.target()
		if err != nil {
			return err
		}
		if t.path != "" {
			options.Dir = filepath.Dir(t.path)
			a.note("bench: makes files in %s and removes them at the end; %s itself is not touched", options.Dir, t)
		} else {
			options.PostgreSQL = t.url
			a.note("bench: makes a schema daybook_bench_… in %s and drops it at the end; makes a book bench-… whose events stay: Ctrl-C if that database is needed", t)
		}
	}
	report, err := bench.Replay(cmd.Context(), options)
	if err != nil {
		return benchUsage(err)
	}
	if a.format == formatJSON {
		return a.show(report, nil)
	}
	return report.WriteTable(a.stdout)
}

// benchUsage makes what is wrong with an option of the benchmark's an error about the
// call. It begins with the name of the option, and so of a flag.
func benchUsage(err error) error {
	if errors.Is(err, bench.ErrOptions) {
		return usage("--%s", strings.TrimPrefix(err.Error(), bench.ErrOptions.Error()+": "))
	}
	return err
}
