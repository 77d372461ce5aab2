package statement_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/daybook-go/daybook/bank/statement"
)

func Example() {
	mapping, err := statement.ParseMapping(strings.NewReader(`{
		"source": "savings-bank",
		"time_zone": "Europe/Vienna",
		"transactions": {
			"delimiter": ";",
			"id": "Buchungsnummer",
			"account": "Konto",
			"date": {"column": "Valuta", "layout": "DD.MM.YYYY"},
			"amount": {"column": "Betrag", "signed": true, "decimal_mark": ",", "thousands_separator": "."},
			"currency_column": "Währung",
			"reference": {"columns": ["Text"]},
			"ignore": ["Saldo"]
		}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := mapping.Open("november.csv", strings.NewReader(
		"Konto;Buchungsnummer;Valuta;Betrag;Währung;Saldo;Text\n"+
			"alice;701;02.11.2026;2.500,00;EUR;2.500,00;salary\n"+
			"alice;702;31.11.2026;-12,50;EUR;2.487,50;books\n"+
			"alice;703;03.11.2026;-800,00;EUR;1.687,50;rent\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for fact, err := range file.Facts() {
		var bad *statement.LineError
		if errors.As(err, &bad) {
			fmt.Println("rejected:", bad)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch fact := fact.(type) {
		case statement.Account:
			fmt.Println("opened", fact.Handle)
		case statement.Transaction:
			fmt.Println(fact.Line, fact.Account, fact.Credit, fact.Amount, fact.Reference)
		}
	}
	// Output:
	// 2 alice true 2500.00 EUR salary
	// rejected: line 3, Valuta "31.11.2026": there is no such day or time in the calendar: write it as DD.MM.YYYY
	// 4 alice false 800.00 EUR rent
}
