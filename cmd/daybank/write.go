package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// writeFlags are the flags of every verb that writes.
type writeFlags struct {
	key        string
	keyed      bool
	expect     number
	reference  string
	occurredAt instant
	metadata   daybook.Metadata
}

func (f *writeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "do this once, however often it is run with the same `KEY`")
	flags.Var(&f.expect, "expect", "only if the account is at sequence number `N`; 0 is not opened yet")
	flags.StringVar(&f.reference, "reference", "", "a `TEXT` that is recorded with it")
	flags.Var(&f.occurredAt, "occurred-at", "when it happened in the world: a `TIME` in RFC 3339 with a zone (default: when it is recorded)")
	flags.StringVar(&f.metadata.Actor, "actor", "", "`WHO` does it, recorded as metadata")
	flags.StringVar(&f.metadata.CorrelationID, "correlation-id", "", "an `ID` of what this belongs to, recorded as metadata")
	flags.StringVar(&f.metadata.CausationID, "causation-id", "", "an `ID` of what caused this, recorded as metadata")
}

// options returns what the flags ask of Execute.
func (f *writeFlags) options(cmd *cobra.Command) []daybook.Option {
	opts := []daybook.Option{daybook.Stamp{Metadata: f.metadata, OccurredAt: f.occurredAt.value}}
	if f.keyed = cmd.Flags().Changed("key"); f.keyed {
		opts = append(opts, daybook.Key(f.key))
	}
	if f.expect.given {
		opts = append(opts, daybook.IfAt(f.expect.value))
	}
	return opts
}

// keepReference records the reference of an event that has no member for it.
func (f *writeFlags) keepReference() error {
	if f.reference == "" {
		return nil
	}
	f.metadata.Extra = map[string]string{"reference": f.reference}
	return bank.CheckText("reference", f.reference)
}

// explain puts the handles into an error, and how to find out what became of the
// command where that is not known.
func (f *writeFlags) explain(err error, handles ...string) error {
	var unopened *bank.NotOpenedError
	if errors.As(err, &unopened) && unopened.Account == "" {
		return &subjectError{err, (&bank.NotOpenedError{Account: handles[0]}).Error()}
	}
	var unknown *daybook.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return named(err, handles...)
	}
	hint := fmt.Sprintf("look for event id %s in daybank history %s: where it is not, nothing was written, and the command can be run again", unknown.EventIDs[0], handles[0])
	if f.keyed {
		hint = "run the same command again, with the same --key: it takes effect once"
	}
	return &hintError{
		&subjectError{err, fmt.Sprintf("%s: it is not known whether this was recorded: %v", strings.Join(handles, ", "), unknown.Err)},
		hint,
	}
}

// written is the answer of a verb that writes to one account.
type written struct {
	accountRow `json:",inline"`
	Events     []eventRow `json:"events"`
}

func (a *app) showWritten(result daybook.Result[bank.Account]) error {
	events, err := eventRowsOf(result.Events)
	if err != nil {
		return err
	}
	r := accountRowOf(result.Loaded)
	return a.show(written{r, events}, accountColumns(), r)
}

// transferred is the answer of transfer: the sender's account, the events of both
// accounts, the receiver's account.
type transferred struct {
	accountRow `json:",inline"`
	Events     []eventRow `json:"events"`
	To         accountRow `json:"to"`
	TransferID string     `json:"transfer_id"`
}

func newOpen(a *app) *cobra.Command {
	var flags writeFlags
	var owner, code string
	cmd := &cobra.Command{
		Use:   "open HANDLE --owner NAME",
		Short: "Open an account",
		Args:  needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("owner") {
				return usage("open needs --owner NAME: run daybank open --help")
			}
			currency, err := bank.ParseCurrency(code)
			if err != nil {
				return err
			}
			// Before a database is made for it.
			if err := errors.Join(bank.CheckHandle(args[0]), bank.CheckOwner(owner), flags.keepReference()); err != nil {
				return err
			}
			return a.execute(cmd, &flags, args[0], func(context.Context, *session) (bank.Command, error) {
				return bank.Open{Handle: args[0], Owner: owner, Currency: currency}, nil
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "the owner's `NAME` (needed)")
	cmd.Flags().StringVar(&code, "currency", "EUR", "the account's currency for ever, an ISO 4217 `CODE`")
	flags.add(cmd)
	return cmd
}

func newDeposit(a *app) *cobra.Command {
	return newMovement(a, "deposit", "Pay money in", func(amount bank.Money, reference string) bank.Command {
		return bank.Deposit{Amount: amount, Reference: reference}
	})
}

func newWithdraw(a *app) *cobra.Command {
	return newMovement(a, "withdraw", "Draw money out", func(amount bank.Money, reference string) bank.Command {
		return bank.Withdraw{Amount: amount, Reference: reference}
	})
}

// newMovement returns a verb that moves money between an account and the world.
func newMovement(a *app, name, short string, command func(bank.Money, string) bank.Command) *cobra.Command {
	var flags writeFlags
	var code string
	cmd := &cobra.Command{
		Use:   name + " HANDLE AMOUNT",
		Short: short,
		Args:  needs("HANDLE", "AMOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.execute(cmd, &flags, args[0], func(ctx context.Context, s *session) (bank.Command, error) {
				amount, err := a.amount(ctx, s, args[0], args[1], code)
				return command(amount, flags.reference), err
			})
		},
	}
	addCurrency(cmd, &code)
	flags.add(cmd)
	return cmd
}

