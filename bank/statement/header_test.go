package statement

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const (
	transactionsHeader = "id;account;date;type;amount;balance;text"
	accountsHeader     = "account,first,last,opened,currency"
)

func TestOpenRecognisesTheKind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, header string
		want         Kind
	}{
		{"transactions", transactionsHeader, Transactions},
		{"accounts", accountsHeader, Accounts},
		{"columns in another order", "text;amount;type;date;balance;account;id", Transactions},
		{"without the ignored column", "id;account;date;type;amount;text", Transactions},
		{"quoted names", `"account","first","last","opened","currency"`, Accounts},
		{"a byte order mark", "\ufeff" + transactionsHeader, Transactions},
		{"CRLF", accountsHeader + "\r\n", Accounts},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file, err := parse(t, transactionsJSON).Open("f.csv", strings.NewReader(test.header))
			if err != nil || file.Kind != test.want || file.Name != "f.csv" {
				t.Errorf("got %+v, %v, want %s", file, err, test.want)
			}
		})
	}
}

func TestOpenRefusesColumns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content string
		want          HeaderError
		messages      []string
	}{
		{
			"an unknown column", transactionsHeader + ";iban\n",
			HeaderError{Kind: Transactions, Unknown: []string{"iban"}},
			[]string{`unknown "iban"`, `"ignore"`, `found "id", "account"`},
		},
		{
			"a missing column", "id;account;date;type;text\n",
			HeaderError{Kind: Transactions, Missing: []string{"amount"}},
			[]string{`missing "amount"`, `found "id", "account"`},
		},
		{
			"a renamed column", "account,first,name,opened,currency\n",
			HeaderError{Kind: Accounts, Missing: []string{"last"}, Unknown: []string{"name"}},
			[]string{`missing "last"`, `unknown "name"`, `"accounts"`},
		},
		{
			"a column that is there twice", transactionsHeader + ";amount\n",
			HeaderError{Kind: Transactions, Repeated: []string{"amount"}},
			[]string{`more than once "amount"`},
		},
		{
			"another case", "ID;account;date;type;amount;text\n",
			HeaderError{Kind: Transactions, Missing: []string{"id"}, Unknown: []string{"ID"}},
			[]string{`missing "id"`, `unknown "ID"`},
		},
		{
			"data in place of the header", "1;alice;2024-01-01;C;5.00;5.00;\n",
			HeaderError{
				Kind: Transactions, Missing: []string{"id", "account", "date", "amount", "type", "text"},
				Unknown: []string{"1", "alice", "2024-01-01", "C", "5.00", ""}, Repeated: []string{"5.00"},
			},
			[]string{"missing"},
		},
		{"an empty file", "", HeaderError{}, []string{"the file is empty"}},
		{"an unbalanced quote", "\"id;account\n", HeaderError{Kind: Transactions}, []string{"quotes in the header"}},
		{"a first line that is too long", strings.Repeat("x", MaxLineBytes+1), HeaderError{}, []string{"more than 65536 bytes"}},
		{
			"a hostile column", transactionsHeader + ";\x1b[31m" + strings.Repeat("é", 1000),
			HeaderError{Kind: Transactions, Unknown: []string{"\x1b[31m" + strings.Repeat("é", 1000)}},
			[]string{`\x1b[31m`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, transactionsJSON).Open("f.csv", strings.NewReader(test.content))
			var refused *HeaderError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a *HeaderError", err)
			}
			got := *refused
			got.File, got.Found, got.Reason = "", nil, ""
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, part := range append(test.messages, "f.csv: ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message %q lacks %q", err, part)
				}
			}
			if len(err.Error()) > 2000 || regexp.MustCompile(`[[:cntrl:]]`).MatchString(err.Error()) {
				t.Errorf("unfit message: %q", err)
			}
		})
	}
}

func TestOpenShowsABoundedNumberOfColumns(t *testing.T) {
	t.Parallel()
	_, err := parse(t, transactionsJSON).Open("f.csv", strings.NewReader(strings.Repeat("x;", 5000)))
	var refused *HeaderError
	if !errors.As(err, &refused) || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "more") {
		t.Errorf("got an error of %d bytes: %.300s", len(fmt.Sprint(err)), err)
	}
}

func TestOpenRefusesAHeaderThatFitsBothKinds(t *testing.T) {
	t.Parallel()
	mapping := parse(t, `{"source": "s",
		"transactions": {"id": "a", "account": "b", "date": {"column": "c", "layout": "YYMMDD"}, "amount": {"column": "d", "signed": true}, "currency": "EUR"},
		"accounts": {"account": "a", "owner": "{b}", "opened": {"column": "c", "layout": "YYMMDD"}, "currency": "EUR", "ignore": ["d"]}}`)
	_, err := mapping.Open("f.csv", strings.NewReader("a,b,c,d\n"))
	var refused *HeaderError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "fits both") {
		t.Errorf("got %v", err)
	}
	if _, err := mapping.Open("f.csv", strings.NewReader("a,b,c\n")); err != nil {
		t.Errorf("three columns fit accounts only: %v", err)
	}
}

func TestOpenWithoutHeader(t *testing.T) {
	t.Parallel()
	const transaction = "1,alice,20240101,-5.00,memo\n"
	both := change(t, numberedJSON, `"source"`, `"accounts": {"account": "a", "owner": "{b}",
		"opened": {"column": "c", "layout": "YYMMDD"}, "currency_column": "d", "ignore": ["e"]}, "source"`)
	for name, test := range map[string]struct {
		mapping, content, want string
	}{
		"the first line is data":          {numberedJSON, transaction, `1: debit alice 5.00 EUR 2024-01-01T00:00:00Z "" id "1"`},
		"the first line may be a bad one": {numberedJSON, "1,alice\n" + transaction, "line 1: it has 2 fields, not 5\n2: debit alice"},
		"recognised by its width":         {both, transaction, "1: debit alice"},
		"a header of the same width":      {both, "a,b,c,d,e\nbob,Bob,240101,EUR,\n", `2: opened bob "Bob"`},
		"another width":                   {both, "1,alice,20240101\n", "the first line has 3 columns, the mapping has 5"},
		"a column number in a message":    {numberedJSON, "1,alice,20240101,5.005,\n", `line 1, column 4 "5.005": EUR has at most 2 digits`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := report(parse(t, test.mapping), strings.NewReader(test.content)); !containsInOrder(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestOpenChecksAMappingMadeInGo(t *testing.T) {
	t.Parallel()
	var refused *MappingError
	if _, err := (&Mapping{Source: "s"}).Open("f.csv", strings.NewReader("a")); !errors.As(err, &refused) {
		t.Errorf("got %v, want a *MappingError", err)
	}
}

func TestOpenPassesTheReadersFailureOn(t *testing.T) {
	t.Parallel()
	failure := errors.New("the disk is gone")
	if _, err := parse(t, transactionsJSON).Open("f.csv", iotest.ErrReader(failure)); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}
