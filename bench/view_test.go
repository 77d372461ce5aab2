package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

func TestBalancesThatAreNotTheFold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)
	id := newAggregates(1)[0]
	add := func(b balance, number int64, at time.Time) *balance {
		b = b.add(newPaid(number), &daybook.Recorded{Aggregate: id, Position: number, SequenceNumber: number, EventType: eventType, OccurredAt: at, RecordedAt: at})
		return &b
	}
	one := add(balance{}, 1, at)
	two := add(*one, 2, at.Add(time.Second))
	a, b, c := daybook.UUID{1}, daybook.UUID{2}, daybook.UUID{3}
	want := balances{a: two, b: one}
	if err := want.compare(balances{a: two, b: one}); err != nil {
		t.Error(err)
	}
	later := at.Add(time.Second)
	opened := *one
	opened.OpenedAt = nil
	for name, got := range map[string]balances{
		"an event is lost":                 {a: one, b: one},
		"an event is in it twice":          {a: add(*two, 2, later), b: one},
		"a row is lost":                    {a: two},
		"a row that no event has touched":  {a: two, b: one, c: {}},
		"the events of another":            {a: one, b: two},
		"another event than the one it is": {a: add(*one, 3, later), b: one},
		"another time":                     {a: add(*one, 2, at), b: one},
		"no time where there is one":       {a: two, b: &opened},
		"no rows":                          {},
	} {
		if err := want.compare(got); err == nil {
			t.Errorf("%s: compare finds nothing wrong", name)
		}
	}
}

// A table that somebody else has written to is not what the events come to.
func TestAViewThatIsNotItsFold(t *testing.T) {
	t.Parallel()
	lab, err := newLab(t.Context(), tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	s := lab.newStage("wrong")
	defer func() {
		if err := s.close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := lab.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	book, err := s.namedBook(t.Context(), nameInline, daybook.Inline{newBalances()})
	if err != nil {
		t.Fatal(err)
	}
	forget(s, book)
	if _, err := fill(t.Context(), book, 10, 5); err != nil {
		t.Fatal(err)
	}
	check := func() error { return auditBalances(t.Context(), s, book, viewTable(book)) }
	if err := check(); err != nil {
		t.Error(err)
	}
	if _, err := lab.pool.Exec(t.Context(), `UPDATE `+viewTable(book)+` SET deposits = deposits + 1`); err != nil {
		t.Fatal(err)
	}
	if err := check(); err == nil || !strings.Contains(err.Error(), "its events come to") {
		t.Errorf("a row that was changed: error is %v", err)
	}
}
