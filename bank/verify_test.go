package bank_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// recordFacts appends facts to accounts, in one append, that no rule is asked about.
func recordFacts(t *testing.T, book *daybook.Book, facts ...fact) {
	t.Helper()
	var entries []daybook.Entry
	for _, f := range facts {
		entries = append(entries, daybook.Entry{Aggregate: bank.AccountID(f.handle), Expected: daybook.Any(), Events: []daybook.Event{{Data: f.event, Metadata: f.metadata}}})
	}
	if _, err := book.Append(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

type fact struct {
	handle   string
	event    bank.Event
	metadata daybook.Metadata
}

// found returns what verify finds, as "check: problem: found …, expected …".
func found(t *testing.T, book *daybook.Book, o daybook.VerifyOptions) string {
	t.Helper()
	o.Checks = bank.Checks()
	v, err := daybook.Verify(t.Context(), book, o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range v.Findings {
		fmt.Fprintln(&text, f)
	}
	return text.String()
}

// factCase is what was recorded, and what must be found; nothing where it is proved.
type factCase struct {
	facts []fact
	want  string
}

func singleFacts() map[string]factCase {
	imported := daybook.Metadata{Extra: map[string]string{bank.MetadataSource: "berka"}}
	return map[string]factCase{
		"nothing more":               {nil, ""},
		"a withdrawal of it all":     {[]fact{{handle: "alice", event: bank.MoneyWithdrawn{Amount: 100_00}}}, ""},
		"a withdrawal of more":       {[]fact{{handle: "alice", event: bank.MoneyWithdrawn{Amount: 100_01}}}, "number 3: alice has 100.00 EUR, cannot withdraw 100.01 EUR"},
		"imported, of more":          {[]fact{{"alice", bank.MoneyWithdrawn{Amount: 100_01}, imported}}, ""},
		"an amount of nothing":       {[]fact{{"alice", bank.MoneyDeposited{}, imported}}, "an amount of 0 minor units"},
		"an amount below zero":       {[]fact{{"alice", bank.MoneyWithdrawn{Amount: -5}, imported}}, "an amount of -5 minor units"},
		"an amount above all":        {[]fact{{"alice", bank.MoneyWithdrawn{Amount: bank.MaxAmount}, imported}, {"bob", bank.MoneyDeposited{Amount: bank.MaxAmount}, imported}}, ""},
		"a balance above all":        {[]fact{{handle: "alice", event: bank.MoneyDeposited{Amount: bank.MaxAmount}}}, "the largest balance is"},
		"a deposit to nobody":        {[]fact{{handle: "carol", event: bank.MoneyDeposited{Amount: 5}}}, "the account is not opened"},
		"opened twice":               {[]fact{{handle: "bob", event: bank.AccountOpened{AccountID: "bob", OwnerName: "B", Currency: "EUR"}}}, "bob is already open"},
		"opened as another":          {[]fact{{handle: "carol", event: bank.AccountOpened{AccountID: "dora", OwnerName: "D", Currency: "EUR"}}}, "the account was opened as dora, which is another account"},
		"opened with an old code":    {[]fact{{handle: "carol", event: bank.AccountOpened{AccountID: "carol", OwnerName: "D", Currency: "HRK"}}}, ""},
		"opened in another currency": {[]fact{{"bob", bank.AccountOpened{AccountID: "bob", OwnerName: "B", Currency: "USD"}, imported}}, "the account's currency changes from EUR to USD"},
		"closed with a balance":      {[]fact{{handle: "alice", event: bank.AccountClosed{}}}, "cannot be closed"},
		"closed":                     {[]fact{{handle: "bob", event: bank.AccountClosed{}}}, ""},
	}
}

func transferFacts() map[string]factCase {
	return map[string]factCase{
		"a transfer to itself": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "alice", Amount: 5, TransferID: transferID}},
		}, "alice cannot transfer to itself"},
		"a transfer": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
		}, ""},
		"a transfer, received first": {[]fact{
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}},
		}, ""},
		"a transfer to an aggregate id": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: bank.AccountID("bob").ID.String(), Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
		}, ""},
		"only sent":     {[]fact{{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}}}, "in which 5 minor units are received, was not recorded with it"},
		"only received": {[]fact{{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}}}, "in which 5 minor units are sent, was not recorded with it"},
		"sent twice": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferSent{To: "alice", Amount: 0, TransferID: transferID}},
		}, "was not recorded with it"},
		"another amount": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 6, TransferID: transferID}},
		}, "the half of the transfer at position 5 has another amount: found 6, expected 5"},
		"another reference": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID, Reference: "rent"}},
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
		}, `has another reference: found "", expected rent`},
		"another correlation": {[]fact{
			{"alice", bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}, daybook.Metadata{CorrelationID: "a"}},
			{"bob", bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}, daybook.Metadata{CorrelationID: "b"}},
		}, "has another correlation id: found b, expected a"},
		"to another account": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "carol", Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
		}, "has another account"},
		"from another account": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "bob", Amount: 5, TransferID: transferID}},
			{handle: "bob", event: bank.TransferReceived{From: "carol", Amount: 5, TransferID: transferID}},
		}, "has another counterparty"},
		"into another currency": {[]fact{
			{handle: "alice", event: bank.TransferSent{To: "taro", Amount: 5, TransferID: transferID}},
			{handle: "taro", event: bank.TransferReceived{From: "alice", Amount: 5, TransferID: transferID}},
		}, "JPY: transfers do not cancel out: what was received is not what was sent: found 5 minor units, expected 0 minor units"},
	}
}

