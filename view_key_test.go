package daybook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// slot is a key that holds more than its columns keep.
type slot struct {
	At    time.Time
	Place int `db:"-"`
}

// Keys that are one in SQL are one row, whatever else they hold in Go.
func TestKeysAreToldApartByTheirColumns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	for name, key := range map[string]func(n int) slot{
		"times of another zone":      func(int) slot { return slot{At: at.In(time.FixedZone("Nowhere", 3600))} },
		"times of several zones":     func(n int) slot { return slot{At: at.In(time.FixedZone("Nowhere", n))} },
		"times finer than is kept":   func(n int) slot { return slot{At: at.Add(time.Duration(n))} },
		"fields that are no columns": func(n int) slot { return slot{At: at, Place: n} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type count struct{ Events int64 }
			view := &daybook.View[slot, count]{
				Name: "slots",
				Keys: func(e daybook.ProjectedEvent) []slot { return []slot{key(int(e.SequenceNumber))} },
				Evolve: func(row count, key slot, _ daybook.ProjectedEvent) (count, bool) {
					if key != (slot{At: at}) {
						t.Errorf("Evolve got the key %v", key)
					}
					return count{row.Events + 1}, false
				},
			}
			book, repo := openTallied(t, newDriver(t), daybook.Inline{view})
			for range 3 {
				if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
					t.Fatal(err)
				}
			}
			events := []daybook.Event{{Data: added{1}}, {Data: added{2}}}
			if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: counterID(1), Expected: daybook.Exactly(3), Events: events}); err != nil {
				t.Fatal(err)
			}
			see := func(when string) {
				rows, err := view.Find(t.Context(), book, daybook.ViewQuery{})
				if err != nil || len(rows) != 1 || rows[0].Row.Events != 5 || rows[0].Key != (slot{At: at}) {
					t.Errorf("%s, rows are %v, error %v: want one, of 5 events", when, rows, err)
				}
				past, found, err := view.GetAt(t.Context(), book, key(7), daybook.AtPosition(4))
				if err != nil || !found || past.Events != 4 {
					t.Errorf("%s, the row at position 4 is %v, %t, error %v", when, past, found, err)
				}
				check, err := view.Check(book)
				if err != nil {
					t.Fatal(err)
				}
				if v, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: []daybook.Check{check}}); err != nil || !v.Proved() {
					t.Errorf("%s, Verify: %+v, error %v", when, v, err)
				}
			}
			see("after appends")
			if _, err := book.Rebuild(t.Context(), view, daybook.RebuildOptions{}); err != nil {
				t.Error(err)
			}
			see("after a rebuild")
		})
	}
}

// What one engine cannot keep is refused on both, and the append that wanted it alone.
func TestARowWithANullInItsJSON(t *testing.T) {
	t.Parallel()
	type texts struct{ All []string }
	view := &daybook.View[daybook.UUID, texts]{
		Name: "texts", Keys: daybook.PerAggregate,
		Evolve: func(row texts, _ daybook.UUID, e daybook.ProjectedEvent) (texts, bool) {
			text := map[int64]string{1: `\u0000`, 2: "a\x00b"}[e.SequenceNumber]
			return texts{append(row.All, text)}, false
		},
	}
	book, repo := openTallied(t, newDriver(t), daybook.Inline{view})
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Errorf("a backslash, and what is no escape behind it: %v", err)
	}
	_, err := repo.Execute(t.Context(), counterID(1), add{1})
	if !errors.Is(err, daybook.ErrProjection) || !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), "All/1: text may not contain U+0000") {
		t.Errorf("error %v, want that the field cannot be kept", err)
	}
	if row, _, err := view.Get(t.Context(), book, counterID(1).ID); err != nil || len(row.All) != 1 {
		t.Errorf("the row is %q, error %v", row.All, err)
	}
}
