package bank_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

const canonical = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"

// The UUIDs are from another implementation of UUIDv5.
func TestAHandleNamesTheSameAccountForEver(t *testing.T) {
	t.Parallel()
	for handle, want := range map[string]string{
		"alice":                                "720aa6ab-56fc-5507-b69c-ece539740db3",
		"Alice":                                "ea4142d6-90ee-55a8-997d-0e0aec26a133",
		"bob":                                  "1ef7d99f-8425-5ade-a12c-1ee469c92308",
		"576":                                  "288cf9ab-179c-512b-8ba7-a7a66a51d725",
		"山田":                                   "f82e4612-d19c-5e86-b6a8-e2c7424b0559",
		"":                                     "68b991ba-317e-5b33-91e4-67c922ec1bc9",
		canonical:                              canonical,
		"00000000-0000-0000-0000-000000000000": "1d7b8c42-9256-55db-82e0-ef9750068eb5",
	} {
		got := bank.AccountID(handle)
		if got.Type != bank.AccountType || got.ID.String() != want {
			t.Errorf("AccountID(%q) is %s, want %s/%s: every account ever opened would be lost", handle, got, bank.AccountType, want)
		}
	}
}

func TestAnAccountIsAddressedByItsAggregateIDToo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		handle := rapid.String().Draw(t, "handle")
		id := bank.AccountID(handle)
		if again := bank.AccountID(id.ID.String()); again != id {
			t.Fatalf("AccountID(%q) is %v, and the account under that UUID is %v", handle, id, again)
		}
		if err := bank.CheckHandle(id.ID.String()); err != nil {
			t.Fatalf("the aggregate id of %q is no handle: %v", handle, err)
		}
	})
}

func TestDifferentHandlesAreDifferentAccounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		handles := rapid.SliceOfNDistinct(rapid.String(), 2, 2, rapid.ID).Draw(t, "handles")
		if bank.AccountID(handles[0]) == bank.AccountID(handles[1]) {
			t.Fatalf("%q name one account", handles)
		}
	})
}

func TestHandlesThatAreFine(t *testing.T) {
	t.Parallel()
	for _, handle := range []string{
		"a", "alice", "Alice", "alice@example.com", "alice_o'hara", "DE89370400440532013000", "MT84MALT011000012345MTLCAST001S",
		"576", "-", "é", "山田太郎", "مريم", "🐘", "a/b", canonical, "cafe-babe", strings.Repeat("x", bank.MaxHandleBytes),
		strings.Repeat("0", 29), strings.Repeat("a", 64),
	} {
		if err := bank.CheckHandle(handle); err != nil {
			t.Errorf("%q: %v", handle, err)
		}
	}
}

