package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// snapshotFlags are the flags of snapshot.
type snapshotFlags struct {
	all        bool
	drop       bool
	otherFolds bool
}

// snapshotsKept is the answer of snapshot --all.
type snapshotsKept struct {
	Accounts int64 `json:"accounts"`
	Written  int64 `json:"written"`
	Failed   int64 `json:"failed"`
}

// snapshotsDropped is the answer of snapshot --drop.
type snapshotsDropped struct {
	Dropped int64 `json:"dropped"`
}

func newSnapshot(a *app) *cobra.Command {
	var flags snapshotFlags
	cmd := &cobra.Command{
		Use:   "snapshot HANDLE|--all",
		Short: "Keep a snapshot of an account now, or drop those there are",
		Long: `Keep a snapshot of an account as it is now, and those of its past that are missing;
with --all, of every account. The other verbs keep them as they come to need them:
this is for after an import, or to have it done beforehand.

With --drop remove snapshots instead: all of the account, or of every account, or
only those that another program has made, with --other-folds. It changes no answer.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case flags.all && len(args) > 0:
				return errors.New("HANDLE and --all contradict each other: give one of them")
			case !flags.all && len(args) != 1:
				return fmt.Errorf("snapshot needs one HANDLE, or --all, got %s: run daybank snapshot --help", plural(int64(len(args)), "argument"))
			case flags.otherFolds && !flags.drop:
				return errors.New("--other-folds says which to drop: give --drop as well")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			handle := ""
			if !flags.all {
				handle = args[0]
				if err := bank.CheckHandle(handle); err != nil {
					return err
				}
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				switch {
				case flags.drop:
					return a.dropSnapshots(ctx, s, handle, flags.otherFolds)
				case flags.all:
					return a.keepAll(ctx, s)
				}
				return a.keepOne(ctx, s, handle)
			})
		},
	}
	cmd.Flags().BoolVar(&flags.all, "all", false, "of every account")
	cmd.Flags().BoolVar(&flags.drop, "drop", false, "remove snapshots instead of keeping one")
	cmd.Flags().BoolVar(&flags.otherFolds, "other-folds", false, "with --drop: only those that this program does not use, because another one made them")
	return cmd
}

func (a *app) keepOne(ctx context.Context, s *session, handle string) error {
	kept, err := s.accounts.Keep(ctx, bank.AccountID(handle))
	if err != nil {
		return err
	}
	if kept.SequenceNumber == 0 {
		return notOpened(handle, a.book, pointFlags{})
	}
	r, err := s.snapshotRow(ctx, handle, kept)
	if err != nil {
		return err
	}
	return a.show(r, snapshotColumns(), r)
}

// maxUnkept bounds how many accounts that cannot be kept are named.
const maxUnkept = 20

// keepAll keeps a snapshot of every account. It finds them by their first events, in
// one pass over the book, so that memory stays the same however many there are. One
// that cannot be kept stops no other.
func (a *app) keepAll(ctx context.Context, s *session) error {
	head, err := s.book.Head(ctx)
	if err != nil {
		return err
	}
	var r snapshotsKept
	var unkept []error
	bar := a.progressBar("keeping", decor.CountersNoUnit("%d / %d "))
	stopped := func(err error) error {
		bar.end(false)
		return &hintError{err, "the snapshots that were kept stay: run it again, and it goes on from there"}
	}
	for rec, err := range s.book.Read(ctx, daybook.Query{AggregateType: bank.AccountType, UntilPosition: max(head.Position, 1)}) {
		if err != nil {
			return stopped(err)
		}
		bar.update(rec.Position, head.Position)
		if rec.SequenceNumber != 1 {
			continue
		}
		r.Accounts++
		_, err = s.accounts.Keep(ctx, rec.Aggregate)
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return stopped(err)
		}
		if r.Failed++; r.Failed <= maxUnkept {
			unkept = append(unkept, err)
		}
	}
	bar.update(head.Position, head.Position)
	bar.end(true)
	r.Written = s.accounts.SnapshotStats().Written
	if r.Failed > maxUnkept {
		unkept = append(unkept, fmt.Errorf("and %s more", plural(r.Failed-maxUnkept, "account")))
	}
	err = a.show(r, fieldColumns(), field{"accounts", strconv.FormatInt(r.Accounts, 10)},
		field{"snapshots written", strconv.FormatInt(r.Written, 10)}, field{"accounts that failed", strconv.FormatInt(r.Failed, 10)})
	return errors.Join(err, errors.Join(unkept...))
}

// dropAtOnce is how many snapshots are removed at a time.
const dropAtOnce = 1_000

func (a *app) dropSnapshots(ctx context.Context, s *session, handle string, otherFolds bool) error {
	var r snapshotsDropped
	var gone []daybook.Snapshot
	drop := func() error {
		if err := s.book.DropSnapshots(ctx, gone...); err != nil {
			return err
		}
		r.Dropped += int64(len(gone))
		gone = gone[:0]
		return nil
	}
	for one, err := range s.snapshots(ctx, handle, false) {
		if err != nil {
			return err
		}
		if otherFolds && one.Fold == s.accounts.Fold() {
			continue
		}
		if gone = append(gone, one); len(gone) == dropAtOnce {
			if err := drop(); err != nil {
				return err
			}
		}
	}
	if err := drop(); err != nil {
		return err
	}
	if r.Dropped == 0 && handle != "" {
		if err := a.mustHaveEvents(ctx, s, handle); err != nil {
			return err
		}
	}
	return a.show(r, fieldColumns(), field{"snapshots dropped", strconv.FormatInt(r.Dropped, 10)})
}
