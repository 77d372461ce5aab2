package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/daybook-go/daybook"
)

// What the zero [Options] mean to [Replay].
const (
	DefaultReplayTime = 200 * time.Millisecond
	// lengthBehind is how far behind the newest snapshot is: half of the distance that
	// the library keeps them at, which is what a command finds on average.
	lengthBehind = usualEvery / 2
)

// DefaultLengths are the lengths of the aggregates that [Replay] loads.
func DefaultLengths() []int { return []int{10, 100, 1_000, 10_000, 100_000} }

// ReplayReport is what [Replay] has measured. As JSON it is the contract of
// docs/reference/json.md.
type ReplayReport struct {
	// StartedAt is RFC 3339 in UTC.
	StartedAt      string            `json:"started_at"`
	ElapsedSeconds float64           `json:"elapsed_seconds"`
	Machine        Machine           `json:"machine"`
	Versions       map[string]string `json:"versions"`
	Rounds         int               `json:"rounds"`
	SecondsATurn   float64           `json:"seconds_a_turn"`
	Lines          []ReplayLine      `json:"lines"`
}

// ReplayLine is one aggregate, loaded from its first event and from a snapshot.
type ReplayLine struct {
	// Engine is "postgresql" or "sqlite".
	Engine string `json:"engine"`
	// Events are those of the aggregate, EventsBehind those after its newest snapshot.
	Events       int `json:"events"`
	EventsBehind int `json:"events_behind"`
	// Full and Snapshot are the medians of whole loads, in microseconds, and Ratio how
	// many times as fast the latter is in the same round.
	Full     Spread `json:"full_microseconds"`
	Snapshot Spread `json:"snapshot_microseconds"`
	Ratio    Spread `json:"ratio"`
	// FullState and SnapshotState are what the last loads came to, as text. They are
	// equal: where any load comes to something else, there is no report.
	FullState     string `json:"full_state"`
	SnapshotState string `json:"snapshot_state"`
}

// Replay measures what snapshots save at growing lengths of an aggregate, on SQLite
// and, where the options name one, on PostgreSQL: a load that replays all events, and
// one that begins with the newest snapshot, in turns. Every load must come to the state
// that plain addition gives, or Replay returns an error. Of the options it heeds all
// but those about scenarios and the lengths of other things.
func Replay(ctx context.Context, o Options) (_ *ReplayReport, err error) {
	o.Time = orElse(o.Time, DefaultReplayTime)
	if len(o.Lengths) == 0 {
		o.Lengths = DefaultLengths()
	}
	for _, events := range o.Lengths {
		if events < 2 {
			return nil, fmt.Errorf("%w: events: %d are too few: use 2 or more, so that some are behind a snapshot", ErrOptions, events)
		}
	}
	if _, err := o.check(); err != nil {
		return nil, err
	}
	began := time.Now()
	l, err := newLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	about, err := l.describe(ctx, began)
	if err != nil {
		return nil, err
	}
	r := &ReplayReport{StartedAt: about.StartedAt, Machine: about.Machine, Versions: about.Versions, Rounds: o.Rounds, SecondsATurn: o.Time.Seconds()}
	engines := []scenario{{name: "sqlite"}}
	if o.PostgreSQL != "" {
		engines = []scenario{{name: "postgresql", postgres: true}, {name: "sqlite"}}
	}
	for _, engine := range engines {
		lines, err := l.lengths(ctx, engine)
		if err != nil {
			return nil, fmt.Errorf("bench: replay on %s: %w", engine.name, err)
		}
		r.Lines = append(r.Lines, lines...)
	}
	r.ElapsedSeconds = time.Since(began).Seconds()
	return r, nil
}

// lengths measures every length on one engine.
func (l *lab) lengths(ctx context.Context, engine scenario) (lines []ReplayLine, err error) {
	s := l.newStage("replay-" + engine.name)
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	var book *daybook.Book
	if engine.postgres {
		book, err = s.book(ctx)
	} else {
		var dir string
		if dir, err = s.scratch(); err == nil {
			book, _, err = s.sqliteBook(ctx, dir)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, events := range l.Lengths {
		_, _ = fmt.Fprintf(l.Progress, "%-10s %7d events\n", engine.name, events)
		line, err := l.length(ctx, engine, book, events)
		if err != nil {
			return nil, fmt.Errorf("%d events: %w", events, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// length measures one.
func (l *lab) length(ctx context.Context, engine scenario, book *daybook.Book, events int) (ReplayLine, error) {
	line := ReplayLine{Engine: engine.name, Events: events, EventsBehind: behind(events, lengthBehind)}
	repository := daybook.NewRepository(book, payments, daybook.Snapshots{})
	id, err := fillKept(ctx, book, repository, events, line.EventsBehind)
	if err != nil {
		return line, err
	}
	plain := daybook.NewRepository(book, payments)
	var last [2]account
	load := func(repository *accounts, note *account) func(context.Context) (account, error) {
		return func(ctx context.Context) (account, error) {
			loaded, err := repository.Load(ctx, id)
			*note = loaded.State
			return *note, err
		}
	}
	contenders := []contender{
		replayer(nameFull, events, load(plain, &last[0])), replayer(nameDaybook, events, load(repository, &last[1])),
	}
	var full, snapshot, ratio []float64
	for round := range l.Rounds + 1 { // the first one warms up
		var took [2]float64
		for i := range contenders {
			i = (i + round) % len(contenders)
			samples, err := l.turn(ctx, engine, contenders[i])
			if err != nil {
				return line, fmt.Errorf("%s: %w", contenders[i].name, err)
			}
			took[i], _ = p50.of(samples[0])
		}
		if round > 0 {
			full, snapshot, ratio = append(full, took[0]), append(snapshot, took[1]), append(ratio, took[0]/took[1])
		}
	}
	line.Full, line.Snapshot, line.Ratio = spread(full), spread(snapshot), spread(ratio)
	line.FullState, line.SnapshotState = last[0].String(), last[1].String()
	return line, wantUsed(repository)
}

// String says it in words.
func (a account) String() string { return fmt.Sprintf("%d in %d events", a.Total, a.Events) }

// WriteTable writes the report for people. Its form may change; programs read the JSON.
func (r *ReplayReport) WriteTable(w io.Writer) error {
	var out strings.Builder
	m := r.Machine
	fmt.Fprintf(&out, "%s, %d cores, %s/%s, kernel %s, load average %.2f, %s\n", m.CPU, m.Cores, m.OS, m.Arch, m.Kernel, m.LoadAverage, m.Go)
	fmt.Fprintf(&out, "%s\n", pairs(r.Versions))
	fmt.Fprintf(&out, "%d rounds, turns of %g s; began %s, took %.0f s\n", r.Rounds, r.SecondsATurn, r.StartedAt, r.ElapsedSeconds)
	fmt.Fprintf(&out, "ms: median of whole loads; ratio: full replay to snapshot in the same round, median (min–max)\n\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "engine\tevents\tbehind\tfull replay ms\tsnapshot ms\tratio\t\tstate of both\t")
	for _, line := range r.Lines {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%.1f\t(%.1f–%.1f)\t%s\t\n", line.Engine, line.Events, line.EventsBehind,
			milliseconds(line.Full.Median), milliseconds(line.Snapshot.Median), line.Ratio.Median, line.Ratio.Min, line.Ratio.Max, line.both())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// both is the state that both ways came to.
func (l ReplayLine) both() string {
	if l.FullState != l.SnapshotState {
		return "NOT EQUAL: " + l.FullState + ", " + l.SnapshotState
	}
	return l.FullState
}
