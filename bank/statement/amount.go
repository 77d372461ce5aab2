package statement

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/daybook-go/daybook/bank"
)

// thousandsSeparators are the characters banks put between groups of digits.
var thousandsSeparators = []string{".", ",", "'", "_", " ", "\u00a0", "\u202f"}

// check reports what is wrong with a, and the member it is wrong with.
func (a Amount) check(noHeader bool) (member string, err error) {
	twoColumns := a.CreditColumn != Column{} || a.DebitColumn != Column{}
	ways := 0
	for _, way := range []bool{twoColumns, a.Signed, a.Direction != nil} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return "", fmt.Errorf("say in one way how credit and debit are told apart: direction, signed, or credit_column and debit_column")
	}
	if a.DecimalMark != "" && a.DecimalMark != "." && a.DecimalMark != "," {
		return "/decimal_mark", fmt.Errorf("%s is not a decimal mark: write \".\" or \",\"", shorten(a.DecimalMark))
	}
	if separator := a.ThousandsSeparator; separator != "" {
		if !slices.Contains(thousandsSeparators, separator) {
			return "/thousands_separator", fmt.Errorf("%s is not a thousands separator: write one of %q", shorten(separator), thousandsSeparators)
		}
		if separator == a.mark() {
			return "/thousands_separator", fmt.Errorf("it is the decimal mark as well: write another")
		}
	}
	if twoColumns {
		if err := a.CreditColumn.check(noHeader); err != nil {
			return "/credit_column", err
		}
		if err := a.DebitColumn.check(noHeader); err != nil {
			return "/debit_column", err
		}
		if a.CreditColumn == a.DebitColumn {
			return "/debit_column", fmt.Errorf("it is the credit_column as well: name another, or set signed")
		}
		if a.Column != (Column{}) {
			return "/column", fmt.Errorf("it goes without credit_column and debit_column: leave it out, or them")
		}
		return "", nil
	}
	if err := a.Column.check(noHeader); err != nil {
		return "/column", err
	}
	if a.Direction != nil {
		return a.Direction.check(noHeader)
	}
	return "", nil
}

func (d Direction) check(noHeader bool) (member string, err error) {
	if err := d.Column.check(noHeader); err != nil {
		return "/direction/column", err
	}
	if len(d.Credit) == 0 {
		return "/direction/credit", fmt.Errorf("it is missing: list the words for a credit")
	}
	if len(d.Debit) == 0 {
		return "/direction/debit", fmt.Errorf("it is missing: list the words for a debit")
	}
	for _, word := range d.Debit {
		if slices.Contains(d.Credit, word) {
			return "/direction/debit", fmt.Errorf("%s is listed under credit as well", shorten(word))
		}
	}
	return "", nil
}

func (a Amount) columns() []Column {
	switch {
	case a.Direction != nil:
		return []Column{a.Column, a.Direction.Column}
	case a.Signed:
		return []Column{a.Column}
	default:
		return []Column{a.CreditColumn, a.DebitColumn}
	}
}

func (a Amount) mark() string {
	if a.DecimalMark == "" {
		return "."
	}
	return a.DecimalMark
}

// read returns the amount on a row and whether it is a credit.
func (a Amount) read(r row, c bank.Currency) (amount bank.Money, credit bool, err error) {
	column, text, credit, err := a.pick(r)
	if err != nil {
		return bank.Money{}, false, err
	}
	plain, err := a.plain(text)
	if err != nil {
		return bank.Money{}, false, r.refuse(column, err.Error())
	}
	if amount, err = bank.ParseAmount(plain, c); err != nil {
		return bank.Money{}, false, r.refuse(column, reason(err))
	}
	return amount, credit, nil
}

// pick finds the amount's text, without a sign, and which way the money went.
func (a Amount) pick(r row) (column Column, text string, credit bool, err error) {
	if a.Direction != nil {
		word := r.value(a.Direction.Column)
		credit = slices.Contains(a.Direction.Credit, word)
		if !credit && !slices.Contains(a.Direction.Debit, word) {
			return Column{}, "", false, r.refuse(a.Direction.Column, "the mapping lists it neither under credit nor under debit")
		}
		return a.Column, r.value(a.Column), credit, nil
	}
	if a.Signed {
		text = r.value(a.Column)
		if debit, found := strings.CutPrefix(text, "-"); found {
			return a.Column, debit, false, nil
		}
		return a.Column, strings.TrimPrefix(text, "+"), true, nil
	}
	in, out := r.value(a.CreditColumn), r.value(a.DebitColumn)
	switch {
	case a.isNothing(out) && in != "":
		return a.CreditColumn, in, true, nil
	case a.isNothing(in) && out != "":
		return a.DebitColumn, out, false, nil
	case in == "" && out == "":
		return Column{}, "", false, r.refuse(a.CreditColumn, fmt.Sprintf("there is no amount, neither here nor in %s", a.DebitColumn))
	default:
		return Column{}, "", false, r.refuse(a.CreditColumn, fmt.Sprintf("there is another amount in %s: a transaction has one", a.DebitColumn))
	}
}

// isNothing reports whether text, in one of two columns, says that the amount is
// in the other.
func (a Amount) isNothing(text string) bool {
	return strings.Trim(strings.Replace(text, a.mark(), "", 1), "0") == ""
}

// plain turns a file's way of writing numbers into digits and a point, the form
// [bank.ParseAmount] reads. Nothing is guessed: in a file with decimal commas a
// point is refused, unless it is the thousands separator and stands in its place.
func (a Amount) plain(text string) (string, error) {
	whole, fraction, hasMark := strings.Cut(text, a.mark())
	if a.ThousandsSeparator != "" {
		groups := strings.Split(whole, a.ThousandsSeparator)
		for i, group := range groups {
			if len(groups) > 1 && (group == "" || len(group) > 3 || i > 0 && len(group) != 3) {
				return "", fmt.Errorf("%q must stand between groups of three digits", a.ThousandsSeparator)
			}
		}
		whole = strings.Join(groups, "")
	}
	if !isDigits(whole) || hasMark && !isDigits(fraction) {
		return "", fmt.Errorf("it is not an amount: the mapping expects digits with %q as the decimal mark", a.mark())
	}
	if hasMark {
		return whole + "." + fraction, nil
	}
	return whole, nil
}

// reason is the cause in an error of package bank, without the value, which a
// LineError shows itself.
func reason(err error) string {
	var amount *bank.AmountError
	var text *bank.TextError
	var handle *bank.HandleError
	switch {
	case errors.As(err, &amount):
		return amount.Reason
	case errors.As(err, &text):
		return text.Reason
	case errors.As(err, &handle):
		return handle.Reason
	default:
		return err.Error()
	}
}

// isDigits reports whether text is one or more ASCII digits.
func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
