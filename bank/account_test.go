package bank_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/daybooktest"
)

const tooMuch = math.MaxInt64

var (
	given      = daybooktest.Given(bank.Accounts)
	alice      = given.Events(bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"})
	aliceHas70 = alice.Events(bank.MoneyDeposited{Amount: 100_00}, bank.MoneyWithdrawn{Amount: 30_00})
	closed     = alice.Events(bank.AccountClosed{})
	// overdrawn is what an import can make, but no command.
	overdrawn = alice.Events(bank.MoneyWithdrawn{Amount: 5_00})
	// full is an account with the largest balance.
	full = alice.Events(bank.MoneyDeposited{Amount: bank.MaxAmount})
	// overflown has a history that adds up to more than an int64.
	overflown = alice.Events(bank.MoneyDeposited{Amount: tooMuch}, bank.MoneyDeposited{Amount: 1})

	transferID = daybook.UUID{0x01, 0x9a, 0x7b, 0x3c, 0x5d, 0x6e, 0x7f, 0x80, 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08}
)

func eur(cents int64) bank.Money { return bank.Money{Minor: cents, Currency: "EUR"} }

func send(cents int64) bank.Send {
	return bank.Send{From: "alice", To: "bob", Amount: eur(cents), TransferID: transferID, Reference: "rent"}
}

func receive(cents int64) bank.Receive {
	return bank.Receive{From: "bob", To: "alice", Amount: eur(cents), TransferID: transferID, Reference: "rent"}
}

type (
	scenario = daybooktest.Scenario[bank.Account, bank.Command, bank.Event]
	events   = []bank.Event
)

func TestWhatAnAccountGrants(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given scenario
		when  bank.Command
		then  events
	}{
		"an account is opened": {
			given, bank.Open{Handle: "alice", Owner: "Alice", Currency: "EUR"},
			events{bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"}},
		},
		"an account is opened in a currency without minor units": {
			given, bank.Open{Handle: "taro", Owner: "山田 太郎", Currency: "JPY"},
			events{bank.AccountOpened{AccountID: "taro", OwnerName: "山田 太郎", Currency: "JPY"}},
		},
		"a deposit is recorded with its reference": {
			alice, bank.Deposit{Amount: eur(100_00), Reference: "salary"},
			events{bank.MoneyDeposited{Amount: 100_00, Reference: "salary"}},
		},
		"the smallest amount is deposited": {
			alice, bank.Deposit{Amount: eur(1)}, events{bank.MoneyDeposited{Amount: 1}},
		},
		"the largest amount is deposited": {
			alice, bank.Deposit{Amount: eur(bank.MaxAmount)}, events{bank.MoneyDeposited{Amount: bank.MaxAmount}},
		},
		"a deposit fills the balance to the largest": {
			aliceHas70, bank.Deposit{Amount: eur(bank.MaxAmount - 70_00)}, events{bank.MoneyDeposited{Amount: bank.MaxAmount - 70_00}},
		},
		"less than the balance is withdrawn": {
			aliceHas70, bank.Withdraw{Amount: eur(69_99), Reference: "cash"}, events{bank.MoneyWithdrawn{Amount: 69_99, Reference: "cash"}},
		},
		"the whole balance is withdrawn": {
			aliceHas70, bank.Withdraw{Amount: eur(70_00)}, events{bank.MoneyWithdrawn{Amount: 70_00}},
		},
		"the largest balance is withdrawn at once": {
			full, bank.Withdraw{Amount: eur(bank.MaxAmount)}, events{bank.MoneyWithdrawn{Amount: bank.MaxAmount}},
		},
		"the whole balance is sent": {
			aliceHas70, send(70_00), events{bank.TransferSent{To: "bob", Amount: 70_00, TransferID: transferID, Reference: "rent"}},
		},
		"a transfer is received": {
			aliceHas70, receive(1), events{bank.TransferReceived{From: "bob", Amount: 1, TransferID: transferID, Reference: "rent"}},
		},
		"an account that was never used is closed":     {alice, bank.Close{}, events{bank.AccountClosed{}}},
		"an account that was emptied is closed":        {aliceHas70.Events(bank.MoneyWithdrawn{Amount: 70_00}), bank.Close{}, events{bank.AccountClosed{}}},
		"an overdrawn account takes a deposit":         {overdrawn, bank.Deposit{Amount: eur(1)}, events{bank.MoneyDeposited{Amount: 1}}},
		"an overdrawn account receives a transfer":     {overdrawn, receive(1), events{bank.TransferReceived{From: "bob", Amount: 1, TransferID: transferID, Reference: "rent"}}},
		"an account imported above the largest drains": {full.Events(bank.MoneyDeposited{Amount: 1}), bank.Withdraw{Amount: eur(1)}, events{bank.MoneyWithdrawn{Amount: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.given.When(c.when).ThenEvents(t, c.then...)
		})
	}
}

func TestWhatAnAccountRefuses(t *testing.T) {
	t.Parallel()
	usd := bank.Money{Minor: 1, Currency: "USD"}
	for name, c := range map[string]struct {
		given scenario
		when  bank.Command
		rule  error
		says  string
	}{
		"a deposit before the opening":            {given, bank.Deposit{Amount: eur(1)}, bank.ErrNotOpened, "the account is not opened: open it first"},
		"a withdrawal before the opening":         {given, bank.Withdraw{Amount: eur(1)}, bank.ErrNotOpened, "the account is not opened: open it first"},
		"closing before the opening":              {given, bank.Close{}, bank.ErrNotOpened, "the account is not opened: open it first"},
		"a transfer from an unknown account":      {given, send(1), bank.ErrNotOpened, "alice is not opened: open it first"},
		"a transfer to an unknown account":        {given, receive(1), bank.ErrNotOpened, "alice is not opened: open it first"},
		"opening twice":                           {alice, bank.Open{Handle: "alice", Owner: "A", Currency: "EUR"}, bank.ErrAlreadyOpen, "alice is already open: choose another handle"},
		"opening a closed account":                {closed, bank.Open{Handle: "alice", Owner: "A", Currency: "EUR"}, bank.ErrClosed, "alice is closed, for ever: use another account"},
		"a deposit on a closed account":           {closed, bank.Deposit{Amount: eur(1)}, bank.ErrClosed, "alice is closed"},
		"a withdrawal on a closed account":        {closed, bank.Withdraw{Amount: eur(1)}, bank.ErrClosed, "alice is closed"},
		"a transfer from a closed account":        {closed, send(1), bank.ErrClosed, "alice is closed"},
		"a transfer to a closed account":          {closed, receive(1), bank.ErrClosed, "alice is closed"},
		"closing twice":                           {closed, bank.Close{}, bank.ErrClosed, "alice is closed"},
		"withdrawing more than the balance":       {aliceHas70, bank.Withdraw{Amount: eur(100_00)}, bank.ErrInsufficientFunds, "alice has 70.00 EUR, cannot withdraw 100.00 EUR"},
		"withdrawing one cent more":               {aliceHas70, bank.Withdraw{Amount: eur(70_01)}, bank.ErrInsufficientFunds, "alice has 70.00 EUR, cannot withdraw 70.01 EUR"},
		"withdrawing from nothing":                {alice, bank.Withdraw{Amount: eur(1)}, bank.ErrInsufficientFunds, "alice has 0.00 EUR, cannot withdraw 0.01 EUR"},
		"withdrawing from an overdrawn account":   {overdrawn, bank.Withdraw{Amount: eur(1)}, bank.ErrInsufficientFunds, "alice has -5.00 EUR, cannot withdraw 0.01 EUR"},
		"sending more than the balance":           {aliceHas70, send(70_01), bank.ErrInsufficientFunds, "alice has 70.00 EUR, cannot withdraw 70.01 EUR"},
		"sending from an overdrawn account":       {overdrawn, send(1), bank.ErrInsufficientFunds, "alice has -5.00 EUR"},
		"a deposit in another currency":           {alice, bank.Deposit{Amount: usd}, bank.ErrCurrencyMismatch, "alice is kept in EUR, cannot move an amount in USD: give it in EUR"},
		"a withdrawal in another currency":        {aliceHas70, bank.Withdraw{Amount: usd}, bank.ErrCurrencyMismatch, "alice is kept in EUR, cannot move an amount in USD"},
		"receiving another currency":              {alice, bank.Receive{From: "bob", To: "alice", Amount: usd, TransferID: transferID}, bank.ErrCurrencyMismatch, "alice is kept in EUR"},
		"an amount without a currency":            {alice, bank.Deposit{Amount: bank.Money{Minor: 1}}, bank.ErrCurrencyMismatch, `cannot move an amount in ""`},
		"a deposit over the largest balance":      {full, bank.Deposit{Amount: eur(1)}, bank.ErrOverflow, "alice has 90071992547409.91 EUR, cannot take 0.01 EUR: the largest balance is 90071992547409.91 EUR"},
		"two deposits of the largest amount":      {full, bank.Deposit{Amount: eur(bank.MaxAmount)}, bank.ErrOverflow, "cannot take 90071992547409.91 EUR"},
		"receiving over the largest balance":      {full, receive(1), bank.ErrOverflow, "alice has 90071992547409.91 EUR"},
		"closing with a balance":                  {aliceHas70, bank.Close{}, bank.ErrNotEmpty, "alice has 70.00 EUR, cannot be closed: bring the balance to zero first"},
		"closing an overdrawn account":            {overdrawn, bank.Close{}, bank.ErrNotEmpty, "alice has -5.00 EUR, cannot be closed"},
		"sending to itself":                       {aliceHas70, bank.Send{From: "alice", To: "alice", Amount: eur(1), TransferID: transferID}, bank.ErrSameAccount, "alice cannot transfer to itself: name two different accounts"},
		"sending to itself by its aggregate id":   {aliceHas70, bank.Send{From: "alice", To: bank.AccountID("alice").ID.String(), Amount: eur(1), TransferID: transferID}, bank.ErrSameAccount, "alice cannot transfer to itself"},
		"receiving from itself":                   {aliceHas70, bank.Receive{From: "alice", To: "alice", Amount: eur(1), TransferID: transferID}, bank.ErrSameAccount, "alice cannot transfer to itself"},
		"a deposit after an overflow":             {overflown, bank.Deposit{Amount: eur(1)}, bank.ErrOverflow, "alice has a history that adds up to more than can be counted"},
		"a withdrawal after an overflow":          {overflown, bank.Withdraw{Amount: eur(1)}, bank.ErrOverflow, "nothing can be done with it"},
		"sending after an overflow":               {overflown, send(1), bank.ErrOverflow, "history"},
		"receiving after an overflow":             {overflown, receive(1), bank.ErrOverflow, "history"},
		"closing after an overflow":               {overflown, bank.Close{}, bank.ErrOverflow, "history"},
		"opening after an overflow":               {overflown, bank.Open{Handle: "a", Owner: "A", Currency: "EUR"}, bank.ErrOverflow, "history"},
		"anything after the overflow is undone":   {overflown.Events(bank.MoneyWithdrawn{Amount: tooMuch}), bank.Withdraw{Amount: eur(1)}, bank.ErrOverflow, "history"},
		"a hostile handle in an imported history": {given.Events(bank.AccountOpened{AccountID: "a\x1b[31mb", OwnerName: "A", Currency: "EUR"}), bank.Withdraw{Amount: eur(1)}, bank.ErrInsufficientFunds, `"a\x1b[31mb" has 0.00 EUR`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decision := c.given.When(c.when)
			decision.ThenRefused(t, c.rule)
			decision.ThenRefused(t, bank.ErrRefused)
			if err := decision.Err(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %q\nwant   %q", err, c.says)
			}
		})
	}
}

func TestWhatAnAccountCannotConsider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given scenario
		when  bank.Command
		kind  error
	}{
		"a deposit of 0":                         {alice, bank.Deposit{Amount: eur(0)}, bank.ErrAmount},
		"a deposit of -5":                        {alice, bank.Deposit{Amount: eur(-5)}, bank.ErrAmount},
		"a deposit of one more than the most":    {alice, bank.Deposit{Amount: eur(bank.MaxAmount + 1)}, bank.ErrAmount},
		"a deposit of the largest int64":         {alice, bank.Deposit{Amount: eur(math.MaxInt64)}, bank.ErrAmount},
		"a withdrawal of 0":                      {aliceHas70, bank.Withdraw{Amount: eur(0)}, bank.ErrAmount},
		"a withdrawal of -5":                     {aliceHas70, bank.Withdraw{Amount: eur(-5)}, bank.ErrAmount},
		"a withdrawal of the smallest int64":     {aliceHas70, bank.Withdraw{Amount: eur(math.MinInt64)}, bank.ErrAmount},
		"a withdrawal of one more than the most": {full, bank.Withdraw{Amount: eur(bank.MaxAmount + 1)}, bank.ErrAmount},
		"sending 0":                              {aliceHas70, send(0), bank.ErrAmount},
		"sending -5":                             {aliceHas70, send(-5), bank.ErrAmount},
		"receiving 0":                            {aliceHas70, receive(0), bank.ErrAmount},
		"receiving -5":                           {aliceHas70, receive(-5), bank.ErrAmount},
		"a deposit reference with a line break":  {alice, bank.Deposit{Amount: eur(1), Reference: "a\nb"}, bank.ErrText},
		"a withdrawal reference with an escape":  {aliceHas70, bank.Withdraw{Amount: eur(1), Reference: "\x1b[2J"}, bank.ErrText},
		"a transfer reference of 10 MB":          {aliceHas70, bank.Send{From: "alice", To: "bob", Amount: eur(1), TransferID: transferID, Reference: strings.Repeat("x", 10<<20)}, bank.ErrText},
		"a received reference with U+0000":       {alice, bank.Receive{From: "bob", To: "alice", Amount: eur(1), TransferID: transferID, Reference: "a\x00"}, bank.ErrText},
		"opening in XXX":                         {given, bank.Open{Handle: "alice", Owner: "A", Currency: "XXX"}, bank.ErrCurrency},
		"opening in eur":                         {given, bank.Open{Handle: "alice", Owner: "A", Currency: "eur"}, bank.ErrCurrency},
		"opening in no currency":                 {given, bank.Open{Handle: "alice", Owner: "A"}, bank.ErrCurrency},
		"opening in EURO":                        {given, bank.Open{Handle: "alice", Owner: "A", Currency: "EURO"}, bank.ErrCurrency},
		"opening without an owner":               {given, bank.Open{Handle: "alice", Currency: "EUR"}, bank.ErrText},
		"opening for an owner of blanks":         {given, bank.Open{Handle: "alice", Owner: " \u200b ", Currency: "EUR"}, bank.ErrText},
		"opening for an owner with U+0000":       {given, bank.Open{Handle: "alice", Owner: "A\x00", Currency: "EUR"}, bank.ErrText},
		"opening without a handle":               {given, bank.Open{Owner: "A", Currency: "EUR"}, bank.ErrHandle},
		"opening under the nil UUID":             {given, bank.Open{Handle: daybook.UUID{}.String(), Owner: "A", Currency: "EUR"}, bank.ErrHandle},
		"opening under a UUID in braces":         {given, bank.Open{Handle: "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", Owner: "A", Currency: "EUR"}, bank.ErrHandle},
		"sending to a handle with a space":       {aliceHas70, bank.Send{From: "alice", To: "bob ", Amount: eur(1), TransferID: transferID}, bank.ErrHandle},
		"sending to nobody":                      {aliceHas70, bank.Send{From: "alice", Amount: eur(1), TransferID: transferID}, bank.ErrHandle},
		"receiving from nobody":                  {aliceHas70, bank.Receive{To: "alice", Amount: eur(1), TransferID: transferID}, bank.ErrHandle},
		"sending without a transfer id":          {aliceHas70, bank.Send{From: "alice", To: "bob", Amount: eur(1)}, daybook.ErrInvalid},
		"receiving without a transfer id":        {aliceHas70, bank.Receive{From: "bob", To: "alice", Amount: eur(1)}, daybook.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decision := c.given.When(c.when)
			decision.ThenRefused(t, c.kind)
			if errors.Is(decision.Err(), bank.ErrRefused) {
				t.Errorf("%v is a refusal by a rule; it should be a value that was not understood", decision.Err())
			}
		})
	}
}

func TestACommandOfNobodyIsAnError(t *testing.T) {
	t.Parallel()
	for _, command := range []bank.Command{nil, &bank.Close{}, (*bank.Deposit)(nil)} {
		if err := alice.When(command).Err(); err == nil || !strings.Contains(err.Error(), "by value") {
			t.Errorf("%T: error %v, want one that says how to pass a command", command, err)
		}
	}
}

func TestARefusalCarriesItsNumbers(t *testing.T) {
	t.Parallel()
	var funds *bank.InsufficientFundsError
	if err := aliceHas70.When(bank.Withdraw{Amount: eur(100_00)}).Err(); !errors.As(err, &funds) {
		t.Fatalf("error %v, want an InsufficientFundsError", err)
	}
	if diff := cmp.Diff(&bank.InsufficientFundsError{Account: "alice", Balance: eur(70_00), Requested: eur(100_00)}, funds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var overflow *bank.OverflowError
	if err := overflown.When(bank.Close{}).Err(); !errors.As(err, &overflow) {
		t.Fatalf("error %v, want an OverflowError", err)
	}
	if diff := cmp.Diff(&bank.OverflowError{Account: "alice", Balance: eur(tooMuch)}, overflow); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
