package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/bojanz/currency"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// bankReport is the answer of report: what all accounts come to, at one position.
type bankReport struct {
	Position int64 `json:"position"`
	// RecordedAt is that of the last event up to Position; null where there is none.
	RecordedAt *string       `json:"recorded_at"`
	Currencies []currencyRow `json:"currencies"`
	Agrees     bool          `json:"agrees"`
	Findings   []string      `json:"findings"`
}

// currencyRow is what the accounts of one currency come to. The sums are exact, however
// large: a reader of JSON that is not sure of integers beyond 2^53 takes the decimals.
type currencyRow struct {
	Currency         string         `json:"currency"` // empty where it is not known: of accounts without an opening
	Open             int64          `json:"accounts_open"`
	Closed           int64          `json:"accounts_closed"`
	NotOpened        int64          `json:"accounts_not_opened"`
	Deposits         int64          `json:"deposits"`
	Deposited        string         `json:"deposited"`
	DepositedMinor   jsontext.Value `json:"deposited_minor"`
	Withdrawals      int64          `json:"withdrawals"`
	Withdrawn        string         `json:"withdrawn"`
	WithdrawnMinor   jsontext.Value `json:"withdrawn_minor"`
	Transfers        int64          `json:"transfers"`
	Transferred      string         `json:"transferred"`
	TransferredMinor jsontext.Value `json:"transferred_minor"`
	InTransit        string         `json:"in_transit"`
	InTransitMinor   jsontext.Value `json:"in_transit_minor"`
	Balance          string         `json:"balance"`
	BalanceMinor     jsontext.Value `json:"balance_minor"`
}

func currencyColumns() []column {
	return []column{
		{title: "CURRENCY"}, {title: "OPEN", right: true}, {title: "CLOSED", right: true}, {title: "DEPOSITED", right: true},
		{title: "WITHDRAWN", right: true}, {title: "TRANSFERRED", right: true}, {title: "IN TRANSIT", right: true}, {title: "BALANCES", right: true},
	}
}

func (r currencyRow) cells() []string {
	code := r.Currency
	if code == "" {
		code = "?"
	}
	return []string{
		code, strconv.FormatInt(r.Open, 10), strconv.FormatInt(r.Closed, 10),
		r.Deposited, r.Withdrawn, r.Transferred, r.InTransit, r.Balance,
	}
}

func newReport(a *app) *cobra.Command {
	var at pointFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Add up all accounts, now or at any moment of the past, and check that the sums agree",
		Long: `Add up all accounts by currency, as they are at one and the same position of the
book, and check that deposits less withdrawals are the sum of the balances and that
every transfer has its two halves. It is an error, with exit code 6, when not.
Deposits, withdrawals and transfers are added up from the events, and the balances
from the read model balances, where the book has it, as of that position.

IN TRANSIT is what was sent and not received, by the moment asked for: a position or
a time of occurrence can lie between the two halves of a transfer.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				c, err := a.cut(ctx, s, daybook.AggregateID{}, at)
				if err != nil {
					return err
				}
				rows, unreadable, err := a.balancesAt(ctx, s, c)
				if err := errors.Join(append(unreadable, err)...); err != nil {
					return err
				}
				t, err := s.tally(ctx, c, rows)
				if err != nil {
					return err
				}
				return a.showReport(t.report(c))
			})
		},
	}
	at.addForBook(cmd)
	return cmd
}

func (a *app) showReport(r bankReport) error {
	if a.format == formatJSON {
		if err := a.show(r, nil); err != nil {
			return err
		}
		return r.verdict()
	}
	l := a.listing(currencyColumns(), false)
	for _, c := range r.Currencies {
		if err := l.add(c); err != nil {
			return err
		}
	}
	if err := l.close(); err != nil {
		return err
	}
	if err := r.verdict(); err != nil {
		return err
	}
	where := fmt.Sprintf("At position %d", r.Position)
	if r.RecordedAt != nil {
		where += ", recorded at " + *r.RecordedAt
	}
	_, err := fmt.Fprintf(a.stdout, "%s: deposited - withdrawn = balances + in transit, and every transfer has two halves.\n", where)
	return err
}

// verdict is an error where the sums do not agree.
func (r bankReport) verdict() error {
	if r.Agrees {
		return nil
	}
	text := "the sums do not agree"
	for _, finding := range r.Findings {
		text += "\n" + finding
	}
	return fmt.Errorf("%w: %s", errDiffers, text)
}

// report says what the tally has come to, and whether its sums agree.
func (t *tally) report(c cut) bankReport {
	r := bankReport{Position: c.position, Currencies: []currencyRow{}, Findings: t.findings()}
	if !t.recordedAt.IsZero() {
		r.RecordedAt = new(timeText(t.recordedAt))
	}
	for _, code := range t.codes() {
		r.Currencies = append(r.Currencies, t.currencies[code].row(code))
	}
	r.Agrees = len(r.Findings) == 0
	return r
}

func (c *totals) row(code bank.Currency) currencyRow {
	return currencyRow{
		Currency: string(code), Open: c.accounts[bank.StatusOpen], Closed: c.accounts[bank.StatusClosed], NotOpened: c.accounts[bank.StatusNotOpened],
		Deposits: c.count[deposited], Deposited: decimal(&c.sum[deposited], code), DepositedMinor: minor(&c.sum[deposited]),
		Withdrawals: c.count[withdrawn], Withdrawn: decimal(&c.sum[withdrawn], code), WithdrawnMinor: minor(&c.sum[withdrawn]),
		Transfers: c.count[transferredHere], Transferred: decimal(&c.sum[transferredHere], code), TransferredMinor: minor(&c.sum[transferredHere]),
		InTransit: decimal(&c.sum[inTransit], code), InTransitMinor: minor(&c.sum[inTransit]),
		Balance: decimal(&c.sum[balances], code), BalanceMinor: minor(&c.sum[balances]),
	}
}

func minor(n *big.Int) jsontext.Value { return jsontext.Value(n.String()) }

// decimal is [bank.Money.Decimal] for sums, which may be larger than one amount.
func decimal(n *big.Int, code bank.Currency) string {
	amount, err := currency.NewAmountFromBigInt(n, string(code))
	if err != nil {
		return n.String()
	}
	return amount.Number()
}
