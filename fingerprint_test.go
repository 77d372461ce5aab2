package daybook_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// stateful is a repository for its fold only.
func stateful[S any](book *daybook.Book, change ...func(*daybook.Decider[S, any, any])) daybook.Fold {
	d := daybook.Decider[S, any, any]{Type: "thing", Initial: func() (s S) { return s }, Evolve: func(s S, _ any) S { return s }}
	for _, c := range change {
		c(&d)
	}
	return daybook.NewRepository(book, d, daybook.Snapshots{}).Fold()
}

type (
	inner        struct{ N int }
	innerRenamed struct{ M int }
	base         struct {
		A    string
		In   []inner
		ByID map[string]inner
		When time.Time
	}
	baseField struct {
		B    string
		In   []inner
		ByID map[string]inner
		When time.Time
	}
	baseDeep struct {
		A    string
		In   []innerRenamed
		ByID map[string]inner
		When time.Time
	}
	baseTag struct {
		A    string `json:"a"`
		In   []inner
		ByID map[string]inner
		When time.Time
	}
	baseKind struct {
		A    []byte
		In   []inner
		ByID map[string]inner
		When time.Time
	}
	baseKey struct {
		A    string
		In   []inner
		ByID map[int]inner
		When time.Time
	}
	baseMore struct {
		A     string
		In    []inner
		ByID  map[string]inner
		When  time.Time
		Array [2]int
	}
	baseLonger struct {
		A     string
		In    []inner
		ByID  map[string]inner
		When  time.Time
		Array [3]int
	}
	chained struct{ Next *chained } // a type within itself

	happened   struct{ By int }
	happenedV1 struct{ Amount int }
	happenedV0 struct{ Quantity int }
	happenedTo struct{ To int }
)

// Whatever a state depends on, apart from what functions do, is in the fold.
func TestTheFoldChangesWithWhateverItDependsOn(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	open := func(types ...daybook.EventType) *daybook.Book {
		book, err := daybook.Open(t.Context(), driver, "main", daybook.NewRegistry(types...))
		if err != nil {
			t.Fatal(err)
		}
		return book
	}
	up1 := daybook.Upcast(func(old happenedV1) happened { return happened{old.Amount} })
	up0 := daybook.Upcast(func(old happenedV0) happenedV1 { return happenedV1{old.Quantity} })
	plain := open(daybook.Type[happened]("Happened"))
	folds := map[string]daybook.Fold{
		"as it is":                    stateful[base](plain),
		"a field renamed":             stateful[baseField](plain),
		"a field of a field renamed":  stateful[baseDeep](plain),
		"a tag":                       stateful[baseTag](plain),
		"another kind":                stateful[baseKind](plain),
		"other keys":                  stateful[baseKey](plain),
		"a field more":                stateful[baseMore](plain),
		"a longer array":              stateful[baseLonger](plain),
		"within itself":               stateful[chained](plain),
		"no struct":                   stateful[int64](plain),
		"another version":             stateful(plain, func(d *daybook.Decider[base, any, any]) { d.FoldVersion = 1 }),
		"another aggregate":           stateful(plain, func(d *daybook.Decider[base, any, any]) { d.Type = "other" }),
		"an event more":               stateful[base](open(daybook.Type[happened]("Happened"), daybook.Type[happenedTo]("HappenedTo"))),
		"an event of another name":    stateful[base](open(daybook.Type[happened]("Occurred"))),
		"an event of another shape":   stateful[base](open(daybook.Type[happenedTo]("Happened"))),
		"a new schema version":        stateful[base](open(daybook.Type[happened]("Happened", up1))),
		"another new schema version":  stateful[base](open(daybook.Type[happened]("Happened", up0, up1))),
		"no events":                   stateful[base](open()),
		"another state of that shape": stateful[struct{ A string }](plain),
	}
	seen := map[daybook.Fold]string{}
	for _, name := range slices.Sorted(maps.Keys(folds)) {
		if other, taken := seen[folds[name]]; taken {
			t.Errorf("%s: the fold is that of %s", name, other)
		}
		seen[folds[name]] = name
	}
	if again := stateful[base](open(daybook.Type[happened]("Happened"))); again != folds["as it is"] {
		t.Error("the same program has two folds")
	}
	// A change of this would make all snapshots that there are those of another fold.
	if got := daybook.NewRepository(plain, counters).Fold().String(); got != "d6d52bf2a875" {
		t.Errorf("the fold of the counters is %s", got)
	}
}

