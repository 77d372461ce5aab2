package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// balanceTable is a read model in a table of its own, beside the book: a row for each
// account, and how far it has come.
type balanceTable struct {
	db   *sql.DB
	book *daybook.Book
	mu   sync.Mutex // one runner at a time
}

// newBalances makes the empty table in the book's database.
func newBalances(t *testing.T, db string, book *daybook.Book) *balanceTable {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	b := &balanceTable{book: book}
	if to.path != "" {
		var err error
		if b.db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: to.path}).EscapedPath()+"?_pragma=busy_timeout(20000)"); err != nil {
			t.Fatal(err)
		}
	} else {
		config, err := pgx.ParseConfig(to.url)
		if err != nil {
			t.Fatal(err)
		}
		b.db = stdlib.OpenDB(*config)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	b.do(t, `CREATE TABLE balances (account_id text PRIMARY KEY, handle text NOT NULL, currency text NOT NULL, balance bigint NOT NULL, closed boolean NOT NULL)`)
	b.do(t, `CREATE TABLE balances_checkpoint (position bigint NOT NULL)`)
	b.do(t, `INSERT INTO balances_checkpoint VALUES (0)`)
	return b
}

func (b *balanceTable) do(t *testing.T, statement string) {
	t.Helper()
	if _, err := b.db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// run brings the table up to the head, an event a statement and a page a transaction.
func (b *balanceTable) run(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var position int64
	if err := b.db.QueryRowContext(ctx, `SELECT position FROM balances_checkpoint`).Scan(&position); err != nil {
		return err
	}
	var page []daybook.Recorded
	for rec, err := range b.book.Read(ctx, daybook.Query{AfterPosition: position, Limit: 100}) {
		if err != nil {
			return err
		}
		page = append(page, rec)
	}
	if len(page) == 0 {
		return nil
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE balances_checkpoint SET position = %d`, page[len(page)-1].Position)); err != nil {
		return err
	}
	for _, rec := range page {
		if err := b.apply(ctx, tx, rec); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// apply says in SQL what the bank's decider says in Go.
func (b *balanceTable) apply(ctx context.Context, tx *sql.Tx, rec daybook.Recorded) error {
	value, err := b.book.Decode(rec)
	if err != nil {
		return err
	}
	id, statement := rec.Aggregate.ID.String(), ""
	switch e := value.(type) {
	case bank.AccountOpened:
		statement = fmt.Sprintf(`INSERT INTO balances VALUES ('%s', '%s', '%s', 0, false)`, id, e.AccountID, e.Currency)
	case bank.AccountClosed:
		statement = fmt.Sprintf(`UPDATE balances SET closed = true WHERE account_id = '%s'`, id)
	case bank.MoneyDeposited:
		statement = fmt.Sprintf(`UPDATE balances SET balance = balance + %d WHERE account_id = '%s'`, e.Amount, id)
	case bank.TransferReceived:
		statement = fmt.Sprintf(`UPDATE balances SET balance = balance + %d WHERE account_id = '%s'`, e.Amount, id)
	case bank.MoneyWithdrawn:
		statement = fmt.Sprintf(`UPDATE balances SET balance = balance - %d WHERE account_id = '%s'`, e.Amount, id)
	case bank.TransferSent:
		statement = fmt.Sprintf(`UPDATE balances SET balance = balance - %d WHERE account_id = '%s'`, e.Amount, id)
	}
	_, err = tx.ExecContext(ctx, statement)
	return err
}

// Pin begins a transaction that sees the table and its checkpoint at one moment.
func (b *balanceTable) Pin(ctx context.Context) (daybook.PinnedRows, error) {
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil && strings.Contains(err.Error(), "isolation") {
		tx, err = b.db.BeginTx(ctx, nil) // SQLite has one level only, which is more
	}
	if err != nil {
		return nil, err
	}
	pinned := &pinnedBalances{tx: tx}
	if err := tx.QueryRowContext(ctx, `SELECT position FROM balances_checkpoint`).Scan(&pinned.position); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return pinned, nil
}

type pinnedBalances struct {
	tx       *sql.Tx
	position int64
}

func (p *pinnedBalances) Position() int64 { return p.position }
func (p *pinnedBalances) Close() error    { return p.tx.Rollback() }

func (p *pinnedBalances) Rows(ctx context.Context) iter.Seq2[daybook.Row, error] {
	return func(yield func(daybook.Row, error) bool) {
		rows, err := p.tx.QueryContext(ctx, `SELECT account_id, handle, currency, balance, closed FROM balances`)
		if err != nil {
			yield(daybook.Row{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var a bank.Account
			var closed bool
			if err := rows.Scan(&id, &a.Handle, &a.Currency, &a.Balance, &closed); err != nil {
				yield(daybook.Row{}, err)
				return
			}
			if !yield(daybook.Row{Key: id, Fields: balanceFields(a.Handle, string(a.Currency), a.Balance, closed)}, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(daybook.Row{}, err)
		}
	}
}

func balanceFields(handle, currency string, balance int64, closed bool) []daybook.Field {
	return []daybook.Field{
		{Name: "handle", Value: handle}, {Name: "currency", Value: currency},
		{Name: "balance", Value: strconv.FormatInt(balance, 10)}, {Name: "closed", Value: strconv.FormatBool(closed)},
	}
}

func (b *balanceTable) check() daybook.Check {
	return &daybook.RowCheck[bank.Account]{
		Table: "balances", Model: b,
		Keys: func(e *daybook.CheckedEvent) ([]string, error) {
			_, err := e.Data()
			return []string{e.Aggregate.ID.String()}, err
		},
		Evolve: func(row bank.Account, _ string, e *daybook.CheckedEvent) (bank.Account, bool) {
			data, _ := e.Data() // Keys has seen that it can be read
			return bank.Accounts.Evolve(row, data.(bank.Event)), false
		},
		Fields: func(row bank.Account) []daybook.Field {
			return balanceFields(row.Handle, string(row.Currency), row.Balance, row.Status == bank.StatusClosed)
		},
	}
}

// openedBook opens the book of a database that has one.
func openedBook(t *testing.T, db string) *daybook.Book {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	driver, err := to.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events, daybook.Inline{readmodel.Balances})
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// A table that somebody has edited is found out, row by row and field by field, and so
// is a digit of a payload that was changed after the table had been made.
func TestVerifyFindsEditedRows(t *testing.T) {
	t.Parallel()
	alice, bob := bank.AccountID("alice").ID.String(), bank.AccountID("bob").ID.String()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			for what, one := range map[string]struct {
				row, event string // what was done to the table, or to the events
				want       string // the only finding of the table
			}{
				"nothing":              {},
				"a balance":            {`UPDATE balances SET balance = 5501 WHERE handle = 'alice'`, "", "table balances, row " + alice + `, field balance: the field differs: found "5501", expected "5500"`},
				"a handle":             {`UPDATE balances SET handle = 'bib' WHERE handle = 'bob'`, "", "row " + bob + `, field handle: the field differs: found "bib", expected "bob"`},
				"a row dropped":        {`DELETE FROM balances WHERE handle = 'bob'`, "", "row " + bob + `: the row is missing: found no row, expected handle "bob", currency "EUR", balance "100", closed "false"`},
				"a row forged":         {`INSERT INTO balances VALUES ('x', 'mallory', 'EUR', 1000000, false)`, "", `row x: the row is there, and no event`},
				"the checkpoint":       {`UPDATE balances_checkpoint SET position = 8`, "", "row " + bob + `, field balance: the field differs: found "100", expected "0"`},
				"a checkpoint ahead":   {`UPDATE balances_checkpoint SET position = 10`, "", "it is ahead of the book"},
				"a digit of an amount": {"", `UPDATE {events} SET payload = '{"amount":900}' WHERE book_id = 1 AND position = 8`, "row " + alice + `, field balance: the field differs: found "5500", expected "5900"`},
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					smallBook(t, db)
					model := newBalances(t, db, openedBook(t, db))
					if err := model.run(t.Context()); err != nil {
						t.Fatal(err)
					}
					if one.row != "" {
						model.do(t, one.row)
					}
					if one.event != "" {
						newVandal(t, db).do(one.event)
					}
					v, err := daybook.Verify(t.Context(), model.book, daybook.VerifyOptions{Checks: append(bank.Checks(), model.check())})
					if err != nil {
						t.Fatal(err)
					}
					if v.Proved() != (one.want == "") || len(v.Findings) > 1 || one.want != "" && !strings.Contains(v.Findings[0].String(), one.want) {
						t.Errorf("%v\nwant %q", v.Findings, one.want)
					}
				})
			}
		})
	}
}

// While accounts are written to and the table follows, it is proved as far as it has
// come, in one pass and in several.
func TestVerifyWhileTheTableFollows(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "on SQLite" {
				skipWithoutPostgres(t)
			}
			db := empty(t, t.TempDir())
			smallBook(t, db)
			book := openedBook(t, db)
			model := newBalances(t, db, book)
			ctx, stop := context.WithCancel(t.Context())
			var all sync.WaitGroup
			accounts := daybook.NewRepository(book, bank.Accounts)
			for w := range 3 {
				all.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						handle := fmt.Sprintf("account-%d-%d", w, n/5)
						var command bank.Command = bank.Deposit{Amount: eur(int64(1 + n))}
						if n%5 == 0 {
							command = bank.Open{Handle: handle, Owner: "Some Body", Currency: "EUR"}
						}
						if _, err := accounts.Execute(ctx, bank.AccountID(handle), command); err != nil && ctx.Err() == nil {
							t.Errorf("%v", err)
							return
						}
					}
				})
			}
			all.Go(func() {
				for ctx.Err() == nil {
					if err := model.run(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("the table: %v", err)
						return
					}
				}
			})
			var rows int64
			for n := 0; n < 50_000 && (n < 6 || rows < 50); n++ {
				o := daybook.VerifyOptions{Checks: append(bank.Checks(), model.check())}
				if n%2 == 1 {
					o.MaxHeld = 20
				}
				v, err := daybook.Verify(ctx, book, o)
				if err != nil {
					t.Errorf("%v", err)
					break
				}
				if !v.Proved() {
					t.Errorf("round %d, up to position %d: %v", n, v.Position, v.Findings)
					break
				}
				rows = v.Checks[len(v.Checks)-1].Looked
			}
			stop()
			all.Wait()
			if rows < 50 {
				t.Errorf("%d rows were compared at last", rows)
			}
		})
	}
}