func TestHandlesThatAreRefused(t *testing.T) {
	t.Parallel()
	const uuidAdvice = "write it in canonical form"
	for name, c := range map[string]struct{ handle, says string }{
		"nothing":                          {"", "it is empty"},
		"one byte too many":                {strings.Repeat("x", bank.MaxHandleBytes+1), "it has 101 bytes: use at most 100"},
		"10 MB":                            {strings.Repeat("x", 10<<20), "use at most 100"},
		"invalid UTF-8":                    {"a\xff", "not valid UTF-8"},
		"a lone surrogate":                 {"a\xed\xa0\x80", "not valid UTF-8"},
		"a space in front":                 {" alice", "white space (U+0020)"},
		"a space behind":                   {"alice ", "white space"},
		"a space inside":                   {"al ice", "white space"},
		"a no-break space":                 {"al\u00a0ice", "white space (U+00A0)"},
		"an ideographic space":             {"山\u3000田", "white space (U+3000)"},
		"a line break":                     {"alice\n", "white space (U+000A)"},
		"a tab":                            {"a\tb", "white space (U+0009)"},
		"a line separator":                 {"a\u2028b", "white space (U+2028)"},
		"U+0000":                           {"a\x00b", "U+0000, which cannot be seen"},
		"an ANSI escape":                   {"\x1b[31malice", "U+001B"},
		"DEL":                              {"a\x7f", "U+007F"},
		"a C1 control":                     {"a\u009bb", "U+009B"},
		"a bidi override":                  {"a\u202eb", "U+202E"},
		"a bidi isolate":                   {"a\u2066b", "U+2066"},
		"a zero width space":               {"a\u200bb", "U+200B"},
		"a zero width joiner":              {"a\u200db", "U+200D"},
		"a byte order mark":                {"\ufeffalice", "U+FEFF"},
		"a soft hyphen":                    {"al\u00adice", "U+00AD"},
		"a Hangul filler":                  {"a\u3164", "U+3164"},
		"a variation selector":             {"a\ufe0f", "U+FE0F"},
		"a private use character":          {"a\ue000", "U+E000"},
		"a letter and its accent apart":    {"e\u0301", `normal form NFC: write it as "\u00e9"`},
		"the nil UUID":                     {"00000000-0000-0000-0000-000000000000", "the nil UUID names no account"},
		"the nil UUID without dashes":      {strings.Repeat("0", 32), "the nil UUID names no account"},
		"a UUID in capitals":               {strings.ToUpper(canonical), uuidAdvice + ", " + canonical},
		"a UUID in braces":                 {"{" + canonical + "}", uuidAdvice + ", " + canonical},
		"a UUID in parentheses":            {"(" + canonical + ")", uuidAdvice},
		"a UUID as a URN":                  {"urn:uuid:" + canonical, uuidAdvice + ", " + canonical},
		"a UUID as a URN in capitals":      {"URN:UUID:" + strings.ToUpper(canonical), uuidAdvice},
		"a UUID without dashes":            {strings.ReplaceAll(canonical, "-", ""), uuidAdvice + ", " + canonical},
		"a UUID with its dashes displaced": {"017f22e27-9b0-7cc3-98c4-dc0c0c07398f", uuidAdvice},
		"a UUID of 35 characters":          {canonical[:35], uuidAdvice},
		"a UUID of 37 characters":          {canonical + "0", uuidAdvice},
		"a UUID with other dashes":         {strings.ReplaceAll(canonical, "-", "–"), uuidAdvice},
		"a UUID in quotes":                 {`"` + canonical + `"`, uuidAdvice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := bank.CheckHandle(c.handle)
			var refusal *bank.HandleError
			if !errors.Is(err, bank.ErrHandle) || !errors.As(err, &refusal) || refusal.Handle != c.handle {
				t.Fatalf("error %v, want a HandleError with the handle", err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %s\nwant     %s", err, c.says)
			}
			checkHarmless(t, err)
		})
	}
}

// checkHarmless holds a message to what every terminal and log can show.
func checkHarmless(t *testing.T, err error) {
	t.Helper()
	if len(err.Error()) > 1000 {
		t.Errorf("the message has %d bytes", len(err.Error()))
	}
	for _, r := range err.Error() {
		if r < ' ' || r > '~' && r != '…' {
			t.Errorf("the message contains %U: %+q", r, err)
		}
	}
}

func FuzzHandlesAndTexts(f *testing.F) {
	for _, seed := range []string{"", "alice", canonical, "{" + canonical + "}", "e\u0301", "\x1b[31m", "a\u202eb", "\xff", "👩‍👩‍👧", strings.Repeat("x", 600)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id := bank.AccountID(text)
		if id.ID.IsZero() || id != bank.AccountID(text) || bank.AccountID(id.ID.String()) != id {
			t.Errorf("AccountID(%+q) is %v", text, id)
		}
		if err := bank.CheckHandle(text); err == nil {
			if len(text) > bank.MaxHandleBytes || !utf8.ValidString(text) || strings.ContainsAny(text, " \t\r\n\x00\x1b") || len(strings.Fields(text)) != 1 {
				t.Errorf("%+q passed as a handle", text)
			}
			if bank.CheckText("handle", text) != nil || bank.CheckOwner(text) != nil && strings.ContainsAny(text, "abc") {
				t.Errorf("%+q passed as a handle and not as a text", text)
			}
			if parsed, err := daybook.ParseUUID(text); err == nil && parsed != id.ID {
				t.Errorf("the UUID %s names account %v", text, id)
			}
		} else {
			checkHarmless(t, err)
		}
		for _, err := range []error{bank.CheckText("reference", text), bank.CheckOwner(text)} {
			switch {
			case err != nil:
				checkHarmless(t, err)
			case !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r\n\u202e") || utf8.RuneCountInString(text) > bank.MaxTextLength:
				t.Errorf("%+q passed as a text", text)
			}
		}
	})
}
