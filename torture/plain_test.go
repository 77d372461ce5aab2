package torture_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// plain is an engine as it is written all too often: the control that loses events.
// It has no lock; number says how it numbers. Everything else is as it should be:
// one transaction an append, ids and sequence numbers checked and unique.
type plain struct {
	noSnapshots
	noTables
	pool *pgxpool.Pool
	// number is the SQL expression for the next position.
	number string
}

const (
	plainTable = `
CREATE SEQUENCE plain_position;
CREATE TABLE plain (
	position bigint NOT NULL, aggregate_type text NOT NULL, aggregate_id uuid NOT NULL, sequence_number bigint NOT NULL,
	event_id uuid NOT NULL UNIQUE, record jsonb NOT NULL, recorded_at timestamptz NOT NULL,
	UNIQUE (aggregate_id, sequence_number))`
	// fromSequence is what bigserial does.
	fromSequence = `nextval('plain_position')`
	// fromMaximum is the last one visible, plus one.
	fromMaximum = `(SELECT coalesce(max(position), 0) + 1 FROM plain)`
)

func newPlain(ctx context.Context, dsn, number string) (*plain, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, plainTable); err != nil {
		pool.Close()
		return nil, err
	}
	return &plain{pool: pool, number: number}, nil
}

var _ daybook.Driver = (*plain)(nil)

// noSnapshots is the part of an engine that torture does not use.
type noSnapshots struct{}

var errNoSnapshots = errors.New("this engine keeps no snapshots")

func (noSnapshots) Resume(context.Context, daybook.BookID, daybook.ResumeQuery) (daybook.Snapshot, []daybook.Recorded, error) {
	return daybook.Snapshot{}, nil, errNoSnapshots
}

func (noSnapshots) KeepSnapshots(context.Context, daybook.BookID, []daybook.Snapshot) error {
	return errNoSnapshots
}

func (noSnapshots) Snapshots(context.Context, daybook.BookID, daybook.SnapshotQuery) ([]daybook.Snapshot, error) {
	return nil, errNoSnapshots
}

func (noSnapshots) DropSnapshots(context.Context, daybook.BookID, []daybook.Snapshot) error {
	return errNoSnapshots
}

func (p *plain) OpenBook(context.Context, string) (daybook.BookID, error) { return 1, nil }

func (p *plain) Watch(ctx context.Context, _ daybook.BookID, _ func()) { <-ctx.Done() }

func (p *plain) Fence(ctx context.Context, book daybook.BookID, _ time.Time) (daybook.Head, error) {
	return p.Head(ctx, book)
}

func (p *plain) Close() error {
	p.pool.Close()
	return nil
}

// Append writes every append of the batch in a transaction of its own, all at once.
func (p *plain) Append(ctx context.Context, _ daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	type answer struct {
		i       int
		outcome daybook.Outcome
		err     error
	}
	answers := make(chan answer)
	for i := range batch {
		go func() {
			outcome, err := p.one(ctx, batch[i])
			answers <- answer{i, outcome, err}
		}()
	}
	outcomes, errs := make([]daybook.Outcome, len(batch)), make([]error, len(batch))
	for range batch {
		a := <-answers
		outcomes[a.i], errs[a.i] = a.outcome, a.err
	}
	return outcomes, errors.Join(errs...)
}

func (p *plain) one(ctx context.Context, a daybook.Append) (outcome daybook.Outcome, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		survey := daybook.Survey{Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
		for _, entry := range a.Entries {
			head := daybook.AggregateHead{Type: entry.Aggregate.Type}
			if err := tx.QueryRow(ctx, `SELECT coalesce(max(sequence_number), 0) FROM plain WHERE aggregate_id = $1`, entry.Aggregate.ID.String()).Scan(&head.SequenceNumber); err != nil {
				return err
			}
			survey.Aggregates[entry.Aggregate.ID] = head
		}
		placement := daybook.Plan([]daybook.Append{a}, survey)
		now := time.Now().UTC().Truncate(time.Microsecond)
		outcome = placement.Outcomes(now)[0]
		for i, rec := range outcome.Records {
			text, err := json.Marshal(rec)
			if err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `INSERT INTO plain SELECT `+p.number+`, $1, $2, $3, $4, $5, $6 RETURNING position`,
				rec.Aggregate.Type, rec.Aggregate.ID.String(), rec.SequenceNumber, rec.EventID.String(), text, rec.RecordedAt).
				Scan(&outcome.Records[i].Position); err != nil {
				return err
			}
		}
		// What makes transactions overlap in life: work, a network, a flush of the log.
		_, err := tx.Exec(ctx, `SELECT pg_sleep(random() * 0.005)`)
		return err
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "23505" {
		first := a.Entries[0]
		return daybook.Outcome{Err: &daybook.ConflictError{Aggregate: first.Aggregate, Expected: first.Expected}}, nil
	}
	return outcome, err
}

func (p *plain) Read(ctx context.Context, _ daybook.BookID, q daybook.Query, _ []daybook.Recorded) ([]daybook.Recorded, error) {
	until := q.UntilPosition
	if until == 0 {
		until = 1 << 60
	}
	return p.records(ctx, `SELECT position, record FROM plain WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3`, q.AfterPosition, until, q.Limit)
}

func (p *plain) Lookup(ctx context.Context, _ daybook.BookID, ids []daybook.UUID) (all []daybook.Recorded, err error) {
	for _, id := range ids {
		found, err := p.records(ctx, `SELECT position, record FROM plain WHERE event_id = $1`, id.String())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (p *plain) records(ctx context.Context, query string, args ...any) ([]daybook.Recorded, error) {
	rows, err := p.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (rec daybook.Recorded, err error) {
		var text []byte
		var position int64
		if err = row.Scan(&position, &text); err == nil {
			err = json.Unmarshal(text, &rec)
		}
		rec.Position = position
		return rec, err
	})
}

func (p *plain) Head(ctx context.Context, _ daybook.BookID) (head daybook.Head, err error) {
	err = p.pool.QueryRow(ctx, `SELECT coalesce(max(position), 0), coalesce(max(recorded_at), '0001-01-01') FROM plain`).Scan(&head.Position, &head.RecordedAt)
	if err != nil {
		return head, fmt.Errorf("head: %w", err)
	}
	return head, nil
}

// noTables is the other part.
type noTables struct{}

func (noTables) Transact(context.Context, daybook.BookID, bool, func(context.Context, daybook.DriverTx) error) error {
	return errNoSnapshots
}

func (noTables) Pin(context.Context, daybook.BookID) (daybook.PinnedTables, error) {
	return nil, errNoSnapshots
}

func (noTables) Checkpoints(context.Context, daybook.BookID, string) ([]daybook.Checkpoint, error) {
	return nil, nil
}

func (noTables) SelectRows(context.Context, daybook.RowQuery) ([][]any, error) {
	return nil, errNoSnapshots
}
