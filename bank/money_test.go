package bank

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/bojanz/currency"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseCurrency(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"EUR", "JPY", "KWD", "CLF", "CZK"} {
		if got, err := ParseCurrency(code); err != nil || got != Currency(code) {
			t.Errorf("ParseCurrency(%q) = %q, %v", code, got, err)
		}
	}
	for _, code := range []string{
		"", "XXX", "XTS", "XAU", "eur", "Eur", "EURO", "EU", " EUR", "EUR ", "EUR\x00", "\x1b[31m", "€", "DEM", "978",
		strings.Repeat("E", 1<<20),
	} {
		got, err := ParseCurrency(code)
		var refused *CurrencyError
		if got != "" || !errors.Is(err, ErrCurrency) || !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("ParseCurrency(%.20q) = %q, %v, want it refused", code, got, err)
			continue
		}
		checkMessage(t, err, "currency", "three capital letters")
	}
}

func TestCurrencyDigits(t *testing.T) {
	t.Parallel()
	want := map[Currency]int{"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "XXX": 0, "": 0}
	for c, digits := range want {
		if got := c.Digits(); got != digits {
			t.Errorf("Currency(%q).Digits() = %d, want %d", c, got, digits)
		}
	}
}

func TestParseAmountAccepts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text     string
		currency Currency
		minor    int64
	}{
		{"5", "EUR", 500},
		{"5.0", "EUR", 500},
		{"5.00", "EUR", 500},
		{"0.01", "EUR", 1},
		{"0.5", "EUR", 50},
		{"10", "EUR", 1000},
		{"100.10", "EUR", 10010},
		{"1", "JPY", 1},
		{"1250", "JPY", 1250},
		{"1.005", "KWD", 1005},
		{"0.001", "KWD", 1},
		{"1.0005", "CLF", 10005},
		{"90071992547409.91", "EUR", MaxAmount},
		{"9007199254740991", "JPY", MaxAmount},
		{"9007199254740.991", "KWD", MaxAmount},
	} {
		got, err := ParseAmount(test.text, test.currency)
		if diff := cmp.Diff(Money{Minor: test.minor, Currency: test.currency}, got); err != nil || diff != "" {
			t.Errorf("ParseAmount(%q, %s): %v (-want +got)\n%s", test.text, test.currency, err, diff)
		}
	}
}

func TestParseAmountRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text     string
		currency Currency
		fix      string
	}{
		{"", "EUR", "such as 5.00"},
		{"0", "EUR", "more than zero"},
		{"0.00", "EUR", "more than zero"},
		{"0", "JPY", "more than zero"},
		{"-5", "EUR", "such as 5.00"},
		{"-5", "JPY", "such as 5"},
		{"-0", "EUR", "such as 5.00"},
		{"+5", "EUR", "such as 5.00"},
		{" 5 ", "EUR", "such as 5.00"},
		{"5\n", "EUR", "such as 5.00"},
		{"5\x00", "EUR", "such as 5.00"},
		{"NaN", "EUR", "such as 5.00"},
		{"Infinity", "EUR", "such as 5.00"},
		{"1e3", "EUR", "such as 5.00"},
		{"0x10", "EUR", "such as 5.00"},
		{"1_000", "EUR", "such as 5.00"},
		{"1,000.00", "EUR", "such as 5.00"},
		{"5,00", "EUR", "such as 5.00"},
		{"\uff15", "EUR", "such as 5.00"},
		{"٥", "EUR", "such as 5.00"},
		{".5", "EUR", "such as 5.00"},
		{"5.", "EUR", "such as 5.00"},
		{".", "EUR", "such as 5.00"},
		{"5..0", "EUR", "such as 5.00"},
		{"5.0.0", "EUR", "such as 5.00"},
		{"5.-1", "EUR", "such as 5.00"},
		{"5.00 EUR", "EUR", "such as 5.00"},
		{"€5", "EUR", "such as 5.00"},
		{"\xff5", "EUR", "such as 5.00"},
		{"\x1b[31m5", "EUR", "such as 5.00"},
		{"007", "EUR", "zeros in front"},
		{"00", "EUR", "zeros in front"},
		{"00.5", "EUR", "zeros in front"},
		{"1.005", "EUR", "at most 2 digits after the point, and amounts are never rounded"},
		{"1.000", "EUR", "at most 2 digits"},
		{"1.0", "JPY", "whole number"},
		{"1.0005", "KWD", "at most 3 digits"},
		{"90071992547409.92", "EUR", "the largest amount is 90071992547409.91 EUR"},
		{"9007199254740992", "JPY", "the largest amount is 9007199254740991 JPY"},
		{"9223372036854775807", "JPY", "the largest amount"},
		{"9223372036854775808", "JPY", "the largest amount"},
		{"18446744073709551617", "JPY", "the largest amount"},
		{"99999999999999999999999999999.99", "EUR", "the largest amount"},
		{strings.Repeat("9", 33), "EUR", "33 bytes are too long"},
		{strings.Repeat("9", 400), "EUR", "400 bytes are too long"},
		{strings.Repeat("9", 10<<20), "EUR", "too long"},
	} {
		got, err := ParseAmount(test.text, test.currency)
		var refused *AmountError
		if got != (Money{}) || !errors.Is(err, ErrAmount) || !errors.As(err, &refused) {
			t.Errorf("ParseAmount(%.20q, %s) = %v, %v, want it refused", test.text, test.currency, got, err)
			continue
		}
		if refused.Text != test.text || refused.Currency != test.currency {
			t.Errorf("ParseAmount(%.20q, %s): the error is about %.20q %s", test.text, test.currency, refused.Text, refused.Currency)
		}
		checkMessage(t, err, "amount", test.fix)
	}
}

