package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// Append implements [daybook.Driver].
func (db *DB) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) (outcomes []daybook.Outcome, err error) {
	err = db.write(ctx, func(ended context.Context, s *session) (bool, error) {
		head, err := readState(ended, s, book)
		if err != nil {
			return false, err
		}
		if head.Inline != inline.Revision {
			return false, fmt.Errorf("%w: they are at revision %d, the append was made for %d", daybook.ErrInlineChanged, head.Inline, inline.Revision)
		}
		survey, err := look(ended, s, book, batch)
		if err != nil {
			return false, err
		}
		survey.Position = head.Position
		placement := daybook.Plan(batch, survey)
		recordedAt := db.now().UTC().Truncate(time.Microsecond)
		if !recordedAt.After(head.RecordedAt) {
			recordedAt = head.RecordedAt.Add(time.Microsecond) // the clock was set back
		}
		outcomes = placement.Outcomes(recordedAt)
		if len(placement.Rows) == 0 {
			return false, nil
		}
		if err := insert(ctx, ended, s, book, placement.Rows); err != nil {
			return false, err
		}
		return true, project(ctx, s, inline, placement.Rows)
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// selectAggregates returns the last event of each aggregate of the JSON array ?2 that has
// any in book ?1. Two probes each: events_by_aggregate, which has the position in it, and
// the primary key. CROSS JOIN keeps the order.
const selectAggregates = `SELECT aggregate_id, aggregate_type, sequence_number, event_id
FROM json_each(?2) AS wanted CROSS JOIN events
WHERE book_id = ?1 AND position = (
	SELECT position FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value ORDER BY sequence_number DESC LIMIT 1)`

// look finds out what the planner needs to know about batch.
func look(ctx context.Context, q querier, book daybook.BookID, batch []daybook.Append) (daybook.Survey, error) {
	survey := daybook.Survey{Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
	var aggregates, events []daybook.UUID
	for _, a := range batch {
		for _, entry := range a.Entries {
			aggregates = append(aggregates, entry.Aggregate.ID)
			for _, event := range entry.Events {
				events = append(events, event.EventID)
			}
		}
	}
	wanted, err := json.Marshal(aggregates)
	if err != nil {
		return survey, err
	}
	rows, err := q.QueryContext(ctx, selectAggregates, book, string(wanted))
	if err != nil {
		return survey, err
	}
	defer rows.Close()
	for rows.Next() {
		var text, event string
		var head daybook.AggregateHead
		if err := rows.Scan(&text, &head.Type, &head.SequenceNumber, &event); err != nil {
			return survey, err
		}
		id, err := daybook.ParseUUID(text)
		if err != nil {
			return survey, err
		}
		if head.EventID, err = daybook.ParseUUID(event); err != nil {
			return survey, err
		}
		survey.Aggregates[id] = head
	}
	if err := rows.Err(); err != nil {
		return survey, err
	}
	recorded, err := lookup(ctx, q, book, events)
	for _, rec := range recorded {
		survey.Recorded[rec.EventID] = rec
	}
	return survey, err
}

// insertEvent writes one event at its place. The driver looks numbered parameters up by
// name, row by row; these it counts.
const insertEvent = `INSERT INTO events (book_id, position, aggregate_type, aggregate_id, sequence_number, event_id,
	event_type, schema_version, payload, metadata, occurred_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// updateHead moves the head of book ?1 to position ?2, recorded at ?3.
const updateHead = `UPDATE heads SET position = ?2, recorded_at = ?3 WHERE book_id = ?1`

// insert writes rows and moves the head behind them. It stops when ctx ends; its
// statements do not look at that.
func insert(ctx, ended context.Context, s *session, book daybook.BookID, rows []daybook.Recorded) error {
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		metadata, err := row.Metadata.MarshalJSON()
		if err != nil {
			return err
		}
		if _, err = s.ExecContext(ended, insertEvent, book, row.Position, row.Aggregate.Type, row.Aggregate.ID.String(), row.SequenceNumber, row.EventID.String(),
			row.EventType, row.SchemaVersion, string(row.Payload), string(metadata), micros(row.OccurredAt), micros(row.RecordedAt)); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	last := rows[len(rows)-1]
	_, err := s.ExecContext(ended, updateHead, book, last.Position, micros(last.RecordedAt))
	return err
}
