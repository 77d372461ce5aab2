package main

import (
	"context"
	"fmt"
	"math/big"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook/bank"
)

// difference is the answer of diff.
type difference struct {
	Account string     `json:"account"`
	From    accountRow `json:"from"`
	To      accountRow `json:"to"`
	// Changed are the members of From and To that differ.
	Changed            []string       `json:"changed"`
	BalanceChange      string         `json:"balance_change"`
	BalanceChangeMinor jsontext.Value `json:"balance_change_minor"`
	Events             []changeRow    `json:"events"`
}

// changeRow is an event that one of the points shows and the other does not.
type changeRow struct {
	movementRow `json:",inline"`
	// Change is added or removed.
	Change string `json:"change"`
}

const (
	added   = "added"
	removed = "removed"
)

func changeColumns() []column {
	return []column{
		{title: "CHANGE"}, {title: "NUMBER", right: true}, {title: "POSITION", right: true}, {title: "OCCURRED AT"}, {title: "RECORDED AT"},
		{title: "EVENT"}, {title: "AMOUNT", right: true}, {title: "PAYLOAD"},
	}
}

func (r changeRow) cells() []string {
	return []string{
		r.Change, strconv.FormatInt(r.SequenceNumber, 10), strconv.FormatInt(r.Position, 10), r.OccurredAt, r.RecordedAt,
		r.EventType, r.movement(), shorten(string(r.Payload)),
	}
}

func newDiff(a *app) *cobra.Command {
	var from, to pointText
	cmd := &cobra.Command{
		Use:   "diff HANDLE --from POINT [--to POINT]",
		Short: "Show what is different about an account between two points, and the events that did it",
		Long: `Show which fields of an account differ between two points, and the events that did
it: those that the second point shows and the first does not are added, those that
only the first one shows are removed.

A POINT is 12 (after event 12 of the account; #12 is the same, and a shell wants it
quoted), @345 (after position 345 of the book), 2026-11-24T10:00:00Z (as the book
knew it then), occurred:2026-11-24T10:00:00Z (what had occurred by then), or now.
With a comma, @345,occurred:TIME is what had occurred by TIME, of what was recorded
up to position 345.`,
		Args: needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("from") {
				return usage("diff needs --from POINT: write %s", pointForms)
			}
			if err := bank.CheckHandle(args[0]); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.diff(ctx, s, args[0], from.pointFlags, to.pointFlags)
			})
		},
	}
	cmd.Flags().Var(&from, "from", "the first `POINT` (needed)")
	cmd.Flags().Var(&to, "to", "the second `POINT` (default now)")
	return cmd
}

func (a *app) diff(ctx context.Context, s *session, handle string, from, to pointFlags) error {
	id := bank.AccountID(handle)
	first, err := a.cut(ctx, s, id, from)
	if err != nil {
		return named(err, handle)
	}
	second, err := a.cut(ctx, s, id, to)
	if err != nil {
		return named(err, handle)
	}
	events, err := s.past(ctx, id, first, second)
	if err != nil {
		return err
	}
	before := account{Aggregate: id, State: bank.Accounts.Initial()}
	after := before
	for _, p := range events {
		if first.includes(p.rec) {
			before = p.then(before)
		}
		if second.includes(p.rec) {
			after = p.then(after)
		}
	}
	for _, one := range []account{before, after} {
		if err := countable(one); err != nil {
			return err
		}
	}
	if before.State.Status == bank.StatusNotOpened && after.State.Status == bank.StatusNotOpened {
		return notOpened(handle, a.book, to)
	}
	code := after.State.Currency
	if code == "" {
		code = before.State.Currency
	}
	d := difference{Account: handle, From: pointRow(before, handle, code), To: pointRow(after, handle, code), Events: []changeRow{}}
	for _, p := range events {
		change := added
		switch {
		case first.includes(p.rec) == second.includes(p.rec):
			continue
		case first.includes(p.rec):
			change = removed
		}
		r, err := p.row(code)
		if err != nil {
			return err
		}
		d.Events = append(d.Events, changeRow{r, change})
	}
	change := new(big.Int).Sub(big.NewInt(after.State.Balance), big.NewInt(before.State.Balance))
	d.BalanceChange, d.BalanceChangeMinor = decimal(change, code), minor(change)
	return a.showDiff(d)
}

// pointRow is an account at a point where it may not be opened yet, and so does not
// know its handle and its currency by itself.
func pointRow(one account, handle string, code bank.Currency) accountRow {
	r := accountRowOf(one)
	if one.State.Status == bank.StatusNotOpened {
		r.Account, r.Balance = handle, bank.Money{Minor: r.BalanceMinor, Currency: code}.Decimal()
	}
	return r
}

// changedRow is a field of a state, at both points.
type changedRow struct{ field, from, to string }

func (r changedRow) cells() []string { return []string{r.field, r.from, r.to} }

func (a *app) showDiff(d difference) error {
	d.Changed = []string{} // [] in JSON, not null
	var fields []row
	for _, f := range []struct{ member, title, from, to string }{
		{"status", "status", d.From.Status, d.To.Status},
		{"owner", "owner", d.From.Owner, d.To.Owner},
		{"currency", "currency", d.From.Currency, d.To.Currency},
		{"balance", "balance", d.From.Balance, d.To.Balance},
		{"sequence_number", "sequence number", strconv.FormatInt(d.From.SequenceNumber, 10), strconv.FormatInt(d.To.SequenceNumber, 10)},
		{"position", "position", strconv.FormatInt(d.From.Position, 10), strconv.FormatInt(d.To.Position, 10)},
	} {
		if f.from != f.to {
			d.Changed = append(d.Changed, f.member)
			fields = append(fields, changedRow{f.title, f.from, f.to})
		}
	}
	if a.format == formatJSON {
		return a.show(d, nil)
	}
	if len(fields) == 0 && len(d.Events) == 0 {
		_, err := fmt.Fprintf(a.stdout, "%s is the same at both points.\n", plainText(d.Account))
		return err
	}
	if err := a.show(nil, []column{{title: "FIELD"}, {title: "FROM", right: true}, {title: "TO", right: true}}, fields...); err != nil {
		return err
	}
	if err := a.stdout.WriteByte('\n'); err != nil {
		return err
	}
	var events []row
	for _, e := range d.Events {
		events = append(events, e)
	}
	return a.show(nil, changeColumns(), events...)
}
