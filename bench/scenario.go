package bench

import (
	"context"
	"slices"
	"time"
)

// scenario is one question, put to several contenders in turns.
type scenario struct {
	name  string // for Options.Only
	title string
	// baseline is the line that all others are compared with.
	baseline string
	// postgres says that it needs one; the others need a directory.
	postgres bool
	// cold leaves out the warm-up, where prepare has seen to that.
	cold bool
	// maxRounds, where set, bounds the rounds of a scenario whose turns are long.
	maxRounds int
	must      []requirement
	prepare   func(context.Context, *stage) ([]contender, error)
}

// contender is one way to do what a scenario asks for.
type contender struct {
	name string
	// round works for about so long and says what was done. Most return one sample;
	// whoever sees two things at once returns both, each with its name.
	round func(ctx context.Context, d time.Duration) ([]sample, error)
	// verify reads back everything written in all rounds; nil where nothing was.
	verify func(ctx context.Context) error
}

// Names of lines in the report.
const (
	nameDaybook = "daybook"
	nameRaw     = "raw"
	nameSingle  = "single"
	nameFollow  = "follow"
	nameAppend  = "append"
)

// appendScenario is n callers that append one event each, to aggregates of their own.
func appendScenario(name, title string, callers int, kinds []kind, must ...requirement) scenario {
	return scenario{
		name: name, title: title + ", one event a call, aggregates of their own", baseline: string(plain), postgres: true, must: must,
		prepare: func(ctx context.Context, s *stage) ([]contender, error) { return prepareAppend(ctx, s, callers, kinds) },
	}
}

// scenarios returns all of them, in the order in which they run.
func scenarios() []scenario {
	return slices.Concat(firstScenarios(), snapshotScenarios(), projectionScenarios(), lastScenarios(), []scenario{sqliteSnapshotScenario()})
}

// firstScenarios are about appends, and about reading what is not long.
func firstScenarios() []scenario {
	everyKind := []kind{plain, xid8, naive, headrow}
	return []scenario{
		appendScenario("append-1", "append, 1 caller", 1, everyKind, atLeast(0.9, rate, nameDaybook, plain)),
		appendScenario("append-8", "append, 8 callers", 8, everyKind, atLeast(1.3, rate, nameDaybook, plain)),
		appendScenario("append-64", "append, 64 callers", 64, everyKind,
			atLeast(4, rate, nameDaybook, plain), atMost(0.25, cpu, nameDaybook, plain), atMost(0.4, p99, nameDaybook, plain)),
		{
			name: "append-500", title: "append, 500 callers, one event a call, against 1,000 rows a transaction by hand",
			baseline: string(bulk), postgres: true, prepare: prepareCrowd,
			must: []requirement{atLeast(0.7, rate, nameDaybook, bulk)},
		},
		{
			name: "append-2x32", title: "append, two processes of 32 callers on one book, one event a call",
			baseline: string(plain), postgres: true, prepare: prepareProcesses,
			must: []requirement{atLeast(3, rate, nameDaybook, plain)},
		},
		{
			name: "execute-64", title: "64 callers on one aggregate, commands with retries, a new aggregate a round",
			baseline: string(naive), postgres: true, prepare: prepareContended,
			must: []requirement{atLeast(1, rate, nameDaybook, naive)},
		},
		{
			name: "append-1000", title: "one caller, 1,000 events a call, of one aggregate",
			baseline: string(bulk), postgres: true, prepare: prepareThousand,
			must: []requirement{atLeast(0.85, rate, nameDaybook, bulk)},
		},
		{
			name: "follow", title: "64 callers append, another process follows: from the call of append to sight",
			baseline: nameAppend, postgres: true, prepare: prepareFollow,
			must: []requirement{atMost(2, p50, nameFollow, nameAppend)},
		},
		{
			name: "replay", title: "replay of one long aggregate, without a snapshot",
			baseline: nameRaw, postgres: true, prepare: prepareReplay,
			must: []requirement{atMost(1.25, elapsed, nameDaybook, nameRaw)},
		},
	}
}

// projectionScenarios are about read models that are kept up to date.
func projectionScenarios() []scenario {
	return []scenario{
		{
			name: "inline-64", title: "append with a view inline, 64 callers, one event a call, aggregates of their own",
			baseline: nameWithout, postgres: true, prepare: prepareInline,
			must: []requirement{atLeast(0.5, rate, nameInline, nameWithout)},
		},
		{
			name: "behind-64", title: "64 callers append, a view runs behind in another process: from an event's being there to its being in the view",
			baseline: nameAppend, postgres: true, prepare: prepareBehind,
			must: []requirement{atLeast(0.9, rate, nameBehind, nameAppend), atMost(2e6, worst, nameBehind, "")},
		},
	}
}

// lastScenarios are those that leave the largest tables behind, and those that have files
// of their own.
func lastScenarios() []scenario {
	return []scenario{
		{
			name: "book", title: "reading a whole book, in a process that does nothing else",
			baseline: nameRaw, postgres: true, cold: true, maxRounds: 3, prepare: prepareBook,
			must: []requirement{atLeast(0.8, rate, nameDaybook, nameRaw), atMost(64e6, memory, nameDaybook, "")},
		},
		{
			name: "verify", title: "verifying a whole book of many aggregates, in a process that does nothing else",
			baseline: nameRaw, postgres: true, cold: true, maxRounds: 3, prepare: prepareVerify,
			must: []requirement{atLeast(0.5, rate, nameDaybook, nameRaw), atMost(150e6, memory, nameDaybook, "")},
		},
		{
			name: "rebuild", title: "making a read model of a whole book anew, in a process that does nothing else",
			baseline: nameRaw, postgres: true, cold: true, maxRounds: 3, prepare: prepareRebuild,
			must: []requirement{atLeast(0.5, rate, nameDaybook, nameRaw), atMost(150e6, memory, nameDaybook, "")},
		},
		{
			name: "sqlite-64", title: "SQLite: append, 64 callers, one event a call, aggregates of their own",
			baseline: nameSingle, prepare: prepareSQLiteAppend,
			must: []requirement{atLeast(8, rate, nameDaybook, nameSingle)},
		},
		{
			name: "sqlite-replay", title: "SQLite: replay of one long aggregate, without a snapshot",
			baseline: nameRaw, prepare: prepareSQLiteReplay,
			must: []requirement{atMost(1.25, elapsed, nameDaybook, nameRaw)},
		},
	}
}

// Scenarios returns the names that [Options].Only may hold, in the order in which
// they run.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}
