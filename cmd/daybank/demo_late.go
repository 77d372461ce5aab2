package main

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// dora's is the account with a payment that the book learns of late.
const dora = "dora"

// late asks what was known when: before a payment was recorded and after, of days before
// it happened and after.
func (t *tour) late(ctx context.Context) error {
	day := func(n int) time.Time { return time.Date(2026, time.January, n, 0, 0, 0, 0, time.UTC) }
	record := func(command bank.Command, occurred time.Time) (daybook.Result[bank.Account], error) {
		return t.session.accounts.Execute(ctx, bank.AccountID(dora), command, daybook.Stamp{OccurredAt: occurred})
	}
	if _, err := record(bank.Open{Handle: dora, Owner: "Dora", Currency: "EUR"}, day(1)); err != nil {
		return err
	}
	before, err := record(bank.Deposit{Amount: eur(100_00)}, day(5))
	if err != nil {
		return err
	}
	t.note("dora has %s since 5 January. Then a payment of 3 January comes in, too late:", before.State.Money())
	t.call("accounts.Execute(ctx, dora, bank.Deposit{Amount: eur(4000)}, daybook.Stamp{OccurredAt: jan3})")
	after, err := record(bank.Deposit{Amount: eur(40_00)}, day(3))
	if err != nil {
		return err
	}
	t.call("accounts.LoadAt(ctx, dora, daybook.AsOf(known).OccurredBy(day))")
	var rows [][]string
	var answers []string
	for _, n := range []int{2, 4, 6} {
		row := []string{fmt.Sprintf("%d January", n)}
		for _, known := range []daybook.Recorded{before.Events[0], after.Events[0]} {
			loaded, err := t.session.accounts.LoadAt(ctx, bank.AccountID(dora), daybook.AsOf(known.RecordedAt).OccurredBy(day(n)))
			if err != nil {
				return err
			}
			row = append(row, loaded.State.Money().String())
		}
		rows = append(rows, row)
		answers = append(answers, row[1:]...)
	}
	err = t.table([]column{{title: "BALANCE OF"}, {title: "AS IT WAS KNOWN BEFORE", right: true}, {title: "AS IT IS KNOWN SINCE", right: true}}, rows)
	if err != nil {
		return err
	}
	return check(t, "each is the demo's own sum", fmt.Sprint(answers), fmt.Sprint([]bank.Money{eur(0), eur(0), eur(0), eur(40_00), eur(100_00), eur(140_00)}))
}
