package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
)

// Flags of TestReport, after -args.
var (
	reportPath = flag.String("report", "", "measure, and write the report as JSON to this file")
	only       = flag.String("only", "", "the scenarios to measure, separated by commas; all where empty")
	rounds     = flag.Int("rounds", 0, "turns of each contender; 0 for the usual")
	turn       = flag.Duration("time", 0, "length of a turn; 0 for the usual")
	flush      = flag.Duration("flush", 0, "how much longer than on this disk PostgreSQL's flush of its log takes")
)

func TestMain(m *testing.M) {
	if done, err := Child(context.Background()); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

// migrated makes databases that have been migrated.
var migrated = &pgtest.Template{Prepare: func(dsn string) error { return postgres.Migrate(context.Background(), dsn) }}

// TestReport is make bench: it measures on a server of its own and prints the report.
func TestReport(t *testing.T) {
	if *reportPath == "" {
		t.Skip("measures for minutes: run make bench")
	}
	options := Options{Dir: t.TempDir(), Rounds: *rounds, Time: *turn, Progress: os.Stderr}
	if *flush == 0 {
		options.PostgreSQL = migrated.DSN(t)
	} else {
		options.PostgreSQL = slowServer(t, *flush)
	}
	if *only != "" {
		options.Only = strings.Split(*only, ",")
	}
	report, err := Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	var lengths *ReplayReport
	if *only == "" {
		options.Rounds, options.Time = *rounds, *turn
		if lengths, err = Replay(t.Context(), options); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.MarshalIndent(struct {
		*Report
		Replay *ReplayReport `json:"replay,omitempty"`
	}{report, lengths}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*reportPath, append(content, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Println()
	if err := report.WriteTable(os.Stdout); err != nil {
		t.Fatal(err)
	}
	if lengths == nil {
		return
	}
	fmt.Println("\nfull replay against snapshot")
	if err := lengths.WriteTable(os.Stdout); err != nil {
		t.Fatal(err)
	}
}

// slowServer is a server whose flush takes longer by so much: before it flushes the log,
// it sleeps with the lock of the log held. What is written meanwhile is flushed with it, as
// a disk would not do: that favours those who commit one event each.
func slowServer(t *testing.T, flush time.Duration) (dsn string) {
	t.Helper()
	dsn = pgtest.Start(t, fmt.Sprintf("commit_delay=%d", flush.Microseconds()), "commit_siblings=0").DSN()
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// tiny is a run of all scenarios that shows nothing but that they work.
func tiny(t *testing.T) Options {
	t.Helper()
	return Options{
		PostgreSQL: migrated.DSN(t), Dir: t.TempDir(), Rounds: 2, Time: 10 * time.Millisecond, ReplayEvents: 300, BookEvents: 2_500,
	}
}

func TestEveryScenarioRuns(t *testing.T) {
	options := tiny(t)
	report, err := Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, options)
	wantWhole(t, report)
	if report.Settings["fsync"] != "on" || report.Settings["synchronous_commit"] != "on" {
		t.Errorf("settings: %v", report.Settings)
	}
	if got := report.Method; got.PayloadBytes < 115 || got.PayloadBytes > 125 || got.MetadataBytes < 45 || got.MetadataBytes > 51 {
		t.Errorf("payload and metadata have %d and %d bytes, want about 120 and 48", got.PayloadBytes, got.MetadataBytes)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range append(Scenarios(), "fsync on", "headrow", "must reach", "MB resident") {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	t.Log("\n" + table.String())
}

func TestReplayAtEveryLength(t *testing.T) {
	t.Parallel()
	options := tiny(t)
	options.Lengths = []int{2, 10, 300}
	report, err := Replay(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, options)
	var got []string
	for _, line := range report.Lines {
		got = append(got, fmt.Sprintf("%s %d-%d", line.Engine, line.Events, line.EventsBehind))
		if line.FullState != accountAfter(line.Events).String() || line.SnapshotState != line.FullState || line.Ratio.Min <= 0 || line.Full.Median <= 0 || line.Snapshot.Median <= 0 {
			t.Errorf("%+v", line)
		}
	}
	want := []string{"postgresql 2-1", "postgresql 10-5", "postgresql 300-25", "sqlite 2-1", "sqlite 10-5", "sqlite 300-25"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	options.Lengths = []int{10, 1}
	if _, err := Replay(t.Context(), options); !errors.Is(err, ErrOptions) {
		t.Errorf("one event: %v, want ErrOptions", err)
	}
}

// A load that comes to another state than its events ends the benchmark.
func TestAWrongStateIsNotMeasured(t *testing.T) {
	t.Parallel()
	wrong := replayer("wrong", 3, func(context.Context) (account, error) {
		state := accountAfter(3)
		state.Total++
		return state, nil
	})
	if _, err := wrong.round(t.Context(), time.Millisecond); err == nil || !strings.Contains(err.Error(), "want 3756 in 3 events") {
		t.Errorf("error is %v", err)
	}
}

// wantWhole fails the test unless every scenario is there with numbers for all that
// it compares.
func wantWhole(t *testing.T, report *Report) {
	t.Helper()
	var names []string
	for _, s := range report.Scenarios {
		names = append(names, s.Name)
		if len(s.Lines) < 2 || len(s.Must) == 0 {
			t.Errorf("%s: %d lines and %d requirements, want a contender, a baseline and something to reach", s.Name, len(s.Lines), len(s.Must))
		}
		for _, line := range s.Lines {
			if line.Events == 0 || line.EventsPerSecond.Median <= 0 || line.Ratio.Min <= 0 || line.P99Microseconds < line.P50Microseconds {
				t.Errorf("%s: %+v", s.Name, line)
			}
			if line.Contender == s.Baseline && line.Ratio != (Spread{1, 1, 1}) {
				t.Errorf("%s: the baseline's ratio to itself is %+v", s.Name, line.Ratio)
			}
		}
		for _, must := range s.Must {
			if must.Outcome == NotMeasured && os.Getenv(pgtest.EnvURL) == "" {
				t.Errorf("%s: %s was not measured", s.Name, must.What)
			}
		}
	}
	if diff := cmp.Diff(Scenarios(), names); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
}

func wantNothingLeft(t *testing.T, options Options) {
	t.Helper()
	pool, err := openPool(t.Context(), options.PostgreSQL, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var schemas, tables int
	if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'daybook\_bench\_%'),
	(SELECT count(*) FROM pg_class WHERE relnamespace = 'daybook_views'::regnamespace)`).Scan(&schemas, &tables); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(options.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if schemas != 0 || tables != 0 || len(files) != 0 {
		t.Errorf("%d schemas, %d tables of views and the files %v are left", schemas, tables, files)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]Options{
		"a scenario that is none":              {Only: []string{"append-65"}},
		"a scenario that needs a PostgreSQL":   {Only: []string{"append-64"}},
		"a negative number of rounds":          {Rounds: -1},
		"a negative time":                      {Time: -time.Second},
		"a negative number of events":          {BookEvents: -1},
		"a negative number of events replayed": {ReplayEvents: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Run(t.Context(), options); !errors.Is(err, ErrOptions) {
				t.Errorf("error is %v, want ErrOptions", err)
			}
		})
	}
}
