package main

import (
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// The types below are the JSON contract of docs/reference/json.md: members may be
// added, and are never renamed, removed or given another meaning.

// row is a result: one JSON value, or one row of a table.
type row interface{ cells() []string }

// accountRow is an account at a point of its history.
type accountRow struct {
	Account        string `json:"account"`
	Owner          string `json:"owner"`
	Currency       string `json:"currency"`
	Balance        string `json:"balance"`
	BalanceMinor   int64  `json:"balance_minor"`
	SequenceNumber int64  `json:"sequence_number"`
	Position       int64  `json:"position"`
	Status         string `json:"status"`
}

func accountColumns() []column {
	return []column{
		{title: "ACCOUNT"}, {title: "OWNER"}, {title: "BALANCE", right: true}, {title: "CURRENCY"},
		{title: "STATUS"}, {title: "NUMBER", right: true}, {title: "POSITION", right: true},
	}
}

func accountRowOf(loaded account) accountRow {
	state := loaded.State
	r := accountRow{
		Account: state.Handle, Owner: state.Owner, Currency: string(state.Currency),
		Balance: state.Money().Decimal(), BalanceMinor: state.Balance,
		SequenceNumber: loaded.SequenceNumber, Position: loaded.Position, Status: string(state.Status),
	}
	if state.Status == bank.StatusNotOpened {
		// Facts were recorded, by an import perhaps, and no opening.
		r.Account, r.Status = loaded.Aggregate.ID.String(), "not opened"
	}
	return r
}

func (r accountRow) cells() []string {
	return []string{
		r.Account, r.Owner, r.Balance, r.Currency, r.Status,
		strconv.FormatInt(r.SequenceNumber, 10), strconv.FormatInt(r.Position, 10),
	}
}

// eventRow is an event as it is recorded.
type eventRow struct {
	Position       int64            `json:"position"`
	AggregateID    string           `json:"aggregate_id"`
	SequenceNumber int64            `json:"sequence_number"`
	EventID        string           `json:"event_id"`
	EventType      string           `json:"event_type"`
	SchemaVersion  int              `json:"schema_version"`
	Payload        jsontext.Value   `json:"payload"`
	Metadata       daybook.Metadata `json:"metadata"`
	OccurredAt     string           `json:"occurred_at"`
	RecordedAt     string           `json:"recorded_at"`
}

// Positions in a table have this width at least, so that a table that is written
// as events come in stays straight for the first billion.
const positionWidth = 9

func eventColumns() []column {
	return []column{
		{title: "POSITION", right: true, width: positionWidth}, {title: "RECORDED AT", width: len(timeLayout)},
		{title: "AGGREGATE"}, {title: "NUMBER", right: true}, {title: "EVENT", width: len("TransferReceived")}, {title: "PAYLOAD"},
	}
}

// timeLayout is RFC 3339 in UTC with all six digits, so that times sort as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func timeText(t time.Time) string { return t.UTC().Format(timeLayout) }

func eventRowOf(rec daybook.Recorded) (eventRow, error) {
	payload, err := daybook.CanonicalJSON(rec.Payload)
	if err != nil {
		// It is to be seen all the same: as text, which JSON has a form for.
		if payload, err = jsontext.AppendQuote(nil, string(rec.Payload)); err != nil {
			payload, err = jsontext.AppendQuote(nil, strconv.QuoteToASCII(string(rec.Payload)))
		}
	}
	return eventRow{
		Position: rec.Position, AggregateID: rec.Aggregate.ID.String(), SequenceNumber: rec.SequenceNumber,
		EventID: rec.EventID.String(), EventType: rec.EventType, SchemaVersion: rec.SchemaVersion,
		Payload: payload, Metadata: rec.Metadata, OccurredAt: timeText(rec.OccurredAt), RecordedAt: timeText(rec.RecordedAt),
	}, err
}

func eventRowsOf(records []daybook.Recorded) ([]eventRow, error) {
	rows := []eventRow{} // [] in JSON, not null
	for _, rec := range records {
		r, err := eventRowOf(rec)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (r eventRow) cells() []string {
	return []string{
		strconv.FormatInt(r.Position, 10), r.RecordedAt, r.AggregateID,
		strconv.FormatInt(r.SequenceNumber, 10), r.EventType, shorten(string(r.Payload)),
	}
}

// listing writes any number of results: a table, a JSON array or, where there is
// no end to them, JSON values one per line.
type listing struct {
	app    *app
	table  *table
	follow bool
	count  int
}

// listing begins an answer of many results. Nothing is written before the first of
// them or close, so that a verb can still find that there is nothing to list.
func (a *app) listing(columns []column, follow bool) *listing {
	l := &listing{app: a, follow: follow}
	if a.format != formatJSON {
		l.table = &table{w: a.stdout, columns: columns, block: tableBlock, pretty: a.pretty}
		if follow {
			l.table.block = 1
		}
	}
	return l
}

// add writes one result. A follower's is with its reader when add returns.
func (l *listing) add(r row) error {
	l.count++
	if l.table != nil {
		if err := l.table.add(r.cells()); err != nil {
			return err
		}
		return l.pass()
	}
	if !l.follow {
		separator := ",\n"
		if l.count == 1 {
			separator = "[\n"
		}
		if _, err := l.app.stdout.WriteString(separator); err != nil {
			return err
		}
	}
	if err := writeJSON(l.app.stdout, r); err != nil {
		return err
	}
	if l.follow {
		if err := l.app.stdout.WriteByte('\n'); err != nil {
			return err
		}
	}
	return l.pass()
}

func (l *listing) pass() error {
	if l.follow {
		return l.app.stdout.Flush()
	}
	return nil
}

// close ends the answer. Without it, after an error, a JSON array stays open: what
// is not all there must not look as if it were.
func (l *listing) close() error {
	if l.table != nil {
		return l.table.flush()
	}
	var end string
	switch {
	case l.follow:
		return nil
	case l.count == 0:
		end = "[]\n"
	default:
		end = "\n]\n"
	}
	_, err := l.app.stdout.WriteString(end)
	return err
}

// show writes an answer that is one result.
func (a *app) show(value any, columns []column, rows ...row) error {
	if a.format == formatJSON {
		if err := writeJSON(a.stdout, value); err != nil {
			return err
		}
		return a.stdout.WriteByte('\n')
	}
	l := a.listing(columns, false)
	for _, r := range rows {
		if err := l.add(r); err != nil {
			return err
		}
	}
	return l.close()
}

func writeJSON(w io.Writer, value any) error {
	return json.MarshalWrite(w, value, json.Deterministic(true))
}
