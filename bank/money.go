package bank

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

// MaxAmount is the largest amount of one movement and the largest balance, in
// minor units: 2^53-1, the largest integer that every reader of JSON can hold.
const MaxAmount = 1<<53 - 1

const (
	// maxAmountBytes is the longest text that is looked at as an amount. MaxAmount
	// has 16 digits, so anything longer is hostile or a mistake, and is refused
	// before any work is spent on it.
	maxAmountBytes = 32
	// maxQuotedBytes is how much of a refused text an error message shows.
	maxQuotedBytes = 40
)

var (
	// ErrAmount is every refusal of a text as an amount of money. The [AmountError]
	// says why.
	ErrAmount = errors.New("bank: amount")
	// ErrCurrency is every refusal of a text as a currency. The [CurrencyError]
	// carries it.
	ErrCurrency = errors.New("bank: currency")
)

// AmountError says why a text was refused as an amount.
type AmountError struct {
	// Text is what was given, as it was given. It may be hostile and of any length.
	Text     string
	Currency Currency
	// Reason is what is wrong with it and how to write it instead.
	Reason string
}

// Error shows the text escaped and shortened.
func (e *AmountError) Error() string {
	return fmt.Sprintf("bank: amount %s %s: %s", quoteShort(e.Text), e.Currency, e.Reason)
}

// Unwrap makes errors.Is(err, ErrAmount) true.
func (e *AmountError) Unwrap() error { return ErrAmount }

// CurrencyError says that a text is not the code of a currency in use.
type CurrencyError struct {
	// Code is what was given, as it was given. It may be hostile and of any length.
	Code string
}

// Error shows the code escaped and shortened.
func (e *CurrencyError) Error() string {
	return fmt.Sprintf("bank: currency %s: write the ISO 4217 code of a currency in use, three capital letters such as EUR",
		quoteShort(e.Code))
}

// Unwrap makes errors.Is(err, ErrCurrency) true.
func (e *CurrencyError) Unwrap() error { return ErrCurrency }

// Currency is an ISO 4217 alphabetic code, such as EUR. A value that did not come
// from [ParseCurrency] may hold anything.
type Currency string

// ParseCurrency returns the currency with this code. Only codes of money in use
// are accepted, in capital letters: not XXX (no currency), XTS (testing) or XAU
// (gold), and none that has been withdrawn. Anything else is a [*CurrencyError].
func ParseCurrency(code string) (Currency, error) {
	// The table takes the empty code for valid.
	if code == "" || !currency.IsValid(code) {
		return "", &CurrencyError{Code: code}
	}
	return Currency(code), nil
}

// Digits is the number of digits after the decimal point: 2 for EUR, 0 for JPY,
// 3 for KWD. It is 0 for a code that [ParseCurrency] refuses.
func (c Currency) Digits() int {
	digits, _ := currency.GetDigits(string(c))
	return int(digits)
}

// Money is an amount in whole minor units of a currency: 1250 and EUR are 12.50
// euros, 1250 and JPY are 1250 yen. It may be negative, as a balance may be.
type Money struct {
	Minor    int64
	Currency Currency
}

// ParseAmount reads the amount of one movement, such as "5", "5.0" or "12.50".
//
// The form is strict, because a lenient reader would turn a typing mistake into
// money: ASCII digits without a needless zero in front, and optionally a point with
// at least one digit after it and at most as many as the currency has. Signs,
// spaces, exponents, grouping and decimal commas are refused. Nothing is ever
// rounded: 1.005 EUR is refused. The amount is at least one minor unit and at most
// [MaxAmount].
//
// Refusals are an [*AmountError], or a [*CurrencyError] when c is not a currency in use.
func ParseAmount(text string, c Currency) (Money, error) {
	if _, err := ParseCurrency(string(c)); err != nil {
		return Money{}, err
	}
	refuse := func(format string, args ...any) (Money, error) {
		return Money{}, &AmountError{Text: text, Currency: c, Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxAmountBytes {
		return refuse("%d bytes are too long for an amount, the largest is %s", len(text), largest(c))
	}
	whole, fraction, hasPoint := strings.Cut(text, ".")
	switch {
	case !isDigits(whole), hasPoint && !isDigits(fraction):
		return refuse("write it with the digits 0 to 9 and at most one point between them, such as %s", example(c))
	case len(whole) > 1 && whole[0] == '0':
		return refuse("leave out the zeros in front")
	case hasPoint && c.Digits() == 0:
		return refuse("%s has no digits after the point, write a whole number", c)
	case len(fraction) > c.Digits():
		return refuse("%s has at most %d digits after the point, and amounts are never rounded", c, c.Digits())
	}
	// The longest text still has too many digits for an int64; the parser then
	// answers with the range error that the limit below stands for as well.
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", c.Digits()-len(fraction)), 10, 64)
	if err != nil || minor > MaxAmount {
		return refuse("the largest amount is %s", largest(c))
	}
	if minor == 0 {
		return refuse("an amount is more than zero")
	}
	return Money{Minor: minor, Currency: c}, nil
}

// Decimal is the amount as a decimal number with all the digits of its currency and
// no grouping, such as "12.50" or "-0.05". For every amount above zero that is at
// most [MaxAmount], [ParseAmount] reads it back. Where the currency is not known
// it is the number of minor units.
func (m Money) Decimal() string {
	amount, err := currency.NewAmountFromInt64(m.Minor, string(m.Currency))
	if err != nil {
		return strconv.FormatInt(m.Minor, 10)
	}
	return amount.Number()
}

// String is the decimal number and the currency's code, such as "12.50 EUR". Where
// the currency is not known it says that minor units are meant, so that nobody
// takes cents for euros.
func (m Money) String() string {
	if !isKnown(m.Currency) {
		return fmt.Sprintf("%d minor units of %s", m.Minor, quoteShort(string(m.Currency)))
	}
	return m.Decimal() + " " + string(m.Currency)
}

func isKnown(c Currency) bool {
	_, err := ParseCurrency(string(c))
	return err == nil
}

func largest(c Currency) Money { return Money{Minor: MaxAmount, Currency: c} }

// example is an amount of c as it should be written: "5" or "5.00".
func example(c Currency) string {
	if c.Digits() == 0 {
		return "5"
	}
	return "5." + strings.Repeat("0", c.Digits())
}

// isDigits reports whether text is one or more ASCII digits. unicode.IsDigit
// would let full-width and Arabic-Indic digits through.
func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// quoteShort shows a text that may be hostile: escaped, and cut where it is long.
func quoteShort(text string) string {
	if len(text) <= maxQuotedBytes {
		return strconv.QuoteToASCII(text)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.QuoteToASCII(text[:maxQuotedBytes]), len(text))
}
