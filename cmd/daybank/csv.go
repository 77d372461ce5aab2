package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// writeStatementCSV writes a statement as RFC 4180 has it, with a line of titles: first
// the opening balance, then the events, last the closing balance.
func writeStatementCSV(w io.Writer, d statementDocument) error {
	opening := csvLine{record: "opening", balance: d.OpeningBalance}
	closing := csvLine{record: "closing", balance: d.ClosingBalance}
	if d.By == string(byRecorded) {
		opening.recordedAt, closing.recordedAt = text(d.From), text(d.To)
	} else {
		opening.occurredAt, closing.occurredAt = text(d.From), text(d.To)
	}
	out := csv.NewWriter(w)
	lines := [][]string{
		{"record", "account", "currency", "occurred_at", "recorded_at", "sequence_number", "position", "command", "counterparty", "reference", "amount", "balance"},
		opening.cells(d),
	}
	for _, e := range d.Events {
		lines = append(lines, csvLine{
			"event", e.OccurredAt, e.RecordedAt, strconv.FormatInt(e.SequenceNumber, 10), strconv.FormatInt(e.Position, 10),
			e.Command, e.Counterparty, e.Reference, e.Amount, e.Balance,
		}.cells(d))
	}
	return out.WriteAll(append(lines, closing.cells(d))) // which flushes
}

// csvLine is what differs from line to line.
type csvLine struct {
	record, occurredAt, recordedAt, number, position, command, counterparty, reference, amount, balance string
}

func (l csvLine) cells(d statementDocument) []string {
	return []string{
		l.record, csvText(d.Account), csvText(d.Currency), l.occurredAt, l.recordedAt, l.number, l.position,
		l.command, csvText(l.counterparty), csvText(l.reference), l.amount, l.balance,
	}
}

// csvText makes a text that others have stored harmless to a spreadsheet, which takes a
// cell for a formula where it begins with one of a few characters: such a text gets an
// apostrophe in front, which a spreadsheet does not show. One that has an apostrophe
// there gets a second one, so that taking one away always gives the text back.
// Amounts are numbers, and need no such care.
func csvText(text string) string {
	text = plainText(text)
	if text != "" && strings.ContainsRune("=+-@＝＋－＠'", []rune(text)[0]) {
		return "'" + text
	}
	return text
}
