package main

import (
	"context"
	"errors"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// session is an open book and the accounts in it.
type session struct {
	driver   daybook.Driver
	book     *daybook.Book
	accounts *daybook.Repository[bank.Account, bank.Command, bank.Event]
}

// reading runs f on the book without making a file: a SQLite file that is not there is
// an error. (A book is made when it is first named.) f must not append: its book
// does not keep the read models that are part of every append.
func (a *app) reading(ctx context.Context, f func(ctx context.Context, s *session) error) error {
	return a.withSession(ctx, false, f)
}

// writing runs f on the book, after making the SQLite file where there is none.
func (a *app) writing(ctx context.Context, f func(ctx context.Context, s *session) error) error {
	return a.withSession(ctx, true, f)
}

func (a *app) withSession(ctx context.Context, writes bool, f func(ctx context.Context, s *session) error) (err error) {
	t, err := a.target()
	if err != nil {
		return err
	}
	driver, err := t.open(ctx, writes)
	if err != nil {
		return err
	}
	book, err := a.bookFor(ctx, driver, writes)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	var told complaints
	snapshots := a.snapshots
	snapshots.Report = told.add
	s := &session{driver: driver, book: book, accounts: daybook.NewRepository(book, bank.Accounts, snapshots)}
	err = explainSnapshot(f(ctx, s))
	if writes {
		err = a.explainInline(ctx, s, err)
	}
	return errors.Join(err, a.leave(ctx, s, driver, &told))
}

// account is an account at a point of its history.
type account = daybook.Loaded[bank.Account]

// load returns an account that was opened by the point given, or an error that is
// bank.ErrNotOpened. It tells the user when the point lies in the future.
func (a *app) load(ctx context.Context, s *session, handle string, at pointFlags) (account, error) {
	if err := bank.CheckHandle(handle); err != nil {
		return account{}, err
	}
	loaded, err := s.accounts.LoadAt(ctx, bank.AccountID(handle), at.point())
	if err != nil {
		return loaded, named(err, handle)
	}
	a.noteFuture(at, loaded.Future)
	if loaded.State.Status == bank.StatusNotOpened {
		return loaded, notOpened(handle, a.book, at)
	}
	return loaded, countable(loaded)
}

// countable returns an error where the history of an account adds up to more than
// can be counted, so that its balance is not to be shown.
func countable(loaded account) error {
	if loaded.State.Overflow {
		return &bank.OverflowError{Account: loaded.State.Handle, Balance: loaded.State.Money()}
	}
	return nil
}