func TestParseAmountRefusesCurrency(t *testing.T) {
	t.Parallel()
	for _, code := range []Currency{"", "XXX", "eur", "EURO"} {
		if got, err := ParseAmount("5", code); got != (Money{}) || !errors.Is(err, ErrCurrency) {
			t.Errorf(`ParseAmount("5", %q) = %v, %v, want the currency refused`, code, got, err)
		}
	}
}

// checkMessage checks that a refusal names the field and the fix, and that nothing
// hostile reaches the terminal through it.
func checkMessage(t *testing.T, err error, field, fix string) {
	t.Helper()
	message := err.Error()
	if !strings.HasPrefix(message, "bank: "+field+" ") || !strings.Contains(message, fix) {
		t.Errorf("the message %q does not name the field %q and the fix %q", message, field, fix)
	}
	if len(message) > 400 || regexp.MustCompile(`[[:cntrl:]]`).MatchString(message) {
		t.Errorf("the message is long or has control characters: %q", message)
	}
}

func TestMoneyString(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		minor    int64
		currency Currency
		decimal  string
		text     string
	}{
		{1250, "EUR", "12.50", "12.50 EUR"},
		{0, "EUR", "0.00", "0.00 EUR"},
		{5, "EUR", "0.05", "0.05 EUR"},
		{-5, "EUR", "-0.05", "-0.05 EUR"},
		{-1250, "EUR", "-12.50", "-12.50 EUR"},
		{0, "JPY", "0", "0 JPY"},
		{-1250, "JPY", "-1250", "-1250 JPY"},
		{1, "KWD", "0.001", "0.001 KWD"},
		{1, "CLF", "0.0001", "0.0001 CLF"},
		{-12345, "CLF", "-1.2345", "-1.2345 CLF"},
		{0, "CLF", "0.0000", "0.0000 CLF"},
		{MaxAmount, "EUR", "90071992547409.91", "90071992547409.91 EUR"},
		{math.MaxInt64, "EUR", "92233720368547758.07", "92233720368547758.07 EUR"},
		{math.MinInt64, "EUR", "-92233720368547758.08", "-92233720368547758.08 EUR"},
		{math.MinInt64, "JPY", "-9223372036854775808", "-9223372036854775808 JPY"},
		{math.MinInt64, "KWD", "-9223372036854775.808", "-9223372036854775.808 KWD"},
		{math.MinInt64, "CLF", "-922337203685477.5808", "-922337203685477.5808 CLF"},
		{1250, "XXX", "1250", `1250 minor units of "XXX"`},
		{0, "", "0", `0 minor units of ""`},
		{1, "\x1b[31m", "1", `1 minor units of "\x1b[31m"`},
	} {
		money := Money{Minor: test.minor, Currency: test.currency}
		if got := money.Decimal(); got != test.decimal {
			t.Errorf("%#v.Decimal() = %q, want %q", money, got, test.decimal)
		}
		if got := money.String(); got != test.text {
			t.Errorf("%#v.String() = %q, want %q", money, got, test.text)
		}
	}
}

