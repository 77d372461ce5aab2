package statement

import (
	"errors"
	"strings"
	"testing"

	"github.com/daybook-go/daybook/bank"
)

// rowOf makes a row with columns a, b and c.
func rowOf(values ...string) row {
	places := map[Column]int{}
	for i := range values {
		places[Column{Name: string(rune('a' + i))}] = i
	}
	return row{line: 7, fields: values, columns: places}
}

// amountTest reads an amount from a row. want is the minor units, negative for a
// debit, or 0 for a refusal.
type amountTest struct {
	name   string
	amount Amount
	values []string
	want   int64
	reason string
}

func amountTests() []amountTest {
	a, b := Column{Name: "a"}, Column{Name: "b"}
	words := Amount{Column: a, Direction: &Direction{Column: b, Credit: []string{"in"}, Debit: []string{"out", "fee"}}}
	signed := Amount{Column: a, Signed: true}
	columns := Amount{CreditColumn: a, DebitColumn: b}
	german := Amount{Column: a, Signed: true, DecimalMark: ",", ThousandsSeparator: "."}
	swiss := Amount{Column: a, Signed: true, ThousandsSeparator: "'"}
	french := Amount{Column: a, Signed: true, DecimalMark: ",", ThousandsSeparator: "\u202f"}
	germanColumns := Amount{CreditColumn: a, DebitColumn: b, DecimalMark: ","}
	return []amountTest{
		{"a credit by its word", words, []string{"12.50", "in"}, 1250, ""},
		{"a debit by its second word", words, []string{"12.50", "fee"}, -1250, ""},
		{"an unknown word", words, []string{"12.50", "In"}, 0, "neither under credit nor under debit"},
		{"no word", words, []string{"12.50", ""}, 0, "neither under credit nor under debit"},
		{"a sign where words tell", words, []string{"-12.50", "in"}, 0, "not an amount"},
		{"an amount of zero", words, []string{"0.00", "in"}, 0, "more than zero"},
		{"no amount", words, []string{"", "in"}, 0, "not an amount"},
		{"a third decimal", words, []string{"1.005", "in"}, 0, "never rounded"},
		{"a space", words, []string{" 5", "in"}, 0, "not an amount"},
		{"an exponent", words, []string{"1e3", "in"}, 0, "not an amount"},
		{"a comma", words, []string{"5,00", "in"}, 0, "not an amount"},
		{"zeros in front", words, []string{"007", "in"}, 0, "zeros in front"},
		{"the largest amount", words, []string{"90071992547409.91", "in"}, bank.MaxAmount, ""},
		{"one more", words, []string{"90071992547409.92", "in"}, 0, "largest amount"},
		{"60,000 digits", words, []string{strings.Repeat("9", 60_000), "in"}, 0, "too long"},
		{"a signed credit", signed, []string{"12.50"}, 1250, ""},
		{"a signed debit", signed, []string{"-12.50"}, -1250, ""},
		{"a plus", signed, []string{"+12.50"}, 1250, ""},
		{"two signs", signed, []string{"--12.50"}, 0, "not an amount"},
		{"a sign behind", signed, []string{"12.50-"}, 0, "not an amount"},
		{"minus zero", signed, []string{"-0.00"}, 0, "more than zero"},
		{"a typographic minus", signed, []string{"\u221212.50"}, 0, "not an amount"},
		{"the credit column", columns, []string{"12.50", ""}, 1250, ""},
		{"the debit column", columns, []string{"", "12.50"}, -1250, ""},
		{"zero in the other column", columns, []string{"0.00", "12.50"}, -1250, ""},
		{"zero in the other column, with a comma", germanColumns, []string{"12,50", "0,00"}, 1250, ""},
		{"both columns", columns, []string{"1.00", "12.50"}, 0, "another amount in b"},
		{"neither column", columns, []string{"", ""}, 0, "no amount, neither here nor in b"},
		{"zero in both columns", columns, []string{"0.00", "0.00"}, 0, "more than zero"},
		{"text in the other column", columns, []string{"12.50", "x"}, 0, "another amount in b"},
		{"a decimal comma", german, []string{"-12,50"}, -1250, ""},
		{"grouped", german, []string{"1.234.567,89"}, 123456789, ""},
		{"not grouped", german, []string{"1234567,89"}, 123456789, ""},
		{"a point that is no group", german, []string{"12.50"}, 0, "groups of three"},
		{"a group of two", german, []string{"1.23.456,00"}, 0, "groups of three"},
		{"a first group of four", german, []string{"1234.567,00"}, 0, "groups of three"},
		{"an empty first group", german, []string{".567,00"}, 0, "groups of three"},
		{"a separator at the end", german, []string{"567.,00"}, 0, "groups of three"},
		{"a separator among the decimals", german, []string{"5,000.00"}, 0, "not an amount"},
		{"two decimal commas", german, []string{"5,00,00"}, 0, "not an amount"},
		{"a decimal comma and nothing", german, []string{"5,"}, 0, "not an amount"},
		{"an apostrophe", swiss, []string{"1'234.50"}, 123450, ""},
		{"a narrow space", french, []string{"1\u202f234,50"}, 123450, ""},
		{"another space", french, []string{"1 234,50"}, 0, "not an amount"},
	}
}

func TestAmountRead(t *testing.T) {
	t.Parallel()
	for _, test := range amountTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, credit, err := test.amount.read(rowOf(test.values...), "EUR")
			if test.reason == "" {
				want := bank.Money{Minor: max(test.want, -test.want), Currency: "EUR"}
				if err != nil || got != want || credit != (test.want > 0) {
					t.Errorf("got %v, credit %v, %v, want %d", got, credit, err, test.want)
				}
				return
			}
			var refused *LineError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, test.reason) {
				t.Fatalf("got %v, %v, want a *LineError with %q", got, err, test.reason)
			}
			if refused.Line != 7 || refused.Column == "" || len(err.Error()) > 400 {
				t.Errorf("unfit error: %s", err)
			}
		})
	}
}

func TestAmountCheckRefusesColumns(t *testing.T) {
	t.Parallel()
	a, b := Column{Name: "a"}, Column{Name: "b"}
	for member, amount := range map[string]Amount{
		"/credit_column": {DebitColumn: b},
		"/debit_column":  {CreditColumn: a, DebitColumn: a},
		"/column":        {Column: a, CreditColumn: a, DebitColumn: b},
	} {
		if got, err := amount.check(false); err == nil || got != member {
			t.Errorf("check of %+v: %q, %v, want %q refused", amount, got, err, member)
		}
	}
}
