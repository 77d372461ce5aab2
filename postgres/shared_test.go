package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// Rows share what they have in common: what a reader has been given
// stays as it was, whatever it and other readers do.
func TestWhatWasReadIsNobodyElses(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	aggregate := account()
	a := deposits(aggregate, 500)
	for i := range a.Entries[0].Events {
		event := &a.Entries[0].Events[i]
		event.Metadata.Actor = []string{"ann", "bob"}[i/2%2]
		if i%5 < 2 { // two rows with the same
			event.Metadata.Extra = map[string]string{"ip": "::1"}
		}
	}
	want := appendOne(t, db, book, a)
	opened, err := daybook.Open(t.Context(), db, "main", daybook.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var got []daybook.Recorded
	for rec, err := range opened.Read(t.Context(), daybook.Query{Aggregate: aggregate}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("what is read is not what was recorded: %s", diff)
	}
	for i := range got {
		rec := &got[i]
		_ = append(rec.Payload, "behind"...)
		clear(rec.Payload)
		if rec.Metadata.Extra != nil {
			rec.Metadata.Extra["ip"] = "changed"
		}
		if next := got[i+1:]; len(next) > 0 && !cmp.Equal(next[0], want[i+1]) {
			t.Fatalf("%s has changed with the one before", next[0])
		}
	}
}
