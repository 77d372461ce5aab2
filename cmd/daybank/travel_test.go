package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// journey is a book with a little of everything: three accounts, transfers, and events
// that were recorded late, many of them at one moment.
type journey struct {
	db      string
	handles []string
	book    *daybook.Book
	events  []daybook.Recorded
}

func newJourney(t *testing.T, db string) journey {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // G404: a test case, not a secret
	j := journey{db: db, handles: []string{"alice", "bob", "carol"}}
	day := func() string {
		return timeText(time.Date(2020, 1, 1+random.IntN(5), 0, 0, 0, 1000*random.IntN(2), time.UTC))
	}
	must(t, db, "open", "alice", "--owner", "Alice", "--occurred-at", day())
	must(t, db, "deposit", "alice", "1000", "--occurred-at", day())
	must(t, db, "open", "bob", "--owner", "Bob", "--occurred-at", day())
	must(t, db, "open", "carol", "--owner", "Carol", "--occurred-at", day())
	for range 8 {
		to := j.handles[1+random.IntN(2)]
		must(t, db, "transfer", "alice", to, strconv.Itoa(1+random.IntN(50)), "--occurred-at", day())
		must(t, db, "deposit", to, strconv.Itoa(1+random.IntN(50)), "--occurred-at", day())
	}
	j.book = openBook(t, db)
	j.events = everyEvent(t, j.book)
	return j
}

// placed is a point, as flags, as the library has it, and as what it must show.
type placed struct {
	flags []string
	point daybook.Point
	shows func(daybook.Recorded) bool
}

// points are every position, every recorded and occurred time there is, the microseconds
// right before those, and each of the first two with each of the last.
func (j journey) points() (points []placed) {
	everything := func(daybook.Recorded) bool { return true }
	known := []placed{{nil, daybook.Point{}, everything}, {[]string{"--at-position", "0"}, daybook.AtPosition(0), func(daybook.Recorded) bool { return false }}}
	happened := []placed{{nil, daybook.Point{}, everything}}
	for _, rec := range j.events {
		known = append(known, placed{
			[]string{"--at-position", strconv.FormatInt(rec.Position, 10)}, daybook.AtPosition(rec.Position),
			func(other daybook.Recorded) bool { return other.Position <= rec.Position },
		})
		for _, early := range []time.Duration{0, time.Microsecond} {
			at := rec.RecordedAt.Add(-early)
			known = append(known, placed{[]string{"--as-of", timeText(at)}, daybook.AsOf(at), func(other daybook.Recorded) bool { return !other.RecordedAt.After(at) }})
			o := rec.OccurredAt.Add(-early)
			happened = append(happened, placed{
				[]string{"--as-of-occurred", timeText(o)}, daybook.AsOfOccurred(o), func(other daybook.Recorded) bool { return !other.OccurredAt.After(o) },
			})
		}
	}
	known, happened = distinct(known), distinct(happened)
	for i, k := range known {
		for n, h := range happened {
			if i > 0 && n > 0 && (i+n)%23 != 0 {
				continue // some of the combinations will do
			}
			point := k.point
			if h.flags != nil {
				at, _ := time.Parse(time.RFC3339Nano, h.flags[1])
				point = point.OccurredBy(at)
			}
			points = append(points, placed{slices.Concat(k.flags, h.flags), point, func(rec daybook.Recorded) bool { return k.shows(rec) && h.shows(rec) }})
		}
	}
	return points
}

func distinct(points []placed) []placed {
	slices.SortFunc(points, func(x, y placed) int { return slices.Compare(x.flags, y.flags) })
	return slices.CompactFunc(points, func(x, y placed) bool { return slices.Equal(x.flags, y.flags) })
}

// balance adds up what a point must show of an account, without any of our folds.
func (j journey) balance(t *testing.T, handle string, at placed) (sum int64) {
	t.Helper()
	for _, rec := range j.events {
		if rec.Aggregate != bank.AccountID(handle) || !at.shows(rec) {
			continue
		}
		var payload struct {
			Amount int64 `json:"amount"`
		}
		if err := json.Unmarshal(rec.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if rec.EventType == "TransferSent" {
			payload.Amount = -payload.Amount
		}
		sum += payload.Amount
	}
	return sum
}

// All accounts at one point are each account at that point, as the library loads it. The
// report agrees there, and adds up to them. As of a recorded time no transfer is halved.
func TestAllAccountsAtEveryPoint(t *testing.T) {
	t.Parallel()
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, open(t, t.TempDir()))
			repository := daybook.NewRepository(j.book, bank.Accounts)
			for _, at := range j.points() {
				want, sum := []accountRow{}, int64(0)
				for _, handle := range j.handles {
					loaded, err := repository.LoadAt(t.Context(), bank.AccountID(handle), at.point)
					if err != nil {
						t.Fatal(err)
					}
					if balance := j.balance(t, handle, at); balance != loaded.State.Balance {
						t.Errorf("%s %v: %d, want %d", handle, at.flags, loaded.State.Balance, balance)
					}
					sum += loaded.State.Balance
					if loaded.SequenceNumber > 0 {
						want = append(want, accountRowOf(loaded))
					}
				}
				// Those that are not opened have no handle, and so stand first.
				slices.SortFunc(want, func(x, y accountRow) int {
					return strings.Compare(x.Status+x.Account, y.Status+y.Account) // "not opened" is before "open"
				})
				got := decode[[]accountRow](t, must(t, j.db, append([]string{"accounts", "-o", "json"}, at.flags...)...))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%v (-each by itself +accounts):\n%s", at.flags, diff)
				}
				report := decode[bankReport](t, must(t, j.db, append([]string{"report", "-o", "json"}, at.flags...)...))
				for _, c := range report.Currencies {
					if string(c.BalanceMinor) != strconv.FormatInt(sum, 10) {
						t.Errorf("%v: the report has %s, the accounts come to %d", at.flags, c.BalanceMinor, sum)
					}
					if !slices.Contains(at.flags, "--at-position") && c.InTransit != "0.00" {
						t.Errorf("%v: %s is in transit", at.flags, c.InTransit)
					}
				}
			}
		})
	}
}

