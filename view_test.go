package daybook_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
)

// declared runs a view whose rows are zero, one for each event.
func declared[K comparable, R any](t *testing.T, book *daybook.Book, change func(*daybook.View[K, R])) error {
	t.Helper()
	v := &daybook.View[K, R]{
		Name:   "rows",
		Keys:   func(daybook.ProjectedEvent) []K { return make([]K, 1) },
		Evolve: func(row R, _ K, _ daybook.ProjectedEvent) (R, bool) { return row, false },
	}
	if change != nil {
		change(v)
	}
	return book.CatchUp(t.Context(), v)
}

type plainRow struct{ N int }

func TestWhatIsNoDeclarationOfAView(t *testing.T) {
	t.Parallel()
	book, _ := openTallied(t, newDriver(t))
	type plain = daybook.View[string, plainRow]
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"nothing at all":                  {book.CatchUp(t.Context(), nil), "is nil"},
		"no functions":                    {book.CatchUp(t.Context(), &plain{Name: "rows"}), "needs Keys and Evolve"},
		"nil":                             {book.CatchUp(t.Context(), (*plain)(nil)), "is nil"},
		"no name":                         {declared(t, book, func(v *plain) { v.Name = "" }), "is not a name"},
		"a name in upper case":            {declared(t, book, func(v *plain) { v.Name = "Rows" }), `"Rows" is not a name`},
		"a negative version":              {declared(t, book, func(v *plain) { v.Version = -1 }), "-1 is negative"},
		"negative workers":                {declared(t, book, func(v *plain) { v.Workers = -1 }), "workers -1"},
		"an index on nothing":             {declared(t, book, func(v *plain) { v.Indexes = []string{"n, m"} }), `no column "m"`},
		"a key of real numbers":           {declared[float64, plainRow](t, book, nil), "key cannot be in a key"},
		"a key without fields":            {declared[struct{}, plainRow](t, book, nil), "has no columns"},
		"a key that may be null":          {declared[struct{ A *string }, plainRow](t, book, nil), "a cannot be in a key"},
		"a row that is no struct":         {declared[string, int](t, book, nil), "int is no struct"},
		"a number that SQL does not have": {declared[string, struct{ N uint64 }](t, book, nil), "use int64"},
		"a field that is not exported":    {declared[string, struct{ n int }](t, book, nil), "n is not exported"},
		"an option that there is not": {declared[string, struct {
			N int `db:"n,unique"`
		}](t, book, nil), `"unique": there is only index`},
		"two columns of one name": {declared[string, struct {
			N int
			M int `db:"n"`
		}](t, book, nil), "n is there twice"},
		"a column of the key's name":          {declared[string, struct{ Key int }](t, book, nil), "key is there twice"},
		"a column that PostgreSQL has":        {declared[string, struct{ Xmin int }](t, book, nil), "xmin is a column that PostgreSQL has in every table"},
		"a name that SQL would have to quote": {declared[string, struct{ Größe int }](t, book, nil), "is not a name"},
		"a pointer to a pointer":              {declared[string, struct{ N **int }](t, book, nil), "one is enough"},
		"what JSON does not carry":            {declared[string, struct{ N chan int }](t, book, nil), "JSON cannot carry it"},
	} {
		if !errors.Is(c.err, daybook.ErrInvalid) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", what, c.err, c.says)
		}
	}
	if err := declared[string, struct{ Order, Select, Rowid int }](t, book, nil); err != nil {
		t.Errorf("words of SQL as columns: %v", err)
	}
}

func TestWhatIsNoQueryOfAView(t *testing.T) {
	t.Parallel()
	type row struct {
		N    int
		Note *string
		Tags []string
		Last time.Time
	}
	view := &daybook.View[string, row]{
		Name: "rows", Key: "name",
		Keys:   func(daybook.ProjectedEvent) []string { return []string{"a"} },
		Evolve: func(r row, _ string, _ daybook.ProjectedEvent) (row, bool) { return row{N: r.N + 1}, false },
	}
	book, repo := openTallied(t, newDriver(t), daybook.Inline{view})
	if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
		t.Fatal(err)
	}
	where := func(column string, op daybook.Op, value any) daybook.ViewQuery {
		return daybook.ViewQuery{Where: []daybook.Condition{{Column: column, Op: op, Value: value}}}
	}
	for what, c := range map[string]struct {
		q    daybook.ViewQuery
		says string
	}{
		"a name of Go":                   {where("N", daybook.Equal, 1), `no column "N"`},
		"a value of another type":        {where("n", daybook.Equal, "1"), "column n is compared with a string"},
		"no way to compare":              {where("n", 0, 1), "Op is none"},
		"text in a number":               {where("n", daybook.Contains, 1), "cannot be compared so"},
		"an order of JSON":               {where("tags", daybook.Less, []string{"a"}), "cannot be compared so"},
		"nil":                            {where("note", daybook.Equal, nil), "equals nothing"},
		"NaN":                            {where("n", daybook.Equal, math.NaN()), "is compared with a float64"},
		"sorted by what may be null":     {daybook.ViewQuery{Order: []string{"note"}}, "null in some"},
		"sorted by JSON":                 {daybook.ViewQuery{Order: []string{"tags"}}, "JSON"},
		"sorted by an expression of SQL": {daybook.ViewQuery{Order: []string{"n desc"}}, `no column "n desc"`},
		"a negative limit":               {daybook.ViewQuery{Limit: -1}, "-1 is negative"},
	} {
		rows, err := view.Find(t.Context(), book, c.q)
		if !errors.Is(err, daybook.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v, want it to say %q", what, rows, err, c.says)
		}
	}
	if rows, err := view.Find(t.Context(), book, where("tags", daybook.NotEqual, []string{"a"})); err != nil || len(rows) != 1 {
		t.Errorf("JSON that is another: %v, %v", rows, err)
	}
}

func TestAViewWhoseKeyNamesAnAggregateTwiceHasItsEventsOnce(t *testing.T) {
	t.Parallel()
	book, repo := openTallied(t, newDriver(t))
	if _, err := repo.Execute(t.Context(), counterID(1), add{2}); err != nil {
		t.Fatal(err)
	}
	view := newTallies()
	once := view.Aggregates
	view.Aggregates = func(id daybook.UUID) []daybook.AggregateID { return append(once(id), once(id)...) }
	row, _, err := view.GetAt(t.Context(), book, counterID(1).ID, daybook.AtPosition(1))
	if err != nil || row.Sum != 2 {
		t.Errorf("the row is %+v, %v, want the sum 2", row, err)
	}
}
