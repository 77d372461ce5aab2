package bank_test

import (
	"errors"
	"fmt"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

func ExampleAccountID() {
	fmt.Println(bank.AccountID("alice"))
	fmt.Println(bank.AccountID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))
	// Output:
	// account/720aa6ab-56fc-5507-b69c-ece539740db3
	// account/017f22e2-79b0-7cc3-98c4-dc0c0c07398f
}

// The rules need no database: a state, a command, and what comes of it.
func Example() {
	account := bank.Accounts.Fold(bank.Account{},
		bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"},
		bank.MoneyDeposited{Amount: 100_00},
		bank.MoneyWithdrawn{Amount: 30_00},
	)
	fmt.Println(account.Handle, "has", account.Money())

	_, err := bank.Accounts.Decide(account, bank.Withdraw{Amount: bank.Money{Minor: 100_00, Currency: "EUR"}})
	fmt.Println(errors.Is(err, bank.ErrInsufficientFunds), errors.Is(err, bank.ErrRefused))
	fmt.Println(err)
	// Output:
	// alice has 70.00 EUR
	// true true
	// alice has 70.00 EUR, cannot withdraw 100.00 EUR
}

func ExampleTransfer() {
	amount, err := bank.ParseAmount("25.00", "EUR")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range bank.Transfer("alice", "bob", amount, daybook.NewUUID(), "rent") {
		fmt.Printf("%T\n", c.Command)
	}
	// Output:
	// bank.Send
	// bank.Receive
}

func ExampleCheckHandle() {
	fmt.Println(bank.CheckHandle("alice"))
	fmt.Println(bank.CheckHandle("al ice"))
	fmt.Println(bank.CheckHandle("{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}"))
	// Output:
	// <nil>
	// bank: account handle "al ice": it contains white space (U+0020): use '-' or '_' instead
	// bank: account handle "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}": it is a UUID in another spelling: write it in canonical form, 017f22e2-79b0-7cc3-98c4-dc0c0c07398f
}
