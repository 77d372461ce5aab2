package main

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook/bank"
)

// balanceLine is an account's balance over time: a step line, for a balance stays what
// it is until something happens.
type balanceLine struct {
	account  bank.Account // at the end
	position int64        // the book was looked at there
	by       timeline
	steps    []balanceStep // in order of time, one for each moment; at least one
	end      time.Time     // the last balance holds until then
}

type balanceStep struct {
	at      time.Time
	balance int64
}

// plotted is the answer of plot.
type plotted struct {
	Account  string       `json:"account"`
	Currency string       `json:"currency"`
	By       string       `json:"by"`
	Position int64        `json:"position"`
	To       string       `json:"to"`
	Out      *string      `json:"out"`
	Points   []pointOfRow `json:"points"`
}

// pointOfRow says what the balance is from a moment on.
type pointOfRow struct {
	At           string `json:"at"`
	Balance      string `json:"balance"`
	BalanceMinor int64  `json:"balance_minor"`
}

// How wide a plot of text may be. Below the least of it no line is left beside the
// largest balances.
const (
	minPlotWidth     = 40
	maxPlotWidth     = 1000
	defaultPlotWidth = 80
)

func newPlot(a *app) *cobra.Command {
	var p period
	var width number
	var file pictureFile
	cmd := &cobra.Command{
		Use:   "plot HANDLE [--out FILE]",
		Short: "Draw an account's balance over time, as text or as a picture",
		Long: `Draw an account's balance over time: as text, as wide as the terminal, or with --out
as a picture. The name's ending says of which kind: .svg or .png. A file that is there
is not overwritten without --force.

The line runs from the first event, or --from, to the last one, or --to. Each column
shows the balance at its moment, so that of many events in one column the last counts.`,
		Args: needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(bank.CheckHandle(args[0]), p.check(), checkPlotWidth(width), file.check(cmd.Flags().Changed("out"))); err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				line, err := a.balanceLine(ctx, s, args[0], &p)
				if err != nil {
					return err
				}
				if file.path != "" {
					if err := file.draw(line); err != nil {
						return err
					}
				}
				return a.showPlot(line, file.path, cmp.Or(int(width.value), a.width, defaultPlotWidth))
			})
		},
	}
	p.add(cmd)
	cmd.Flags().Var(&width, "width", "draw text `N` columns wide (default: the terminal's, else 80)")
	file.add(cmd)
	oneOf(cmd, "width", "out")
	return cmd
}

func checkPlotWidth(width number) error {
	if width.given && (width.value < minPlotWidth || width.value > maxPlotWidth) {
		return usage("--width %d: write a number of columns from %d to %d", width.value, minPlotWidth, maxPlotWidth)
	}
	return nil
}

// balanceLine reads an account's balance over a period.
func (a *app) balanceLine(ctx context.Context, s *session, handle string, p *period) (balanceLine, error) {
	st, c, err := a.statement(ctx, s, handle, p)
	if err != nil {
		return balanceLine{}, err
	}
	line := balanceLine{account: st.closing.State, position: c.position, by: p.by}
	if p.from.given && st.opening.SequenceNumber > 0 {
		line.steps = append(line.steps, balanceStep{p.begin(), st.opening.State.Balance})
	}
	for _, l := range st.lines {
		at := p.by.of(l.rec)
		if n := len(line.steps); n > 0 && line.steps[n-1].at.Equal(at) {
			line.steps = line.steps[:n-1] // as of a moment is with all of that moment
		}
		line.steps = append(line.steps, balanceStep{at, l.balance.Minor})
	}
	line.end = line.steps[len(line.steps)-1].at
	if now := time.Now(); p.to.given && p.end().After(line.end) {
		line.end = p.end()
		if line.end.After(now) && now.After(line.steps[len(line.steps)-1].at) {
			line.end = now.UTC().Truncate(time.Microsecond) // nobody knows how it goes on
		}
	}
	return line, nil
}

// begin is the moment the line begins at.
func (l balanceLine) begin() time.Time { return l.steps[0].at }

// at is the balance at a moment of the line.
func (l balanceLine) at(t time.Time) int64 {
	next := sort.Search(len(l.steps), func(i int) bool { return l.steps[i].at.After(t) })
	return l.steps[max(next-1, 0)].balance
}

// samples are the balances at n moments, at equal distances from the begin to the end.
func (l balanceLine) samples(n int) (moments []time.Time, balances []int64) {
	begin, end := l.begin().UnixMicro(), l.end.UnixMicro() // a Duration holds no more than 292 years
	for i := range n {
		t := time.UnixMicro(begin + int64(float64(end-begin)*float64(i)/float64(n-1))).UTC()
		if i == n-1 {
			t = l.end // exactly
		}
		moments, balances = append(moments, t), append(balances, l.at(t))
	}
	return moments, balances
}

// money is an amount in the account's currency.
func (l balanceLine) money(minor int64) bank.Money {
	return bank.Money{Minor: minor, Currency: l.account.Currency}
}

// title says what is drawn. Handles are text of others.
func (l balanceLine) title() string {
	return fmt.Sprintf("%s: balance in %s by when it %s", plainText(l.account.Handle), plainText(string(l.account.Currency)),
		map[timeline]string{byOccurred: "occurred", byRecorded: "was recorded"}[timeline(l.by.String())])
}

func (a *app) showPlot(l balanceLine, out string, width int) error {
	if a.format == formatJSON {
		r := plotted{
			Account: l.account.Handle, Currency: string(l.account.Currency), By: l.by.String(), Position: l.position, To: timeText(l.end),
		}
		if out != "" {
			r.Out = &out
		}
		for _, step := range l.steps {
			r.Points = append(r.Points, pointOfRow{timeText(step.at), l.money(step.balance).Decimal(), step.balance})
		}
		return a.show(r, nil)
	}
	if out != "" {
		return a.show(nil, fieldColumns(), field{"file", out}, field{"account", l.account.Handle},
			field{"points", strconv.Itoa(len(l.steps))}, field{"from", timeText(l.begin())}, field{"to", timeText(l.end)})
	}
	_, err := fmt.Fprintf(a.stdout, "%s, as known at position %d\n\n%s\n", l.title(), l.position, l.text(width))
	return err
}