func TestVerifyFindsBrokenRules(t *testing.T) {
	t.Parallel()
	cases := singleFacts()
	maps.Copy(cases, transferFacts())
	for name, one := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, book := newBank(t)
			if len(one.facts) > 0 {
				recordFacts(t, book, one.facts...)
			}
			for _, held := range []int{0, 1} {
				got := found(t, book, daybook.VerifyOptions{MaxHeld: held})
				if (one.want == "") != (got == "") || !strings.Contains(got, one.want) {
					t.Errorf("with %d held at once, found:\n%swant:\n%s", held, got, one.want)
				}
			}
		})
	}
}

// A transfer of which the position asked for shows one half is none that lacks one.
func TestVerifyUntilTheMiddleOfATransfer(t *testing.T) {
	t.Parallel()
	repository, book := newBank(t)
	if _, err := repository.ExecuteAll(t.Context(), bank.Transfer("alice", "bob", eur(5), transferID, "")); err != nil {
		t.Fatal(err)
	}
	for _, until := range []int64{4, 5, 6} {
		if got := found(t, book, daybook.VerifyOptions{Until: daybook.AtPosition(until)}); got != "" {
			t.Errorf("up to position %d, found:\n%s", until, got)
		}
	}
}

// A history that adds up to more than can be counted is a finding, and so is that the
// balances are not the sum any more.
func TestVerifyAHistoryThatAddsUpToTooMuch(t *testing.T) {
	t.Parallel()
	_, book := newBank(t)
	imported := daybook.Metadata{Extra: map[string]string{bank.MetadataSource: "berka"}}
	entry := daybook.Entry{Aggregate: bank.AccountID("bob"), Expected: daybook.Any()}
	for range math.MaxInt64/bank.MaxAmount + 1 {
		entry.Events = append(entry.Events, daybook.Event{Data: bank.MoneyDeposited{Amount: bank.MaxAmount}, Metadata: imported})
	}
	if _, err := book.Append(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	got := found(t, book, daybook.VerifyOptions{})
	for _, want := range []string{"the account has a history that adds up to more than can be counted", "the sum of the balances is not what came in less what went out"} {
		if !strings.Contains(got, want) {
			t.Errorf("found:\n%swant: %s", got, want)
		}
	}
}