func currencies() *rapid.Generator[Currency] {
	return rapid.Custom(func(t *rapid.T) Currency {
		return Currency(rapid.SampledFrom(currency.GetCurrencyCodes()).Draw(t, "currency"))
	})
}

func TestParseAmountReadsWhatDecimalWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Money{Minor: rapid.Int64Range(1, MaxAmount).Draw(t, "minor"), Currency: currencies().Draw(t, "currency")}
		got, err := ParseAmount(want.Decimal(), want.Currency)
		if err != nil || got != want {
			t.Fatalf("ParseAmount(%q) = %v, %v, want %v", want.Decimal(), got, err, want)
		}
	})
}

func TestDecimalIsMinorUnitsOverAPowerOfTen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		money := Money{Minor: rapid.Int64().Draw(t, "minor"), Currency: currencies().Draw(t, "currency")}
		checkDecimal(t, money)
	})
}

// checkDecimal compares Decimal with the exact rational number it stands for.
func checkDecimal(t rapid.TB, money Money) {
	t.Helper()
	got, ok := new(big.Rat).SetString(money.Decimal())
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(money.Currency.Digits())), nil)
	want := new(big.Rat).SetFrac(big.NewInt(money.Minor), scale)
	if !ok || got.Cmp(want) != 0 {
		t.Fatalf("%#v.Decimal() = %q, want %s", money, money.Decimal(), want)
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{"5", "5.00", "0.01", "-5", "1e3", "007", "\uff15", "90071992547409.91", "1.0005", ".", ""} {
		for _, code := range []string{"EUR", "JPY", "KWD", "CLF", "XXX"} {
			f.Add(text, code)
		}
	}
	form := regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, text, code string) {
		money, err := ParseAmount(text, Currency(code))
		if err != nil {
			if money != (Money{}) || !errors.Is(err, ErrAmount) && !errors.Is(err, ErrCurrency) {
				t.Fatalf("ParseAmount(%q, %q) = %v, %v", text, code, money, err)
			}
			if message := err.Error(); len(message) > 400 || regexp.MustCompile(`[[:cntrl:]]`).MatchString(message) {
				t.Fatalf("ParseAmount(%q, %q): unfit message %q", text, code, message)
			}
			return
		}
		if !form.MatchString(text) || money.Minor < 1 || money.Minor > MaxAmount || string(money.Currency) != code {
			t.Fatalf("ParseAmount(%q, %q) = %v", text, code, money)
		}
		given, _ := new(big.Rat).SetString(text)
		read, _ := new(big.Rat).SetString(money.Decimal())
		if given.Cmp(read) != 0 {
			t.Fatalf("ParseAmount(%q, %q) = %v, which is another number", text, code, money)
		}
		checkDecimal(t, money)
	})
}

func ExampleParseAmount() {
	money, err := ParseAmount("12.5", "EUR")
	fmt.Println(money, money.Minor, err)
	_, err = ParseAmount("1.005", "EUR")
	fmt.Println(err)
	_, err = ParseAmount("5,00", "EUR")
	fmt.Println(err)
	// Output:
	// 12.50 EUR 1250 <nil>
	// bank: amount "1.005" EUR: EUR has at most 2 digits after the point, and amounts are never rounded
	// bank: amount "5,00" EUR: write it with the digits 0 to 9 and at most one point between them, such as 5.00
}