func addCurrency(cmd *cobra.Command, code *string) {
	cmd.Flags().StringVar(code, "currency", "", "the amount's currency, an ISO 4217 `CODE`; refused where it is not the account's")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("currency") && *code == "" {
			return errors.New("--currency is empty: write an ISO 4217 code, or leave it out for the account's own")
		}
		return nil
	}
}

// amount reads an amount in the currency given, or else in the account's: how many
// digits it may have depends on that.
func (a *app) amount(ctx context.Context, s *session, handle, text, code string) (bank.Money, error) {
	loaded, err := a.load(ctx, s, handle, pointFlags{})
	if err != nil {
		return bank.Money{}, err
	}
	currency := loaded.State.Currency
	if code != "" {
		if currency, err = bank.ParseCurrency(code); err != nil {
			return bank.Money{}, err
		}
	}
	return bank.ParseAmount(text, currency)
}

func newClose(a *app) *cobra.Command {
	var flags writeFlags
	cmd := &cobra.Command{
		Use:   "close HANDLE",
		Short: "Close an account, for ever; its balance must be zero",
		Args:  needs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(bank.CheckHandle(args[0]), flags.keepReference()); err != nil {
				return err
			}
			return a.execute(cmd, &flags, args[0], func(context.Context, *session) (bank.Command, error) {
				return bank.Close{}, nil
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// execute runs the command that decide returns on one account and shows the result.
func (a *app) execute(cmd *cobra.Command, flags *writeFlags, handle string, decide func(context.Context, *session) (bank.Command, error)) error {
	if err := bank.CheckHandle(handle); err != nil {
		return err
	}
	return a.writing(cmd.Context(), func(ctx context.Context, s *session) error {
		command, err := decide(ctx, s)
		if err != nil {
			return err
		}
		result, err := s.accounts.Execute(ctx, bank.AccountID(handle), command, flags.options(cmd)...)
		if err != nil {
			return flags.explain(err, handle)
		}
		return a.showWritten(result)
	})
}

// transferNamespace is where transfer ids are derived from keys, so that a transfer
// that is run again is the same one. Changing it would make old keys useless.
var transferNamespace = daybook.UUID{0x8c, 0x0e, 0x5d, 0x6b, 0x21, 0xb4, 0x4f, 0x8a, 0x9d, 0x3e, 0x77, 0x10, 0xc2, 0x59, 0xe6, 0x4b}

func newTransfer(a *app) *cobra.Command {
	var flags writeFlags
	var code string
	cmd := &cobra.Command{
		Use:   "transfer FROM TO AMOUNT",
		Short: "Move money from one account to another",
		Long:  "Move money from one account to another: both accounts change, or neither. --expect speaks of FROM.",
		Args:  needs("FROM", "TO", "AMOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to := args[0], args[1]
			if err := errors.Join(bank.CheckHandle(from), bank.CheckHandle(to)); err != nil {
				return err
			}
			return a.writing(cmd.Context(), func(ctx context.Context, s *session) error {
				amount, err := a.amount(ctx, s, from, args[2], code)
				if err != nil {
					return err
				}
				opts := flags.options(cmd)
				transferID := daybook.NewUUID()
				if flags.keyed {
					transferID = transferNamespace.Derive(flags.key)
				}
				results, err := s.accounts.ExecuteAll(ctx, bank.Transfer(from, to, amount, transferID, flags.reference), opts...)
				if err != nil {
					return flags.explain(err, from, to)
				}
				return a.showTransfer(results[0], results[1], transferID)
			})
		},
	}
	addCurrency(cmd, &code)
	flags.add(cmd)
	return cmd
}

func (a *app) showTransfer(from, to daybook.Result[bank.Account], id daybook.UUID) error {
	events, err := eventRowsOf(append(from.Events, to.Events...))
	if err != nil {
		return err
	}
	sender, receiver := accountRowOf(from.Loaded), accountRowOf(to.Loaded)
	return a.show(transferred{sender, events, receiver, id.String()}, accountColumns(), sender, receiver)
}
