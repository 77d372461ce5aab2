package statement

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// transactionsJSON is a mapping of files of transactions, for tests that change
// one thing in it.
const transactionsJSON = `{
	"source": "house",
	"transactions": {
		"delimiter": ";",
		"id": "id", "account": "account",
		"date": {"column": "date", "layout": "YYYY-MM-DD"},
		"amount": {"column": "amount", "direction": {"column": "type", "credit": ["C"], "debit": ["D"]}},
		"currency": "EUR",
		"reference": {"columns": ["text"]},
		"ignore": ["balance"]
	},
	"accounts": {
		"account": "account", "owner": "{first} {last}",
		"opened": {"column": "opened", "layout": "DD.MM.YYYY"},
		"currency_column": "currency"
	}
}`

func parse(t *testing.T, text string) *Mapping {
	t.Helper()
	mapping, err := ParseMapping(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return mapping
}

// change replaces one part of a text that must be there.
func change(t *testing.T, text, from, to string) string {
	t.Helper()
	if strings.Count(text, from) == 0 {
		t.Fatalf("%q is not in the text to change", from)
	}
	return strings.Replace(text, from, to, 1)
}

// badMappings are what one change makes of a good mapping: from a text to another,
// and the member and reason it is refused with.
var badMappings = []struct{ name, from, to, member, reason string }{
	{"an unknown member", `"source"`, `"sauce": 1, "source"`, "/sauce", "no such member"},
	{"an unknown member of a section", `"id": "id"`, `"id": "id", "Header": true`, "/transactions/Header", "no such member"},
	{"a member in another case", `"source"`, `"Source"`, "/Source", "no such member"},
	{"a member that is there twice", `"source"`, `"source": "a", "source"`, "", "duplicate"},
	{"a member of another type", `"source": "house"`, `"source": 5`, "/source", "number does not fit"},
	{"text that is not JSON", `{`, `{,`, "", "JSON is refused"},
	{"text after the end", `{`, `{} {`, "", "JSON is refused"},
	{"no source", `"house"`, `""`, "/source", "missing"},
	{"a source that is null", `"house"`, `null`, "/source", "missing"},
	{"a source with a space", `"house"`, `"a b"`, "/source", "white space"},
	{"a source with a control character", `"house"`, `"a\u0000b"`, "/source", "U+0000"},
	{"an unknown time zone", `"source"`, `"time_zone": "Europe/Nowhere", "source"`, "/time_zone", "IANA"},
	{"a time zone that is a path", `"source"`, `"time_zone": "../../etc/passwd", "source"`, "/time_zone", "IANA"},
	{"the machine's own time zone", `"source"`, `"time_zone": "Local", "source"`, "/time_zone", "machine to machine"},
	{"a delimiter of two characters", `";"`, `";;"`, "/transactions/delimiter", "one ASCII character"},
	{"a delimiter that is a quote", `";"`, `"\""`, "/transactions/delimiter", "one ASCII character"},
	{"a delimiter that is a letter", `";"`, `"x"`, "/transactions/delimiter", "one ASCII character"},
	{"a delimiter that is a line break", `";"`, `"\n"`, "/transactions/delimiter", "one ASCII character"},
	{"a delimiter beyond ASCII", `";"`, `"§"`, "/transactions/delimiter", "one ASCII character"},
	{"no id", `"id": "id",`, ``, "/transactions/id", "missing"},
	{"an empty column name", `"id": "id"`, `"id": ""`, "/transactions/id", "not a column"},
	{"a column that is null", `["balance"]`, `[null]`, "/transactions/ignore/0", "not a column"},
	{"a column that is an object", `"id": "id"`, `"id": {}`, "/transactions/id", "not a column"},
	{"column number 0", `"id": "id"`, `"id": 0`, "/transactions/id", "not a column"},
	{"column number 1.5", `"id": "id"`, `"id": 1.5`, "/transactions/id", "not a column"},
	{"column number 1001", `"id": "id"`, `"id": 1001`, "/transactions/id", "not a column"},
	{"a number in a file with a header", `"id": "id"`, `"id": 1`, "/transactions/id", "has a header"},
	{"a name in a file without a header", `"id": "id"`, `"no_header": true, "id": "id"`, "/transactions/id", "has no header"},
	{"no account", `"account": "account",`, ``, "/transactions/account", "missing"},
	{"no date column", `"column": "date", `, ``, "/transactions/date/column", "missing"},
	{"no date layout", `, "layout": "YYYY-MM-DD"`, ``, "/transactions/date/layout", "not a date layout"},
	{"Go's date layout", `YYYY-MM-DD`, `2006-01-02`, "/transactions/date/layout", "not a date layout"},
	{"no amount", `"amount": {"column": "amount", "direction": {"column": "type", "credit": ["C"], "debit": ["D"]}},`, ``, "/transactions/amount", "in one way"},
	{"two ways to tell credit and debit", `"amount", "direction"`, `"amount", "signed": true, "direction"`, "/transactions/amount", "in one way"},
	{"no amount column", `"column": "amount", `, ``, "/transactions/amount/column", "missing"},
	{"a strange decimal mark", `"amount", "direction"`, `"amount", "decimal_mark": "'", "direction"`, "/transactions/amount/decimal_mark", "not a decimal mark"},
	{"a strange thousands separator", `"amount", "direction"`, `"amount", "thousands_separator": "-", "direction"`, "/transactions/amount/thousands_separator", "not a thousands separator"},
	{"one mark for both", `"amount", "direction"`, `"amount", "thousands_separator": ".", "direction"`, "/transactions/amount/thousands_separator", "decimal mark as well"},
	{"no direction column", `"column": "type", `, ``, "/transactions/amount/direction/column", "missing"},
	{"no credit words", `"credit": ["C"], `, ``, "/transactions/amount/direction/credit", "missing"},
	{"no debit words", `, "debit": ["D"]`, ``, "/transactions/amount/direction/debit", "missing"},
	{"a word for both", `["D"]`, `["D", "C"]`, "/transactions/amount/direction/debit", "under credit as well"},
	{"an unknown currency", `"EUR"`, `"XXX"`, "/transactions/currency", "ISO 4217"},
	{"no currency", `"currency": "EUR",`, ``, "/transactions/currency", "missing"},
	{"two currencies", `"currency": "EUR",`, `"currency": "EUR", "currency_column": "c",`, "/transactions/currency", "leave one of them out"},
	{"a line break between references", `["text"]`, `["text"], "separator": "\n"`, "/transactions/reference/separator", "control character"},
	{"a numbered reference column", `["text"]`, `["text", 7]`, "/transactions/reference/columns/1", "has a header"},
	{"an ignored column that is used", `["balance"]`, `["balance", "date"]`, "/transactions/ignore/1", "is used"},
	{"an owner without a closing brace", `{first} {last}`, `{first} {last`, "/accounts/owner", "has no }"},
	{"an owner without an opening brace", `{first} {last}`, `{first} last}`, "/accounts/owner", "has no {"},
	{"an owner with empty braces", `{first} {last}`, `{}`, "/accounts/owner", "missing"},
	{"no owner", `{first} {last}`, ``, "/accounts/owner", "missing"},
	{"an unfit opening date", `DD.MM.YYYY`, `DD.MM`, "/accounts/opened/layout", "needs YYYY"},
	{"no account in a file of accounts", `"account": "account", "owner"`, `"owner"`, "/accounts/account", "missing"},
}

func TestParseMappingRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range badMappings {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseMapping(strings.NewReader(change(t, transactionsJSON, test.from, test.to)))
			var refused *MappingError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a *MappingError", err)
			}
			if refused.Member != test.member || !strings.Contains(refused.Reason, test.reason) {
				t.Errorf("got %q: %q, want %q: …%s…", refused.Member, refused.Reason, test.member, test.reason)
			}
			if !strings.HasPrefix(err.Error(), "mapping: ") || strings.Contains(err.Error(), "Go ") {
				t.Errorf("unfit message: %s", err)
			}
		})
	}
}

