package bank_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/daybook-go/daybook/bank"
)

func TestTextsThatAreFine(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"one character":             "x",
		"a name with an accent":     "Zoë Núñez",
		"combining marks":           "e\u0301 \u0e01\u0e33",
		"a name in Persian":         "می\u200cخواهم",
		"a family of joined emoji":  "👩‍👩‍👧",
		"a flag of tag characters":  "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
		"spaces at the ends":        " rent ",
		"quotes and markup":         `"<b>'; DROP TABLE events; --`,
		"the most characters":       strings.Repeat("界", bank.MaxTextLength),
		"a character of a new page": "\U0001fae8",
	} {
		if err := bank.CheckText("reference", text); err != nil {
			t.Errorf("%s as a reference: %v", name, err)
		}
		if err := bank.CheckOwner(text); err != nil {
			t.Errorf("%s as an owner: %v", name, err)
		}
	}
	if err := bank.CheckText("reference", ""); err != nil {
		t.Errorf("no reference: %v", err)
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"U+0000":                     {"a\x00b", "control character U+0000"},
		"a line break":               {"a\nb", "control character U+000A"},
		"a carriage return":          {"a\r", "control character U+000D"},
		"a tab":                      {"a\tb", "control character U+0009"},
		"an ANSI escape":             {"\x1b[31mred", "control character U+001B"},
		"an ANSI escape of one byte": {"\u009b31mred", "control character U+009B"},
		"DEL":                        {"a\x7f", "control character U+007F"},
		"a line separator":           {"a\u2028b", "control character U+2028"},
		"a paragraph separator":      {"a\u2029b", "control character U+2029"},
		"a bidi override":            {"a\u202eb", "U+202E, which turns the direction"},
		"a bidi isolate":             {"a\u2067b", "U+2067, which turns the direction"},
		"a left-to-right mark":       {"a\u200eb", "U+200E, which turns the direction"},
		"an Arabic letter mark":      {"a\u061cb", "U+061C, which turns the direction"},
		"a byte order mark":          {"\ufeffa", "U+FEFF, a byte order mark"},
		"invalid UTF-8":              {"a\xffb", "not valid UTF-8"},
		"a lone surrogate":           {"a\xed\xa0\x80b", "not valid UTF-8"},
		"one character too many":     {strings.Repeat("界", bank.MaxTextLength+1), "it has 501 characters: use at most 500"},
		"10 MB":                      {strings.Repeat("x", 10<<20), "use at most 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for field, err := range map[string]error{"reference": bank.CheckText("reference", c.text), "owner": bank.CheckOwner(c.text)} {
				var refusal *bank.TextError
				if !errors.Is(err, bank.ErrText) || !errors.As(err, &refusal) || refusal.Field != field || refusal.Text != c.text {
					t.Fatalf("error %v, want a TextError with field and text", err)
				}
				if !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it says %s\nwant     %s … %s", err, field, c.says)
				}
				checkHarmless(t, err)
			}
		})
	}
}

func TestAnOwnerHasAName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", " ", "\u3000", "\u200b", "\u200d", "\u00ad", "\u3164", "\ufe0f"} {
		if err := bank.CheckOwner(name); !errors.Is(err, bank.ErrText) {
			t.Errorf("the owner %+q: error %v, want ErrText", name, err)
		}
	}
}
