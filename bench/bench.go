package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// Options says where and how much to measure. Its zero value measures SQLite only,
// in the directory for temporary files.
type Options struct {
	// PostgreSQL is the postgres:// address of a migrated database; "" leaves out
	// the scenarios that need one. Its user must be allowed to make a schema. What
	// is made there is a schema daybook_bench_…, which is dropped at the end, and
	// books named bench-…, whose events stay: use a database that may be thrown away.
	PostgreSQL string
	// Dir is the directory, on the disk to be measured, in which SQLite files are
	// made and removed again; "" is the one for temporary files.
	Dir string
	// Only, where not empty, chooses scenarios by name; see [Scenarios].
	Only []string
	// Rounds is how often each contender has its turn; 0 means [DefaultRounds].
	Rounds int
	// Time is how long a turn lasts; 0 means [DefaultTime].
	Time time.Duration
	// ReplayEvents is the length of the aggregate that is replayed; 0 means 10,000.
	ReplayEvents int
	// BookEvents is the length of the book that is read as a whole; 0 means 1,000,000.
	BookEvents int
	// Lengths are those of the aggregates that [Replay] loads; none means
	// [DefaultLengths].
	Lengths []int
	// Progress, where set, is told a line for every scenario that begins.
	Progress io.Writer
}

// What the zero [Options] mean.
const (
	DefaultRounds = 7
	DefaultTime   = time.Second
)

const (
	defaultReplayEvents = 10_000
	defaultBookEvents   = 1_000_000
	// warmUp is the part of a turn that each contender has before the first round:
	// for its connections, its statements and the first pages of its tables.
	warmUp = 4
)

// ErrOptions is wrapped in what [Run] returns for options that cannot be. The
// message begins with it, and goes on with the option's name in lower case.
var ErrOptions = errors.New("bench: options")

// check fills in what is missing and returns the scenarios to run.
func (o *Options) check() ([]scenario, error) {
	for _, number := range []struct {
		name  string
		value int64
	}{{"rounds", int64(o.Rounds)}, {"time", int64(o.Time)}, {"replay-events", int64(o.ReplayEvents)}, {"book-events", int64(o.BookEvents)}} {
		if number.value < 0 {
			return nil, fmt.Errorf("%w: %s: is negative: use 1 or more, or 0 for the usual", ErrOptions, number.name)
		}
	}
	o.Rounds, o.Time = orElse(o.Rounds, DefaultRounds), orElse(o.Time, DefaultTime)
	o.ReplayEvents, o.BookEvents = orElse(o.ReplayEvents, defaultReplayEvents), orElse(o.BookEvents, defaultBookEvents)
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	all := scenarios()
	for _, name := range o.Only {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: only: %q is no scenario: choose from %s", ErrOptions, name, strings.Join(Scenarios(), ", "))
		}
		if all[i].postgres && o.PostgreSQL == "" {
			return nil, fmt.Errorf("%w: only: %s needs a PostgreSQL database", ErrOptions, name)
		}
	}
	return slices.DeleteFunc(all, func(s scenario) bool {
		return (len(o.Only) > 0 && !slices.Contains(o.Only, s.name)) || (s.postgres && o.PostgreSQL == "")
	}), nil
}

func orElse[T comparable](value, usual T) T {
	var zero T
	if value == zero {
		return usual
	}
	return value
}

// Run measures the scenarios chosen, one after the other, verifies what they wrote,
// and returns the report. An error means that there are no numbers to be believed:
// a contender failed, or what was read back is not what was acknowledged. A
// requirement that is not met is no error; it is in the report.
//
// It returns soon after ctx ends. Its own schema and files are removed in any case.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	chosen, err := o.check()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	lab, err := newLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lab.close(ctx)) }()
	report, err := lab.describe(ctx, began)
	if err != nil {
		return nil, err
	}
	for i, sc := range chosen {
		_, _ = fmt.Fprintf(o.Progress, "%2d/%d  %-13s %s\n", i+1, len(chosen), sc.name, sc.title)
		result, err := lab.measure(ctx, sc)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", sc.name, err)
		}
		report.Scenarios = append(report.Scenarios, result)
	}
	report.ElapsedSeconds = time.Since(began).Seconds()
	return report, nil
}

// measure runs one scenario from its set-up to the verification of what it wrote.
func (l *lab) measure(ctx context.Context, sc scenario) (_ Scenario, err error) {
	s := l.newStage(sc.name)
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	contenders, err := sc.prepare(ctx, s)
	if err != nil {
		return Scenario{}, err
	}
	if !sc.cold {
		for _, c := range contenders {
			if _, err := c.round(ctx, l.Time/warmUp); err != nil {
				return Scenario{}, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	rounds := l.Rounds
	if sc.maxRounds > 0 {
		rounds = min(rounds, sc.maxRounds)
	}
	var samples lines
	for round := range rounds {
		for i := range contenders {
			c := contenders[(i+round)%len(contenders)]
			taken, err := l.turn(ctx, sc, c)
			if err != nil {
				return Scenario{}, fmt.Errorf("%s: %w", c.name, err)
			}
			samples.add(taken)
		}
	}
	for _, c := range contenders {
		if c.verify == nil { // it only reads
			continue
		}
		if err := c.verify(ctx); err != nil {
			return Scenario{}, fmt.Errorf("%s: what was written is not what was acknowledged: %w", c.name, err)
		}
	}
	return summarize(sc, samples), nil
}

// turn gives one contender its turn in a round. The CPU time that the server takes
// meanwhile belongs to the first of its samples. The contender's work carries its
// name in CPU profiles, as a label.
func (l *lab) turn(ctx context.Context, sc scenario, c contender) (samples []sample, err error) {
	runtime.GC() // nobody pays for what another has left behind
	var before, after time.Duration
	seen := false
	if sc.postgres {
		before, seen = l.server.cpu()
	}
	pprof.Do(ctx, pprof.Labels("scenario", sc.name, "contender", c.name), func(ctx context.Context) {
		samples, err = c.round(ctx, l.Time)
	})
	if err != nil {
		return nil, err
	}
	if seen {
		after, seen = l.server.cpu()
		samples[0].Server, samples[0].Seen = after-before, seen
	}
	for i := range samples {
		samples[i].Contender = orElse(samples[i].Contender, c.name)
	}
	return samples, nil
}

// scratch makes a directory for SQLite files, and removes it with the stage.
func (s *stage) scratch() (string, error) {
	dir, err := os.MkdirTemp(s.Dir, "daybook-bench-")
	if err != nil {
		return "", err
	}
	s.onClose(func(context.Context) error { return os.RemoveAll(dir) })
	return dir, nil
}