const numberedJSON = `{
	"source": "house",
	"transactions": {
		"no_header": true, "id": 1, "account": 2, "date": {"column": 3, "layout": "YYYYMMDD"},
		"amount": {"column": 4, "signed": true}, "currency": "EUR", "ignore": [5]
	}
}`

func TestParseMappingWithoutHeader(t *testing.T) {
	t.Parallel()
	parse(t, numberedJSON)

	var refused *MappingError
	_, err := ParseMapping(strings.NewReader(change(t, numberedJSON, "[5]", "[6]")))
	if !errors.As(err, &refused) || refused.Member != "/transactions/ignore" || !strings.Contains(refused.Reason, "column 5") {
		t.Errorf("a hole in the numbers: got %v", err)
	}
	both := change(t, numberedJSON, `"source"`, `"accounts": {"no_header": true, "account": 1, "owner": "{2}",
		"opened": {"column": 3, "layout": "YYMMDD"}, "currency": "EUR", "ignore": [4, 5]}, "source"`)
	_, err = ParseMapping(strings.NewReader(both))
	if !errors.As(err, &refused) || refused.Member != "/accounts/no_header" {
		t.Errorf("two kinds that nothing tells apart: got %v", err)
	}
	parse(t, change(t, both, "[4, 5]", "[4]"))
	_, err = ParseMapping(strings.NewReader(change(t, both, "{2}", "{name}")))
	if !errors.As(err, &refused) || refused.Member != "/accounts/owner" {
		t.Errorf("a name in the owner of a file without a header: got %v", err)
	}
}

func TestParseMappingNeedsASection(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"source": "house"}`, `null`, `{}`} {
		var refused *MappingError
		if _, err := ParseMapping(strings.NewReader(text)); !errors.As(err, &refused) {
			t.Errorf("ParseMapping(%s): got %v", text, err)
		}
	}
}

func TestParseMappingIsBounded(t *testing.T) {
	t.Parallel()
	var refused *MappingError
	_, err := ParseMapping(strings.NewReader(strings.Repeat(" ", MaxMappingBytes+1)))
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "more than") {
		t.Errorf("got %v", err)
	}
	failure := errors.New("the disk is gone")
	if _, err := ParseMapping(iotest.ErrReader(failure)); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestReadMapping(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.json")
	if _, err := ReadMapping(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is not there: got %v", err)
	}
	if got := berkaMapping(t).Source; got != "berka" {
		t.Errorf("the example's source is %q", got)
	}
}
