// Package bank is a small bank on a daybook: accounts that are opened, paid into,
// drawn on, transferred between and closed.
//
// It is pure. [Accounts] says what may happen to an account and what comes of it,
// [Events] how that is stored; nothing here knows a database, a clock or a random
// number. A program joins it to a book:
//
//	accounts := daybook.NewRepository(book, bank.Accounts)
//	result, err := accounts.Execute(ctx, bank.AccountID("alice"), bank.Deposit{Amount: amount})
//	results, err := accounts.ExecuteAll(ctx, bank.Transfer("alice", "bob", amount, daybook.NewUUID(), "rent"))
//
// Amounts are whole minor units (cents) everywhere; text becomes [Money] and Money
// becomes text only at the edge.
//
// What the bank will not do is an error that is [ErrRefused] beside a sentinel of
// its own, such as [ErrInsufficientFunds]. What it cannot even consider, such as an
// amount of -5, is [ErrAmount], [ErrCurrency], [ErrText] or [ErrHandle].
package bank
