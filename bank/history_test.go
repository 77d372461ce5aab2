package bank_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

func TestWhatBecomesOfAnAccount(t *testing.T) {
	t.Parallel()
	open := bank.Account{Handle: "alice", Owner: "Alice", Currency: "EUR", Status: bank.StatusOpen}
	with := func(change func(*bank.Account)) bank.Account {
		account := open
		change(&account)
		return account
	}
	for name, c := range map[string]struct {
		given scenario
		want  bank.Account
	}{
		"nothing has happened":                  {given, bank.Account{}},
		"it is opened":                          {alice, open},
		"money came and went":                   {aliceHas70, with(func(a *bank.Account) { a.Balance = 70_00 })},
		"a transfer was sent":                   {aliceHas70.Events(bank.TransferSent{To: "bob", Amount: 20_00}), with(func(a *bank.Account) { a.Balance = 50_00 })},
		"a transfer was received":               {aliceHas70.Events(bank.TransferReceived{From: "bob", Amount: 5}), with(func(a *bank.Account) { a.Balance = 70_05 })},
		"it is closed":                          {closed, with(func(a *bank.Account) { a.Status = bank.StatusClosed })},
		"an overdraft was imported":             {overdrawn, with(func(a *bank.Account) { a.Balance = -5_00 })},
		"money came in after it was closed":     {closed.Events(bank.MoneyDeposited{Amount: 1}), with(func(a *bank.Account) { a.Status, a.Balance = bank.StatusClosed, 1 })},
		"money came in before it was opened":    {given.Events(bank.MoneyDeposited{Amount: 1}), bank.Account{Balance: 1}},
		"more than the largest balance came in": {full.Events(bank.MoneyDeposited{Amount: 1}), with(func(a *bank.Account) { a.Balance = bank.MaxAmount + 1 })},
		"more came in than can be counted":      {overflown, with(func(a *bank.Account) { a.Balance, a.Overflow = tooMuch, true })},
		"the overflow seems undone":             {overflown.Events(bank.MoneyWithdrawn{Amount: 1}), with(func(a *bank.Account) { a.Balance, a.Overflow = tooMuch, true })},
		"more went out than can be counted": {
			alice.Events(bank.MoneyWithdrawn{Amount: tooMuch}, bank.TransferSent{Amount: 2}),
			with(func(a *bank.Account) { a.Balance, a.Overflow = -tooMuch, true }),
		},
		"the smallest balance is still counted": {
			alice.Events(bank.MoneyWithdrawn{Amount: tooMuch}, bank.TransferSent{Amount: 1}),
			with(func(a *bank.Account) { a.Balance = math.MinInt64 }),
		},
		"the smallest int64 was withdrawn": {
			alice.Events(bank.MoneyWithdrawn{Amount: math.MinInt64}),
			with(func(a *bank.Account) { a.Overflow = true }),
		},
		"an event of nobody": {alice.Events(nil, &bank.AccountClosed{}), open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.given.State()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGrantedCommandLeadsToItsState(t *testing.T) {
	t.Parallel()
	aliceHas70.When(bank.Withdraw{Amount: eur(70_00)}).
		ThenState(t, bank.Account{Handle: "alice", Owner: "Alice", Currency: "EUR", Status: bank.StatusOpen})
	if got := aliceHas70.State().Money(); got != eur(70_00) {
		t.Errorf("Money is %v, want 70.00 EUR", got)
	}
}

// postings is what a history adds up to, worked out without the bank and without bounds.
func postings(history []bank.Event) *big.Int {
	sum := new(big.Int)
	for _, event := range history {
		switch e := event.(type) {
		case bank.MoneyDeposited:
			sum.Add(sum, big.NewInt(e.Amount))
		case bank.MoneyWithdrawn:
			sum.Sub(sum, big.NewInt(e.Amount))
		case bank.TransferSent:
			sum.Sub(sum, big.NewInt(e.Amount))
		case bank.TransferReceived:
			sum.Add(sum, big.NewInt(e.Amount))
		case bank.AccountOpened, bank.AccountClosed:
		}
	}
	return sum
}

var (
	anyAmount = rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 100), rapid.SampledFrom([]int64{0, bank.MaxAmount, bank.MaxAmount + 1, math.MaxInt64, math.MinInt64}))
	anyText   = rapid.OneOf(rapid.SampledFrom([]string{"", "alice", "bob", "rent"}), rapid.String())
	anyMoney  = rapid.Custom(func(t *rapid.T) bank.Money {
		return bank.Money{Minor: anyAmount.Draw(t, "minor"), Currency: bank.Currency(rapid.SampledFrom([]string{"EUR", "EUR", "EUR", "USD", "XXX", ""}).Draw(t, "currency"))}
	})
	anyTransferID = rapid.SampledFrom([]daybook.UUID{{}, transferID})

	anyCommand = rapid.Custom(func(t *rapid.T) bank.Command {
		money, text, other, id := anyMoney.Draw(t, "amount"), anyText.Draw(t, "text"), anyText.Draw(t, "other"), anyTransferID.Draw(t, "transfer")
		return rapid.SampledFrom([]bank.Command{
			bank.Open{Handle: text, Owner: other, Currency: money.Currency},
			bank.Deposit{Amount: money, Reference: text},
			bank.Withdraw{Amount: money, Reference: text},
			bank.Send{From: text, To: other, Amount: money, TransferID: id, Reference: text},
			bank.Receive{From: text, To: other, Amount: money, TransferID: id, Reference: text},
			bank.Close{}, &bank.Close{}, nil,
		}).Draw(t, "command")
	})
	anyEvent = rapid.Custom(func(t *rapid.T) bank.Event {
		amount, text, id := anyAmount.Draw(t, "amount"), anyText.Draw(t, "text"), anyTransferID.Draw(t, "transfer")
		return rapid.SampledFrom([]bank.Event{
			bank.AccountOpened{AccountID: text, OwnerName: text, Currency: "EUR"},
			bank.MoneyDeposited{Amount: amount, Reference: text},
			bank.MoneyWithdrawn{Amount: amount, Reference: text},
			bank.TransferSent{To: text, Amount: amount, TransferID: id},
			bank.TransferReceived{From: text, Amount: amount, TransferID: id},
			bank.AccountClosed{},
		}).Draw(t, "event")
	})
)

func TestAnyHistoryIsCountedOrSaysThatItIsNot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.SliceOf(anyEvent).Draw(t, "history")
		account, overflow := bank.Account{}, false
		for i, event := range history {
			account = bank.Accounts.Evolve(account, event)
			sum := postings(history[:i+1])
			overflow = overflow || !sum.IsInt64()
			if account.Overflow != overflow {
				t.Fatalf("after event %d Overflow is %v, the postings add up to %v", i+1, account.Overflow, sum)
			}
			if !overflow && account.Balance != sum.Int64() {
				t.Fatalf("after event %d the balance is %d, the postings add up to %v", i+1, account.Balance, sum)
			}
		}
	})
}

