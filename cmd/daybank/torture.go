package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

func newTorture(a *app) *cobra.Command {
	var during time.Duration
	var seed uint64
	cmd := &cobra.Command{
		Use:   "torture --db DSN",
		Short: "Try to break the promises of a scratch database",
		Long: `Try to break the promises of a scratch database: that no acknowledged event is lost,
none is recorded twice, and nobody is left guessing.

Many writers, in this process and in two others, write to a new book. Meanwhile the
other processes are killed (kill -9) and started again, calls are given up half way,
and on PostgreSQL the writers' sessions are cancelled and terminated, where the
server permits that. Then the book is compared with what every writer was told.
That is one round, and it is done again for as long as --time says.

It needs --db: a database where nothing else matters. The books of all rounds stay
in it. A database that is not migrated is. The exit code is 0 where every promise
held and 1 where one was broken.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if text := a.getenv(torture.EnvChild); text != "" {
				return a.tortureChild(cmd.Context(), text)
			}
			switch {
			case a.db == "":
				return usage("torture needs --db: name a scratch database: %s", dsnForms)
			case cmd.Flags().Changed("book"):
				return usage("--book: torture makes new books of its own: leave --book out")
			case during <= 0:
				return usage("--time %v: give a time above zero, such as 30s, 5m or 2h", during)
			}
			if seed == 0 {
				seed = rand.Uint64N(1_000_000_000) + 1 //nolint:gosec // chance, not a secret
			}
			return a.torture(cmd.Context(), during, seed)
		},
	}
	cmd.Flags().DurationVar(&during, "time", 30*time.Second, "how long to go on; the round under way is finished")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "what chance begins with; 0 chooses one")
	return cmd
}

// tortureChild is the life of a process that torture kills.
func (a *app) tortureChild(ctx context.Context, text string) error {
	child, err := torture.ParseChild(text)
	if err != nil {
		return err
	}
	return child.Run(ctx, a.stdin, func(ctx context.Context, dsn string) (daybook.Driver, error) {
		t, reason := parseDSN(dsn)
		if reason != "" {
			return nil, usage("%s", reason)
		}
		return t.open(ctx, false)
	})
}

// tortured is the answer of torture.
type tortured struct {
	// Database is without its password.
	Database string `json:"database"`
	Seed     uint64 `json:"seed"`
	Held     bool   `json:"held"`
	Rounds   int    `json:"rounds"`
	// Orders are the appends that were asked for: Done, Refused, or Unknown until
	// the checker asked again.
	Orders     int `json:"orders"`
	Done       int `json:"done"`
	Refused    int `json:"refused"`
	Unknown    int `json:"unknown"`
	Events     int `json:"events"`
	Killed     int `json:"killed"`
	Terminated int `json:"terminated"`
	Cancelled  int `json:"cancelled"`
	// Findings are the promises that did not hold, in words.
	Findings []string `json:"findings"`
}

func (r *tortured) add(report *torture.Report) {
	r.Rounds++
	r.Orders += report.Orders
	r.Done += report.Done
	r.Refused += report.Refused
	r.Unknown += report.Unknown
	r.Events += report.Events
	for _, f := range report.Findings {
		r.Findings = append(r.Findings, f.Promise+": "+f.Text)
	}
	r.Held = len(r.Findings) == 0
}

// errBroken is what torture is for.
var errBroken = errors.New("a promise was broken")

// torture fights rounds until the time is over or a promise is broken.
func (a *app) torture(ctx context.Context, during time.Duration, seed uint64) (err error) {
	t, err := a.target()
	if err != nil {
		return err
	}
	driver, err := t.open(ctx, true)
	if errors.Is(err, daybook.ErrSchema) {
		if err = t.migrate(ctx); err == nil {
			driver, err = t.open(ctx, true)
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	dir, err := os.MkdirTemp(a.getenv("TMPDIR"), "daybank-torture-")
	if err != nil {
		return err
	}
	rack := &rack{app: a, target: t, driver: driver, result: tortured{Database: t.String(), Seed: seed, Findings: []string{}}}
	a.note("torture of %s, seed %d, for %v", t, seed, during)
	for begun := time.Now(); rack.result.Rounds == 0 || rack.result.Held && time.Since(begun) < during; {
		if err := rack.round(ctx, dir); err != nil {
			return errors.Join(fmt.Errorf("no verdict: %w", err), os.RemoveAll(dir))
		}
	}
	r := rack.result
	if r.Held {
		err = os.RemoveAll(dir)
	} else {
		err = &hintError{errBroken, fmt.Sprintf("what every writer asked and was told is in %s, the book is %s; the seed is %d", dir, rack.book, seed)}
	}
	verdict := map[bool]string{true: "held", false: "BROKEN"}[r.Held]
	rows := []row{
		field{"database", r.Database}, field{"seed", strconv.FormatUint(r.Seed, 10)}, field{"verdict", verdict},
		field{"rounds", strconv.Itoa(r.Rounds)}, field{"orders", strconv.Itoa(r.Orders)},
		field{"done, refused, unknown", fmt.Sprintf("%d, %d, %d", r.Done, r.Refused, r.Unknown)}, field{"events", strconv.Itoa(r.Events)},
		field{"killed, terminated, cancelled", fmt.Sprintf("%d, %d, %d", r.Killed, r.Terminated, r.Cancelled)},
	}
	for _, finding := range r.Findings {
		rows = append(rows, field{"broken", finding})
	}
	return errors.Join(err, a.show(r, fieldColumns(), rows...))
}

// round fights one, in a book of its own.
func (r *rack) round(ctx context.Context, dir string) error {
	number := r.result.Rounds + 1
	id := daybook.NewUUID().String()
	r.book = fmt.Sprintf("torture-%s-%d-%s", time.Now().UTC().Format("20060102-150405"), number, id[len(id)-6:])
	r.dir = filepath.Join(dir, r.book)
	r.seed = r.result.Seed + uint64(number)   //nolint:gosec // counted from 1
	r.rand = rand.New(rand.NewPCG(r.seed, 0)) //nolint:gosec // chance that can be repeated
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return err
	}
	book, err := daybook.Open(ctx, r.driver, r.book, torture.Registry())
	if err != nil {
		return err
	}
	report, err := torture.Round{Workload: r.workload("main", 8), Book: book, Watch: []*daybook.Book{book}, Strike: r.strike}.Run(ctx)
	if err != nil {
		return err
	}
	r.result.add(report)
	verdict := "held"
	if !report.Held() {
		verdict = "BROKEN"
	}
	r.app.note("round %d %s: %v", number, verdict, report)
	return nil
}
