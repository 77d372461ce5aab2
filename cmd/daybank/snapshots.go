package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// snapshotRow is a snapshot of an account, as it is stored.
type snapshotRow struct {
	// Account is the handle where it is known, and the aggregate id where it is not.
	Account        string `json:"account"`
	AggregateID    string `json:"aggregate_id"`
	SequenceNumber int64  `json:"sequence_number"`
	Position       int64  `json:"position"`
	RecordedAt     string `json:"recorded_at"`
	// Fold is what it was made by; Current says that this program is the same.
	Fold    string `json:"fold"`
	Current bool   `json:"current"`
	// StateBytes is the length of the state, as it was written.
	StateBytes int64 `json:"state_bytes"`
	// Sound says that it is as it was written; Fault says what speaks against it.
	Sound bool   `json:"sound"`
	Fault string `json:"fault"`
}

func snapshotColumns() []column {
	return []column{
		{title: "ACCOUNT"}, {title: "NUMBER", right: true}, {title: "POSITION", right: true}, {title: "RECORDED AT"},
		{title: "FOLD"}, {title: "BYTES", right: true}, {title: "CONDITION"},
	}
}

func (r snapshotRow) cells() []string {
	fold, condition := r.Fold[:foldShown], "sound"
	if !r.Current {
		fold += " (another)"
	}
	if !r.Sound {
		condition = "corrupt"
	}
	return []string{
		r.Account, strconv.FormatInt(r.SequenceNumber, 10), strconv.FormatInt(r.Position, 10), r.RecordedAt,
		fold, strconv.FormatInt(r.StateBytes, 10), condition,
	}
}

// foldShown is how many digits of a fold a table has, enough to tell folds apart.
const foldShown = 12

func newSnapshots(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "snapshots [HANDLE]",
		Short: "List the snapshots there are, of one account or of all",
		Long: `List the snapshots there are, of one account or of all, and say of each whether it is
as it was written, and whether this program would use it. Snapshots are states of
accounts kept so that long histories load fast. They are a cache: no answer depends
on them.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("snapshots takes HANDLE or nothing, got %d arguments: run daybank snapshots --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			handle := strings.Join(args, "")
			if len(args) > 0 {
				if err := bank.CheckHandle(handle); err != nil {
					return err
				}
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.snapshotList(ctx, s, handle)
			})
		},
	}
}

func (a *app) snapshotList(ctx context.Context, s *session, handle string) error {
	l := a.listing(snapshotColumns(), false)
	for one, err := range s.snapshots(ctx, handle, true) {
		if err != nil {
			return err
		}
		r, err := s.snapshotRow(ctx, handle, one)
		if err != nil {
			return err
		}
		if err := l.add(r); err != nil {
			return err
		}
	}
	if l.count == 0 && handle != "" {
		if err := a.mustHaveEvents(ctx, s, handle); err != nil {
			return err
		}
	}
	return l.close()
}

// snapshots lists those of one account, or of all where handle is empty. What another
// program keeps in the book, for aggregates of other types, is not among them.
func (s *session) snapshots(ctx context.Context, handle string, states bool) func(yield func(daybook.Snapshot, error) bool) {
	q := daybook.SnapshotQuery{States: states}
	if handle != "" {
		q.Aggregate = bank.AccountID(handle)
	}
	return func(yield func(daybook.Snapshot, error) bool) {
		for one, err := range s.book.Snapshots(ctx, q) {
			if err == nil && one.Aggregate.Type != bank.AccountType {
				// Or else the type is what was damaged.
				fault := s.book.CheckSnapshot(ctx, one)
				if fault == nil {
					continue
				}
				if !errors.Is(fault, daybook.ErrSnapshotCorrupt) {
					err = fault
				}
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

func (s *session) snapshotRow(ctx context.Context, handle string, one daybook.Snapshot) (snapshotRow, error) {
	r := snapshotRow{
		Account: handle, AggregateID: one.Aggregate.ID.String(), SequenceNumber: one.SequenceNumber, Position: one.Position,
		RecordedAt: timeText(one.RecordedAt), Fold: fmt.Sprintf("%x", one.Fold[:]), Current: one.Fold == s.accounts.Fold(),
		StateBytes: int64(len(one.State)), Sound: true,
	}
	if text, err := daybook.CanonicalJSON(one.State); err == nil { // one engine spaces it out
		r.StateBytes = int64(len(text))
	}
	err := s.book.CheckSnapshot(ctx, one)
	switch state, unread := accountOf(one.State); {
	case errors.Is(err, daybook.ErrSnapshotCorrupt):
		r.Sound, r.Fault = false, strings.TrimPrefix(err.Error(), "daybook: ")
	case err != nil:
		return r, err
	case unread == nil && state.Handle != "":
		r.Account = state.Handle
	}
	if r.Account == "" {
		r.Account = r.AggregateID
	}
	return r, nil
}

// mustHaveEvents returns an error where nothing has ever happened to an account. It
// does not load it: that might make snapshots, or remove some.
func (a *app) mustHaveEvents(ctx context.Context, s *session, handle string) error {
	there := false
	for _, err := range s.book.Read(ctx, daybook.Query{Aggregate: bank.AccountID(handle), Limit: 1}) {
		if err != nil {
			return err
		}
		there = true
	}
	if !there {
		return notOpened(handle, a.book, pointFlags{})
	}
	return nil
}