func TestAnyCommandOnAnyHistoryIsAnsweredTheSameTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before := bank.Accounts.Fold(bank.Account{}, rapid.SliceOf(anyEvent).Draw(t, "history")...)
		state, command := before, anyCommand.Draw(t, "command")
		first, err := bank.Accounts.Decide(state, command)
		second, again := bank.Accounts.Decide(state, command)
		if state != before || !cmp.Equal(first, second) || (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("%v, %v and then %v, %v", first, err, second, again)
		}
		if (err == nil) != (len(first) == 1) {
			t.Fatalf("events %v with error %v: a command causes one event or is refused", first, err)
		}
	})
}

// world is some accounts and what has happened to them, in order.
type world struct {
	accounts map[daybook.AggregateID]bank.Account
	history  map[daybook.AggregateID][]bank.Event
}

// execute runs commands as the repository does: all take effect or none.
func (w world) execute(commands []daybook.Addressed[bank.Command]) error {
	caused := make([][]bank.Event, len(commands))
	for i, c := range commands {
		var err error
		if caused[i], err = bank.Accounts.Decide(w.accounts[c.Aggregate], c.Command); err != nil {
			return err
		}
	}
	for i, c := range commands {
		w.accounts[c.Aggregate] = bank.Accounts.Fold(w.accounts[c.Aggregate], caused[i]...)
		w.history[c.Aggregate] = append(w.history[c.Aggregate], caused[i]...)
	}
	return nil
}

