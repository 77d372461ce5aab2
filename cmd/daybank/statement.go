package main

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// accountStatement is what happened to an account in a period.
type accountStatement struct {
	// opening and closing are the account right before the period and at its end.
	opening, closing account
	// lines are the events of the period in the order of their times, those of one
	// time as they were recorded, with the balance after each.
	lines []statementLine
}

type statementLine struct {
	past
	balance bank.Money
}

// statementOf sorts out an account's events, of which none is later than the period.
func statementOf(id daybook.AggregateID, events []past, p *period) accountStatement {
	var before, during []past
	for _, e := range events {
		if p.by.of(e.rec).Before(p.begin()) {
			before = append(before, e)
		} else {
			during = append(during, e)
		}
	}
	st := accountStatement{opening: fold(id, before), closing: fold(id, events)}
	slices.SortFunc(during, func(x, y past) int {
		return cmp.Or(p.by.of(x.rec).Compare(p.by.of(y.rec)), cmp.Compare(x.rec.Position, y.rec.Position))
	})
	running := st.opening
	for _, e := range during {
		running = e.then(running)
		st.lines = append(st.lines, statementLine{e, bank.Money{Minor: running.State.Balance, Currency: st.closing.State.Currency}})
	}
	// What overflows on the way cannot be shown, even where the end can be.
	st.closing.State.Overflow = st.closing.State.Overflow || running.State.Overflow
	return st
}

// statementDocument is the answer of statement.
type statementDocument struct {
	Account             string         `json:"account"`
	Owner               string         `json:"owner"`
	Currency            string         `json:"currency"`
	By                  string         `json:"by"`
	From                *string        `json:"from"`
	To                  *string        `json:"to"`
	Position            int64          `json:"position"`
	OpeningBalance      string         `json:"opening_balance"`
	OpeningBalanceMinor int64          `json:"opening_balance_minor"`
	Credits             string         `json:"credits"`
	CreditsMinor        jsontext.Value `json:"credits_minor"`
	Debits              string         `json:"debits"`
	DebitsMinor         jsontext.Value `json:"debits_minor"`
	ClosingBalance      string         `json:"closing_balance"`
	ClosingBalanceMinor int64          `json:"closing_balance_minor"`
	Events              []reason       `json:"events"`
}

func newStatement(a *app) *cobra.Command {
	var p period
	cmd := &cobra.Command{
		Use:   "statement HANDLE [--from DAY] [--to DAY]",
		Short: "Show an account's statement: what happened in a period, between its opening and closing balance",
		Long: `Show an account's statement: the balance right before a period, what happened in it,
and the balance at its end. DAY is a day in UTC, which belongs to the period as a
whole, or a time, which belongs to it to the microsecond.

Events are placed by when they occurred, or with --by recorded by when the book wrote
them down. With --as-of it is the statement as the book would have shown it then.
-o csv prints it for a spreadsheet.`,
		Args:        needs("HANDLE"),
		Annotations: map[string]string{printsCSV: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(bank.CheckHandle(args[0]), p.check()); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				st, c, err := a.statement(ctx, s, args[0], &p)
				if err != nil {
					return err
				}
				return a.showStatement(st, c, &p)
			})
		},
	}
	p.add(cmd)
	return cmd
}

// statement reads an account's statement from the book.
func (a *app) statement(ctx context.Context, s *session, handle string, p *period) (accountStatement, cut, error) {
	id := bank.AccountID(handle)
	c, err := a.cut(ctx, s, id, p.point())
	if err != nil {
		return accountStatement{}, c, err
	}
	events, err := s.past(ctx, id, c)
	if err != nil {
		return accountStatement{}, c, err
	}
	st := statementOf(id, events, p)
	if st.closing.State.Status == bank.StatusNotOpened {
		return st, c, notOpened(handle, a.book, p.point())
	}
	return st, c, countable(st.closing)
}

// document brings a statement to the form it is shown in.
func (st accountStatement) document(c cut, p *period) (statementDocument, error) {
	state := st.closing.State
	d := statementDocument{
		Account: state.Handle, Owner: state.Owner, Currency: string(state.Currency), By: p.by.String(), Position: c.position,
		OpeningBalance:      bank.Money{Minor: st.opening.State.Balance, Currency: state.Currency}.Decimal(),
		OpeningBalanceMinor: st.opening.State.Balance,
		ClosingBalance:      state.Money().Decimal(), ClosingBalanceMinor: state.Balance,
		Events: []reason{},
	}
	if p.from.given {
		d.From = new(timeText(p.begin()))
	}
	if p.to.given {
		d.To = new(timeText(p.end()))
	}
	var credits, debits big.Int
	for _, line := range st.lines {
		r, err := line.row(state.Currency)
		if err != nil {
			return d, err
		}
		if r.AmountMinor > 0 {
			credits.Add(&credits, big.NewInt(r.AmountMinor))
		} else {
			debits.Sub(&debits, big.NewInt(r.AmountMinor))
		}
		d.Events = append(d.Events, reason{r, line.balance.Decimal(), line.balance.Minor})
	}
	d.Credits, d.CreditsMinor = decimal(&credits, state.Currency), minor(&credits)
	d.Debits, d.DebitsMinor = decimal(&debits, state.Currency), minor(&debits)
	return d, nil
}

func (a *app) showStatement(st accountStatement, c cut, p *period) error {
	d, err := st.document(c, p)
	if err != nil {
		return err
	}
	if a.format == formatCSV {
		return writeStatementCSV(a.stdout, d)
	}
	title := "OCCURRED AT"
	if p.by == byRecorded {
		title = "RECORDED AT"
	}
	rows := []row{statementRow{time: text(d.From), what: "opening balance", balance: d.OpeningBalance}}
	for _, e := range d.Events {
		at := e.OccurredAt
		if p.by == byRecorded {
			at = e.RecordedAt
		}
		rows = append(rows, statementRow{at, strconv.FormatInt(e.SequenceNumber, 10), e.what(), shorten(e.Reference), e.movement(), e.Balance})
	}
	rows = append(rows, statementRow{time: text(d.To), what: "closing balance", balance: d.ClosingBalance})
	if a.format != formatJSON {
		if _, err := fmt.Fprintf(a.stdout, "%s, %s, in %s, as known at position %d\n\n", plainText(d.Account), plainText(d.Owner), plainText(d.Currency), d.Position); err != nil {
			return err
		}
	}
	return a.show(d, []column{
		{title: title}, {title: "NUMBER", right: true}, {title: "WHAT"}, {title: "REFERENCE"}, {title: "AMOUNT", right: true}, {title: "BALANCE", right: true},
	}, rows...)
}

// statementRow is a line of the table.
type statementRow struct{ time, number, what, reference, amount, balance string }

func (r statementRow) cells() []string {
	return []string{r.time, r.number, r.what, r.reference, r.amount, r.balance}
}

// text is a text that may not be there.
func text(t *string) string {
	if t == nil {
		return ""
	}
	return *t
}