// rounded loses what it is told, carrier does not.
type (
	rounded struct{ half float64 }
	carrier struct{ whole int }
)

func (r rounded) MarshalJSON() ([]byte, error)  { return fmt.Appendf(nil, "%.0f", r.half), nil }
func (r *rounded) UnmarshalJSON(b []byte) error { _, err := fmt.Sscan(string(b), &r.half); return err }
func (c carrier) MarshalText() ([]byte, error)  { return fmt.Appendf(nil, "%d", c.whole), nil }
func (c *carrier) UnmarshalText(text []byte) error {
	_, err := fmt.Sscan(string(text), &c.whole)
	return err
}

func TestStatesThatJSONDoesNotCarryAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	for want, make := range map[string]func(){
		"half is not exported":         func() { stateful[struct{ half int }](book) },
		".Any is an interface":         func() { stateful[struct{ Any any }](book) },
		"interface {} is an interface": func() { stateful[any](book) },
		".F is a func":                 func() { stateful[struct{ F func() }](book) },
		".In[].C is a chan":            func() { stateful[struct{ In []struct{ C chan int } }](book) },
		"complex128":                   func() { stateful[complex128](book) },
		".M is a map with keys":        func() { stateful[struct{ M map[[2]int]string }](book) },
		"left out by its tag": func() {
			stateful[struct {
				A int `json:"-"`
			}](book)
		},
		"needs a format": func() { stateful[struct{ D time.Duration }](book) },
		"does not come back": func() {
			stateful(book, func(d *daybook.Decider[rounded, any, any]) { d.Initial = func() rounded { return rounded{0.7} } })
		},
		"MarshalJSON and Unmarshal": func() { stateful[func()](book) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) || !strings.Contains(text, "daybook.NewRepository(thing)") {
					t.Errorf("want a panic with %q: %s", want, text)
				}
			}()
			make()
		}()
	}
	stateful[struct {
		carrier
		C    carrier
		Time time.Time
		P    *int
		M    map[carrier][]byte
		D    time.Duration `json:",format:nano"`
		In   *chained
	}](book)
	for _, s := range []daybook.Snapshots{{Every: -1}, {Thin: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v did not panic", s)
				}
			}()
			daybook.NewRepository(book, counters, s)
		}()
	}
}

// ledger is a state with all that can get lost on the way through JSON.
type ledger struct {
	Lines  []string
	Names  map[string]int
	Number float64
	Whole  int64
	Text   string
	Half   rounded
}

