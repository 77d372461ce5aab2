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
	one := balance{}.add(newPaid(1), at)
	two := one.add(newPaid(2), at.Add(time.Second))
	want := balances{"1": two, "2": one}
	if err := want.compare(balances{"1": two, "2": one}); err != nil {
		t.Error(err)
	}
	for name, got := range map[string]balances{
		"an event is lost":                 {"1": one, "2": one},
		"an event is in it twice":          {"1": two.add(newPaid(2), at.Add(time.Second)), "2": one},
		"a row is lost":                    {"1": two},
		"a row that no event has touched":  {"1": two, "2": one, "3": {}},
		"the events of another":            {"1": one, "2": two},
		"another event than the one it is": {"1": one.add(newPaid(3), at.Add(time.Second)), "2": one},
		"another time":                     {"1": one.add(newPaid(2), at), "2": one},
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
	view := newBalances(daybook.PerAggregate)
	book, err := s.book(t.Context(), daybook.Inline{view})
	if err != nil {
		t.Fatal(err)
	}
	forget(s, book, view)
	if _, err := fill(t.Context(), book, 10, 5); err != nil {
		t.Fatal(err)
	}
	check := func() error { return auditView(t.Context(), s, book, view, byAggregate) }
	if err := check(); err != nil {
		t.Error(err)
	}
	if _, err := lab.pool.Exec(t.Context(), `UPDATE `+viewTable(book, view)+` SET events = events + 1`); err != nil {
		t.Fatal(err)
	}
	if err := check(); err == nil || !strings.Contains(err.Error(), "its events come to") {
		t.Errorf("a row that was changed: error is %v", err)
	}
}
