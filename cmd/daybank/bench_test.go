package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-go/daybook/bench"
)

func TestBenchOnPostgreSQL(t *testing.T) {
	t.Parallel()
	skipWithoutPostgres(t)
	dsn := onServer(t, "")
	args := []string{"bench", "--db", dsn, "--rounds", "1", "--time", "10ms", "--only", "append-8,append-2x32", "--only", "follow"}
	got := cli(t, "nonsense: it is not to be looked at", append(args, "-o", "json")...)
	if got.code != exitOK || !strings.Contains(got.stderr, "events stay") {
		t.Fatalf("exit code %d\n%s", got.code, got.stderr)
	}
	report := decode[object](t, got.stdout)
	checkMembers(t, "bench", report, []string{"started_at", "elapsed_seconds", "machine", "versions", "settings", "method", "scenarios"})
	checkMembers(t, "machine", report["machine"].(object), []string{"cpu", "cores", "kernel", "os", "arch", "go", "load_average"})
	checkMembers(t, "method", report["method"].(object), []string{
		"rounds", "seconds_a_turn", "replay_events", "book_events", "payload_bytes", "metadata_bytes", "server_cpu",
	})
	scenarios := report["scenarios"].([]any)
	if len(scenarios) != 3 {
		t.Fatalf("%d scenarios, want 3", len(scenarios))
	}
	for _, each := range scenarios {
		scenario := each.(object)
		checkMembers(t, "a scenario", scenario, []string{"name", "title", "baseline", "lines", "must"})
		for _, line := range scenario["lines"].([]any) {
			checkMembers(t, "a line", line.(object), []string{
				"contender", "events", "events_per_second", "ratio", "p50_microseconds", "p99_microseconds",
				"client_cpu_microseconds", "server_cpu_microseconds", "retries_per_event", "peak_rss_bytes",
			})
			checkMembers(t, "a ratio", line.(object)["ratio"].(object), []string{"median", "min", "max"})
		}
		for _, must := range scenario["must"].([]any) {
			checkMembers(t, "a requirement", must.(object), []string{"what", "limit", "reached", "outcome"})
			if outcome := bench.Outcome(must.(object)["outcome"].(string)); !slices.Contains([]bench.Outcome{bench.Passed, bench.Failed, bench.NotMeasured}, outcome) {
				t.Errorf("the outcome is %q", outcome)
			}
		}
	}
	table := must(t, "", args...)
	for _, want := range []string{"append-8: ", "daybook", "plain *", "must reach"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
}

func TestBenchOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := inFile(t, dir)
	must(t, db, "open", "alice", "--owner", "Alice")
	before := names(t, dir)
	report := decode[bench.Report](t, must(t, "", "bench", "--db", db, "--rounds", "1", "--time", "10ms", "--only", "sqlite-64", "-o", "json"))
	if len(report.Scenarios) != 1 || report.Scenarios[0].Name != "sqlite-64" || len(report.Settings) != 0 {
		t.Errorf("report: %+v", report)
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("files are %v, were %v", after, before)
	}
	if got := balanceOf(t, db, "alice"); got != "0.00 at 1" {
		t.Errorf("alice is %s: her book was touched", got)
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func TestBenchIsCalledInAWrongWay(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no database is named":               {nil, "--db"},
		"a book is named":                    {[]string{"--db", db, "--book", "main"}, "--book"},
		"a scenario that is none":            {[]string{"--db", db, "--only", "append-65"}, `--only: "append-65" is no scenario`},
		"a scenario that needs a PostgreSQL": {[]string{"--db", db, "--only", "append-64"}, "--only: append-64 needs a PostgreSQL database"},
		"no rounds":                          {[]string{"--db", db, "--rounds", "0"}, "--rounds"},
		"no time":                            {[]string{"--db", db, "--time", "0s"}, "--time"},
		"an argument":                        {[]string{"--db", db, "append-64"}, "no arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli(t, db, append([]string{"bench"}, c.args...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, c.says) || got.stdout != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q, want one that says %q", got.code, got.stdout, got.stderr, c.says)
			}
		})
	}
}

func TestBenchReplay(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "replay", "--events", "10,60", "--rounds", "1", "--time", "1ms"}
	wantLines := func(t *testing.T, got outcome, want ...string) {
		t.Helper()
		if got.code != exitOK {
			t.Fatalf("exit code %d\n%s", got.code, got.stderr)
		}
		report := decode[object](t, got.stdout)
		checkMembers(t, "bench replay", report, []string{"started_at", "elapsed_seconds", "machine", "versions", "rounds", "seconds_a_turn", "lines"})
		var lines []string
		for _, each := range report["lines"].([]any) {
			line := each.(object)
			checkMembers(t, "a line", line, []string{"engine", "events", "events_behind", "full_microseconds", "snapshot_microseconds", "ratio", "full_state", "snapshot_state"})
			if line["full_state"] != line["snapshot_state"] || line["full_state"] == "" {
				t.Errorf("states: %v", line)
			}
			lines = append(lines, fmt.Sprint(line["engine"], " ", line["events"], " ", line["events_behind"]))
		}
		if !slices.Equal(lines, want) {
			t.Errorf("lines are %v, want %v", lines, want)
		}
	}
	t.Run("SQLite, in the directory for temporary files", func(t *testing.T) {
		t.Parallel()
		wantLines(t, cli(t, "nonsense: it is not to be looked at", append(args, "-o", "json")...), "sqlite 10 5", "sqlite 60 25")
	})
	t.Run("SQLite, beside a file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		wantLines(t, cli(t, "", append(args, "-o", "json", "--db", inFile(t, dir))...), "sqlite 10 5", "sqlite 60 25")
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("%v were left behind", left)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		skipWithoutPostgres(t)
		got := cli(t, "", append(args, "-o", "json", "--db", onServer(t, ""))...)
		wantLines(t, got, "postgresql 10 5", "postgresql 60 25", "sqlite 10 5", "sqlite 60 25")
		if !strings.Contains(got.stderr, "events stay") {
			t.Errorf("stderr %q", got.stderr)
		}
	})
	t.Run("a table", func(t *testing.T) {
		t.Parallel()
		if out := must(t, "", args...); !strings.Contains(out, "full replay ms") || !strings.Contains(out, "in 60 events") {
			t.Errorf("the table:\n%s", out)
		}
	})
	for what, wrong := range map[string][]string{
		"--events: 1 are too few": {"--events", "1"}, "--events: at most": {"--events", "99999999"}, "--rounds": {"--rounds", "0"},
		"--time": {"--time", "0s"}, "--book": {"--book", "main"}, "no arguments": {"now"}, `"mysql:"`: {"--db", "mysql://x"},
		"names no database": {"--db", ""}, "--events": {"--events", "x"},
	} {
		t.Run("refuses "+strings.Join(wrong, " "), func(t *testing.T) {
			t.Parallel()
			got := cli(t, "", append([]string{"bench", "replay"}, wrong...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, what) || got.stdout != "" {
				t.Errorf("exit code %d, stderr %q, want one that says %q", got.code, got.stderr, what)
			}
		})
	}
}
