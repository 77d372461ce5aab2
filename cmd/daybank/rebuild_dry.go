package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// dryRun is the answer of rebuild --dry-run.
type dryRun struct {
	Book string `json:"book"`
	// Position is up to where the book was read: a read model that is behind was compared
	// up to where it is itself.
	Position int64        `json:"position"`
	Checked  []dryRunPart `json:"checked"`
	// DifferencesTotal is how many there are, of which the first of each read model are in
	// Differences.
	DifferencesTotal int64           `json:"differences_total"`
	Differences      []differenceRow `json:"differences"`
}

// dryRunPart is one read model of a dry run.
type dryRunPart struct {
	Projection string `json:"projection"`
	// Rows is how many were compared.
	Rows        int64 `json:"rows"`
	Differences int64 `json:"differences"`
}

func dryRunColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "ROWS", right: true}, {title: "DIFFERENCES", right: true}}
}

func (r dryRunPart) cells() []string {
	return []string{r.Projection, strconv.FormatInt(r.Rows, 10), strconv.FormatInt(r.Differences, 10)}
}

// differenceRow is a field of a row that a rebuild would change, or a whole row.
type differenceRow struct {
	Projection string `json:"projection"`
	// Row is the row's key.
	Row string `json:"row"`
	// Change is changed, where Field says what, or added or removed for a whole row.
	Change string `json:"change"`
	Field  string `json:"field,omitzero"`
	// Is and WouldBe are values as text, of all fields where it is about a whole row; null
	// where there is no such row or field.
	Is      *string `json:"is"`
	WouldBe *string `json:"would_be"`
}

const changed = "changed" // beside added and removed

func differenceColumns() []column {
	return []column{{title: "PROJECTION"}, {title: "ROW"}, {title: "CHANGE"}, {title: "FIELD"}, {title: "IS"}, {title: "WOULD BE"}}
}

func (r differenceRow) cells() []string {
	text := func(value *string) string {
		if value == nil {
			return "-"
		}
		return shorten(*value)
	}
	return []string{r.Projection, r.Row, r.Change, r.Field, text(r.Is), text(r.WouldBe)}
}

// noRow is what a [daybook.Finding] about a whole row says of the side that has none.
const noRow = "no row"

func differenceRowOf(f daybook.Finding) differenceRow {
	r := differenceRow{Projection: f.Check, Row: validText(f.Row), Change: changed, Field: f.Field, Is: valueOf(f.Found), WouldBe: valueOf(f.Expected)}
	switch {
	case f.Field != "":
	case f.Found == noRow:
		r.Change, r.Is, r.WouldBe = added, nil, new(validText(f.Expected))
	case f.Expected == noRow:
		r.Change, r.Is, r.WouldBe = removed, new(validText(f.Found)), nil
	}
	return r
}

// valueOf is the value that a finding quotes; what it says without quotes is that there is
// no such field.
func valueOf(quoted string) *string {
	value, err := strconv.Unquote(quoted)
	if err != nil {
		return nil
	}
	return new(validText(value))
}

// dryRun lists what rebuilds would change.
func (a *app) dryRun(ctx context.Context, book *daybook.Book, names []string) error {
	checks, err := readmodel.Checks(ctx, book)
	if err != nil {
		return err
	}
	list, err := book.Projections(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		live, found := liveAmong(list, name)
		switch {
		case !found:
			return notMade(a.book, name)
		case live.Lag > 0:
			a.note("%s is behind the book, at position %d of %d: it is compared up to where it is", name, live.Position, live.Position+live.Lag)
		}
	}
	checks = slices.DeleteFunc(checks, func(c daybook.Check) bool { return !slices.Contains(names, c.Name()) })
	progress := a.progressBar("folding", decor.CountersNoUnit("%d / %d events "))
	v, err := daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: checks, Progress: progress.update})
	progress.end(err == nil)
	if err != nil {
		return err
	}
	r, ofBook, err := dryRunOf(v)
	if err != nil {
		return err
	}
	if ofBook > 0 {
		a.note("the book itself is not what it must be, in %s: look with daybank verify before anything is rebuilt", plural(ofBook, "place"))
	}
	return a.showDryRun(r)
}

// dryRunOf is what a verification says of read models, and how much it has found about the
// book itself. It is an error where a rebuild would not come to its end, and so would change
// nothing.
func dryRunOf(v *daybook.Verification) (r dryRun, ofBook int64, err error) {
	r = dryRun{Book: v.Book, Position: v.Position, Checked: []dryRunPart{}, Differences: []differenceRow{}}
	for _, c := range v.Checks {
		if readmodel.Named(c.Check) == nil {
			ofBook += c.Findings
			continue
		}
		r.Checked = append(r.Checked, dryRunPart{c.Check, c.Looked, c.Findings})
		r.DifferencesTotal += c.Findings
	}
	for _, f := range v.Findings {
		switch {
		case readmodel.Named(f.Check) == nil:
		case f.Row == "" && f.Position > 0: // an event that the read model cannot take
			return r, ofBook, fmt.Errorf("a rebuild of %s would stop at %s: %s", f.Check, f.Place(), validText(f.Problem))
		case f.Row == "":
			return r, ofBook, fmt.Errorf("%w: %s is at position %s, and the book ends at %d: rebuild it", daybook.ErrRestored, f.Check, validText(f.Found), v.Head)
		default:
			r.Differences = append(r.Differences, differenceRowOf(f))
		}
	}
	return r, ofBook, nil
}

func (a *app) showDryRun(r dryRun) error {
	checked := make([]row, len(r.Checked))
	for i, one := range r.Checked {
		checked[i] = one
	}
	if err := a.show(r, dryRunColumns(), checked...); err != nil {
		return err
	}
	if r.DifferencesTotal == 0 {
		a.note("a rebuild would change nothing")
		return nil
	}
	if a.format != formatJSON {
		if err := a.stdout.WriteByte('\n'); err != nil {
			return err
		}
		l := a.listing(differenceColumns(), false)
		for _, one := range r.Differences {
			if err := l.add(one); err != nil {
				return err
			}
		}
		if err := l.close(); err != nil {
			return err
		}
		if shown := int64(len(r.Differences)); shown < r.DifferencesTotal {
			a.note("%d of %d differences are shown", shown, r.DifferencesTotal)
		}
	}
	return &hintError{&wouldChangeError{r.DifferencesTotal}, "nothing was changed; the same without --dry-run changes it"}
}

// wouldChangeError is errDiffers with what a rebuild would change.
type wouldChangeError struct{ differences int64 }

func (e *wouldChangeError) Error() string {
	return "a rebuild would change something: " + plural(e.differences, "difference")
}

func (e *wouldChangeError) Unwrap() error { return errDiffers }