// diff and why say what the library says, between and at all points.
func TestDiffAndWhyAtEveryPoint(t *testing.T) {
	t.Parallel()
	j := newJourney(t, inFile(t, t.TempDir()))
	repository := daybook.NewRepository(j.book, bank.Accounts)
	s := &session{book: j.book, accounts: repository}
	first, err := s.past(t.Context(), bank.AccountID("alice"), cut{position: int64(len(j.events))})
	if err != nil {
		t.Fatal(err)
	}
	opened := timeText(first[0].rec.OccurredAt)
	for _, at := range j.points() {
		loaded, err := repository.LoadAt(t.Context(), bank.AccountID("alice"), at.point)
		if err != nil {
			t.Fatal(err)
		}
		if balance := cli(t, j.db, append([]string{"balance", "alice", "-o", "json"}, at.flags...)...); balance.code == exitOK {
			if diff := cmp.Diff(accountRowOf(loaded), decode[accountRow](t, balance.stdout)); diff != "" {
				t.Errorf("balance %v (-library +balance):\n%s", at.flags, diff)
			}
		} else if balance.code != exitNotFound || loaded.State.Status != bank.StatusNotOpened {
			t.Errorf("balance %v: exit code %d", at.flags, balance.code)
		}
		got := cli(t, j.db, append([]string{"why", "alice", "-o", "json"}, at.flags...)...)
		if loaded.State.Status == bank.StatusNotOpened {
			if got.code != exitNotFound || got.stdout != "" {
				t.Errorf("why %v, before the opening: exit code %d, %s", at.flags, got.code, got.stdout)
			}
			continue
		}
		reasons := decode[[]reason](t, got.stdout)
		if last := reasons[len(reasons)-1]; last.BalanceMinor != loaded.State.Balance || last.SequenceNumber != loaded.SequenceNumber {
			t.Errorf("why %v ends with %d at %d, want %d at %d", at.flags, last.BalanceMinor, last.SequenceNumber, loaded.State.Balance, loaded.SequenceNumber)
		}
		text := pointOf(at.flags)
		d := decode[difference](t, must(t, j.db, "diff", "alice", "--from", occurredPrefix+opened, "--to", text, "-o", "json"))
		if diff := cmp.Diff(accountRowOf(loaded), d.To); diff != "" {
			t.Errorf("diff to %s (-library +diff):\n%s", text, diff)
		}
		sum := d.From.BalanceMinor
		for _, e := range d.Events {
			if e.Change == removed {
				e.AmountMinor = -e.AmountMinor
			}
			sum += e.AmountMinor
		}
		if sum != d.To.BalanceMinor {
			t.Errorf("diff to %s: the events lead to %d, want %d", text, sum, d.To.BalanceMinor)
		}
	}
}

// pointOf writes flags as the POINT that means the same.
func pointOf(flags []string) string {
	forms := map[string]string{"--at-position": "@", "--as-of": "", "--as-of-occurred": occurredPrefix}
	var parts []string
	for i := 0; i < len(flags); i += 2 {
		parts = append(parts, forms[flags[i]]+flags[i+1])
	}
	if len(parts) == 0 {
		return "now"
	}
	return strings.Join(parts, ",")
}

// A report is of one position, and so are all accounts, however much is written meanwhile.
func TestReportAgreesWhileOthersWrite(t *testing.T) {
	t.Parallel()
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "open", "bob", "--owner", "Bob")
			must(t, db, "deposit", "alice", "1000")
			book := openBook(t, db)
			repository := daybook.NewRepository(book, bank.Accounts)
			done := make(chan struct{})
			var writers sync.WaitGroup
			for i, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
				writers.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-done:
							return
						default:
						}
						amount := bank.Money{Minor: int64(1 + (n+i)%3), Currency: "EUR"}
						_, err := repository.ExecuteAll(t.Context(), bank.Transfer(pair[0], pair[1], amount, daybook.NewUUID(), ""))
						if err != nil && !errors.Is(err, bank.ErrRefused) {
							t.Error(err)
							return
						}
					}
				})
			}
			first := int64(0)
			for n, moved := 0, false; n < 15 || !moved; n++ {
				r := decode[bankReport](t, must(t, db, "report", "-o", "json"))
				if first == 0 {
					first = r.Position
				}
				moved = r.Position > first
				sum := int64(0)
				for _, one := range decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")) {
					sum += one.BalanceMinor
				}
				if sum != 100_000 {
					t.Errorf("the accounts have %d together", sum)
				}
				if c := r.Currencies[0]; c.Balance != "1000.00" || c.InTransit != "0.00" {
					t.Errorf("at position %d: balances %s, in transit %s", r.Position, c.Balance, c.InTransit)
				}
			}
			close(done)
			writers.Wait()
		})
	}
}
