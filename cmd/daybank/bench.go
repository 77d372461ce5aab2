package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook/bench"
)

func newBench(a *app) *cobra.Command {
	var options bench.Options
	cmd := &cobra.Command{
		Use:   "bench --db DSN",
		Short: "Measure the store beside hand-written baselines, on a database of yours",
		Long: `Measure the store beside what people write by hand: on the same server, the same
rows, in turns. What was written is read back before there is a report. A baseline
is marked with *, ratios are to it in the same round.

It is for a scratch database, which has to be named with --db: ` + envDB + ` is not looked at,
and --book is refused. On PostgreSQL, migrated before, it makes a schema
daybook_bench_…, which it drops at the end, and books bench-…, whose events stay,
as events do: one to three million of them. With sqlite:FILE it measures SQLite
only, in files of its own beside FILE, which it removes at the end.

What must be reached is shown with what was; a line that fails is no error.
Scenarios: ` + strings.Join(bench.Scenarios(), ", ") + `.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("book"):
				return usage("--book: the benchmark runs in new books of its own: leave --book out")
			case a.db == "":
				return usage("--db: name a database that may be thrown away, as the events stay in it: %s", dsnForms)
			case options.Rounds < 1:
				return usage("--rounds: %d is less than 1", options.Rounds)
			case options.Time <= 0:
				return usage("--time: %v is no time", options.Time)
			}
			return a.bench(cmd, options)
		},
	}
	cmd.Flags().IntVar(&options.Rounds, "rounds", bench.DefaultRounds, "how often each contender has its turn")
	cmd.Flags().DurationVar(&options.Time, "time", bench.DefaultTime, "how long a turn lasts")
	cmd.Flags().StringSliceVar(&options.Only, "only", nil, "measure these scenarios only; may be repeated, or a list with commas")
	// The only error is a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(bench.Scenarios(), cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(newBenchReplay(a))
	return cmd
}

func (a *app) bench(cmd *cobra.Command, options bench.Options) error {
	t, err := a.target()
	if err != nil {
		return err
	}
	if options.Progress = a.stderr; t.path != "" {
		options.Dir = filepath.Dir(t.path)
		a.note("bench: makes files in %s and removes them at the end; %s itself is not touched", options.Dir, t)
	} else {
		options.PostgreSQL = t.url
		a.note("bench: makes a schema daybook_bench_… in %s and drops it at the end; makes books bench-… whose events stay: Ctrl-C if that database is needed", t)
	}
	report, err := bench.Run(cmd.Context(), options)
	if err != nil {
		return benchUsage(err)
	}
	if a.format == formatJSON {
		return a.show(report, nil)
	}
	return report.WriteTable(a.stdout)
}
