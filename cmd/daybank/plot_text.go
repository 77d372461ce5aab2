package main

import (
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"
)

const (
	plotRows = 15
	// plotMargin is the width of the axis beside the labels, and of what the last label
	// of the time axis, which is centred on its tick, takes beyond the line.
	plotMargin = 4 + 6
	// plotTick is how many columns a label of the time axis takes, with room around it.
	plotTick = 16
)

// text draws the line as text, at most width columns wide.
func (l balanceLine) text(width int) string {
	least, most := l.steps[0].balance, l.steps[0].balance
	for _, step := range l.steps {
		least, most = min(least, step.balance), max(most, step.balance)
	}
	// What is drawn is the distance from the least balance in minor units, so that those
	// that differ by a cent beside the largest ones are two; labels are exact again.
	distance := func(balance int64) float64 { return float64(uint64(balance) - uint64(least)) } //nolint:gosec // G115: no int64 holds all distances, and their difference is right
	label := func(from float64) string {
		if from >= distance(most) {
			return l.money(most).Decimal() // a float64 may not hold that distance
		}
		n, _ := big.NewFloat(math.Round(from)).Int(nil)
		return decimal(n.Add(n, big.NewInt(least)), l.account.Currency)
	}
	labels := max(utf8.RuneCountInString(label(0)), utf8.RuneCountInString(l.money(most).Decimal()))
	moments, balances := l.samples(max(width-labels-plotMargin, 2))
	heights := make([]float64, len(balances))
	for i, balance := range balances {
		heights[i] = distance(balance)
	}
	options := []asciigraph.Option{
		asciigraph.Height(int(min(plotRows, max(1, distance(most))))), // no row is less than a minor unit
		asciigraph.YAxisValueFormatter(label), asciigraph.LowerBound(0), asciigraph.UpperBound(distance(most)),
	}
	last := len(moments) - 1
	span := moments[last].Sub(moments[0])
	if span > 0 {
		options = append(options, asciigraph.XAxisRange(0, float64(last)), asciigraph.XAxisTickCount(max(2, last/plotTick)),
			asciigraph.XAxisValueFormatter(func(column float64) string {
				return moments[min(int(math.Round(column)), last)].UTC().Format(tickLayout(span))
			}))
	}
	var out strings.Builder
	for line := range strings.Lines(asciigraph.Plot(heights, options...)) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if span == 0 {
		return out.String() + "at " + timeText(moments[0])
	}
	return out.String() + timeText(moments[0]) + " to " + timeText(moments[last])
}

// tickLayout is how a time axis of that length is labelled.
func tickLayout(span time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case span > 5*day:
		return time.DateOnly
	case span > time.Hour:
		return "01-02 15:04"
	case span > time.Minute:
		return "15:04:05"
	default:
		return "15:04:05.000"
	}
}