func TestCommandsNeitherMakeNorLoseMoney(t *testing.T) {
	t.Parallel()
	handles := rapid.SampledFrom([]string{"alice", "bob", "carol", "dave", "nobody"})
	amounts := rapid.OneOf(rapid.Int64Range(1, 100), anyAmount)
	rapid.Check(t, func(t *rapid.T) {
		w := world{map[daybook.AggregateID]bank.Account{}, map[daybook.AggregateID][]bank.Event{}}
		outside := new(big.Int) // what came into the bank, less what left it
		to := func(handle string, command bank.Command) []daybook.Addressed[bank.Command] {
			return []daybook.Addressed[bank.Command]{{Aggregate: bank.AccountID(handle), Command: command}}
		}
		for _, handle := range []string{"alice", "bob", "carol"} {
			if err := w.execute(to(handle, bank.Open{Handle: handle, Owner: handle, Currency: "EUR"})); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.execute(to("dave", bank.Open{Handle: "dave", Owner: "dave", Currency: "JPY"})); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"deposit": func(t *rapid.T) {
				amount := amounts.Draw(t, "amount")
				if w.execute(to(handles.Draw(t, "handle"), bank.Deposit{Amount: eur(amount)})) == nil {
					outside.Add(outside, big.NewInt(amount))
				}
			},
			"withdraw": func(t *rapid.T) {
				amount := amounts.Draw(t, "amount")
				if w.execute(to(handles.Draw(t, "handle"), bank.Withdraw{Amount: eur(amount)})) == nil {
					outside.Sub(outside, big.NewInt(amount))
				}
			},
			"transfer": func(t *rapid.T) {
				_ = w.execute(bank.Transfer(handles.Draw(t, "from"), handles.Draw(t, "to"), eur(amounts.Draw(t, "amount")), transferID, ""))
			},
			"close": func(t *rapid.T) {
				_ = w.execute(to(handles.Draw(t, "handle"), bank.Close{}))
			},
			"": func(t *rapid.T) { w.check(t, outside) },
		})
	})
}

// check holds the accounts to what they must be after every command.
func (w world) check(t *rapid.T, outside *big.Int) {
	sum := new(big.Int)
	for id, account := range w.accounts {
		sum.Add(sum, big.NewInt(account.Balance))
		switch {
		case account.Balance < 0 || account.Balance > bank.MaxAmount || account.Overflow:
			t.Fatalf("no command may lead to %+v", account)
		case account.Status == bank.StatusClosed && account.Balance != 0:
			t.Fatalf("closed with a balance: %+v", account)
		case big.NewInt(account.Balance).Cmp(postings(w.history[id])) != 0:
			t.Fatalf("%+v, but its postings add up to %v", account, postings(w.history[id]))
		}
	}
	if sum.Cmp(outside) != 0 {
		t.Fatalf("the accounts hold %v, but %v came into the bank", sum, outside)
	}
}

func TestATransferIsBothHalvesOrARefusal(t *testing.T) {
	t.Parallel()
	commands := bank.Transfer("alice", "bob", eur(25_00), transferID, "rent")
	want := []daybook.Addressed[bank.Command]{
		{Aggregate: bank.AccountID("alice"), Command: bank.Send{From: "alice", To: "bob", Amount: eur(25_00), TransferID: transferID, Reference: "rent"}},
		{Aggregate: bank.AccountID("bob"), Command: bank.Receive{From: "alice", To: "bob", Amount: eur(25_00), TransferID: transferID, Reference: "rent"}},
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, to := range []string{"alice", bank.AccountID("alice").ID.String()} {
		alone := bank.Transfer("alice", to, eur(1), transferID, "")
		if len(alone) != 1 {
			t.Fatalf("a transfer from alice to %s is %d commands, want one that is refused", to, len(alone))
		}
		aliceHas70.When(alone[0].Command).ThenRefused(t, bank.ErrSameAccount)
	}
}