// What cannot be kept is left out, told and not tried again; what can comes back as it
// was, nil and empty alike.
func TestAStateThatDoesNotComeBackIsNotKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state  ledger
		reason string
	}{
		"nothing":      {ledger{}, ""},
		"empty":        {ledger{Lines: []string{}, Names: map[string]int{}}, ""},
		"full":         {ledger{Lines: []string{"a"}, Names: map[string]int{"b": 1}, Number: 0.1, Whole: 1<<53 - 1, Text: "<>&\u2028"}, ""},
		"NaN":          {ledger{Number: math.NaN()}, "NaN"},
		"minus zero":   {ledger{Number: math.Copysign(0, -1)}, "does not come back"},
		"2 to the 53":  {ledger{Whole: 1 << 53}, "within ±(2^53−1)"},
		"U+0000":       {ledger{Text: "a\x00"}, "U+0000"},
		"no UTF-8":     {ledger{Text: "\xff"}, "UTF-8"},
		"a lossy type": {ledger{Half: rounded{0.7}}, "does not come back"},
		"too large":    {ledger{Text: strings.Repeat("x", daybook.MaxStateBytes)}, "the limit is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book := openCounters(t, newDriver(t))
			var told reports
			repo := daybook.NewRepository(book, daybook.Decider[ledger, any, counterEvent]{
				Type: "counter", Initial: func() ledger { return ledger{} }, Evolve: func(ledger, counterEvent) ledger { return c.state },
			}, daybook.Snapshots{Every: 3, CheckOneIn: 1, Report: told.add})
			if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: counter(1), Events: []daybook.Event{{Data: added{1}}, {Data: added{1}}, {Data: added{1}}, {Data: added{1}}}}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				loaded, err := repo.Load(t.Context(), counter(1))
				if diff := cmp.Diff(fmt.Sprintf("%#v", c.state), fmt.Sprintf("%#v", loaded.State)); err != nil || diff != "" {
					t.Errorf("loaded %.500s, %v", diff, err)
				}
				flush(t, repo)
			}
			stats, errs := repo.SnapshotStats(), told.all()
			if c.reason == "" {
				if stats.Written != 1 || stats.Used != 2 || stats.Checked != 2 || len(errs) > 0 {
					t.Errorf("%+v, reported %v", stats, errs)
				}
				return
			}
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.reason) || !strings.Contains(errs[0].Error(), counter(1).String()+" at sequence number 3") || stats.Failed != 1 || stats.Written != 0 {
				t.Errorf("%+v, reported %.500v, want one with %q", stats, errs, c.reason)
			}
			wantNumbers(t, book, counter(1))
		})
	}
}

// linked is a state in which it matters that two pointers are one.
type linked struct {
	All  []*int
	Last *int
}

func TestAStateWithOnePointerInTwoPlacesIsNotKept(t *testing.T) {
	t.Parallel()
	book := openCounters(t, newDriver(t))
	appendCounts(t, book, counter(1), 15)
	for name, c := range map[string]struct {
		last   func(*int) *int
		failed int64
	}{
		"one pointer":  {func(p *int) *int { return p }, 3},
		"two pointers": {func(p *int) *int { return new(*p) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decider := daybook.Decider[linked, any, counterEvent]{
				Type: "counter", FoldVersion: int(c.failed), Initial: func() linked { return linked{} },
				Evolve: func(s linked, e counterEvent) linked {
					n := e.(added).By
					if last := len(s.All) - 1; last >= 0 && s.All[last] == s.Last {
						n += *s.Last
						s.All = s.All[:last:last]
					}
					s.All = append(s.All[:len(s.All):len(s.All)], &n)
					s.Last = c.last(&n)
					return s
				},
			}
			var told reports
			repo := daybook.NewRepository(book, decider, daybook.Snapshots{Every: 5, CheckOneIn: -1, Report: told.add})
			if _, err := repo.Load(t.Context(), counter(1)); err != nil {
				t.Fatal(err)
			}
			flush(t, repo)
			for n := range int64(16) {
				got, err := repo.LoadAt(t.Context(), counter(1), daybook.AtSequence(n))
				want, wantErr := daybook.NewRepository(book, decider).LoadAt(t.Context(), counter(1), daybook.AtSequence(n))
				if diff := cmp.Diff(want, got); diff != "" || err != nil || wantErr != nil {
					t.Errorf("at %d (-want +got): %s, %v, %v", n, diff, err, wantErr)
				}
			}
			flush(t, repo)
			if stats := repo.SnapshotStats(); stats.Failed != c.failed || stats.Written != 3-c.failed || int64(len(told.all())) != c.failed {
				t.Errorf("%+v, reported %v", stats, told.all())
			}
		})
	}
}
