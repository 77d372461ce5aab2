package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// importMapping describes the files these tests write.
const importMapping = "testdata/import/mapping.json"

const (
	accountsHeader     = "account,opened\n"
	transactionsHeader = "id,account,date,amount,text\n"
)

// writeImport writes a file to be imported, and returns its path.
func writeImport(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// accountsFile opens the accounts a0, a1 and so on.
func accountsFile(t testing.TB, accounts int) string {
	t.Helper()
	content := bytes.NewBufferString(accountsHeader)
	for i := range accounts {
		fmt.Fprintf(content, "a%d,2024-01-01\n", i)
	}
	return writeImport(t, "accounts.csv", content.String())
}

// transactionsFile pays 1.00 in on each of its lines, on one account after the other.
func transactionsFile(t testing.TB, accounts, lines int) string {
	t.Helper()
	content := bytes.NewBufferString(transactionsHeader)
	for i := range lines {
		fmt.Fprintf(content, "t%d,a%d,2024-02-01,1.00,\n", i, i%accounts)
	}
	return writeImport(t, "transactions.csv", content.String())
}

// openBook opens the book that the program works on.
func openBook(t testing.TB, db string) *daybook.Book {
	t.Helper()
	to, reason := parseDSN(db)
	if reason != "" {
		t.Fatal(reason)
	}
	driver, err := to.open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events, daybook.Inline{readmodel.Balances})
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// recordedEvents is how many events the book has.
func recordedEvents(t testing.TB, db string) int64 {
	t.Helper()
	head, err := openBook(t, db).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.Position
}

// hooked runs the program and calls hook each time that it writes text to stderr,
// with 1, 2 and so on: a progress line is written between two chunks, and so in the
// middle of an import.
func hooked(ctx context.Context, db, text string, hook func(n int), args ...string) outcome {
	var stdout bytes.Buffer
	calls := 0
	stderr := &stopper{at: text, stop: func() {
		calls++
		hook(calls)
	}}
	getenv := func(name string) string { return map[string]string{envDB: db}[name] }
	code := run(ctx, args, strings.NewReader(""), &stdout, stderr, getenv)
	return outcome{stdout.String(), stderr.String(), code}
}

func TestImportOfFilesAsTheyAre(t *testing.T) {
	t.Parallel()
	const header = transactionsHeader
	tests := []struct {
		name, content string
		want          lineCounts
		rejected      []int // lines
	}{
		{name: "CRLF line endings", content: strings.ReplaceAll(header, "\n", "\r\n") + "1,a0,2024-02-01,1.00,x\r\n2,a0,2024-02-01,1.00,\r\n", want: lineCounts{Accepted: 2}},
		{name: "a byte order mark", content: "\ufeff" + header + "1,a0,2024-02-01,1.00,x\n", want: lineCounts{Accepted: 1}},
		{name: "no line ending at the end", content: header + "1,a0,2024-02-01,1.00,x", want: lineCounts{Accepted: 1}},
		{name: "a last line that is cut off", content: header + "1,a0,2024-02-01,1.00,x\n2,a0,2024-0", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{3}},
		{name: "empty lines", content: header + "\n1,a0,2024-02-01,1.00,x\n\n", want: lineCounts{Accepted: 1}},
		{name: "a quote that is never closed", content: header + "1,a0,2024-02-01,1.00,\"x\n2,a0,2024-02-01,1.00,y\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{2}},
		{name: "a quoted field over two lines", content: header + "1,a0,2024-02-01,1.00,\"x\n2,a0,2024-02-01,1.00,y\"\n", want: lineCounts{Rejected: 2}, rejected: []int{2}},
		{name: "a line that is too long", content: header + "1,a0,2024-02-01,1.00," + strings.Repeat("x", 100_000) + "\n2,a0,2024-02-01,1.00,y\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{2}},
		{name: "text that is not UTF-8", content: header + "1,a0,2024-02-01,1.00,\xff\n2,a0,2024-02-01,1.00,\xc3\xa9\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{2}},
		{name: "an escape sequence", content: header + "1,a0,2024-02-01,1.00,\x1b[31mred\n", want: lineCounts{Rejected: 1}, rejected: []int{2}},
		{name: "an empty id", content: header + ",a0,2024-02-01,1.00,x\n", want: lineCounts{Rejected: 1}, rejected: []int{2}},
		{name: "amounts at and beyond the largest", content: header + "1,a0,2024-02-01,90071992547409.91,x\n2,a0,2024-02-01,90071992547409.92,x\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{3}},
		{name: "dates that are none", content: header + "1,a0,2024-02-30,1.00,x\n2,a0,01.02.2024,1.00,x\n3,a0,,1.00,x\n4,a0,0001-01-01,1.00,x\n5,a0,9999-12-31,1.00,x\n", want: lineCounts{Rejected: 5}, rejected: []int{2, 3, 4, 5, 6}},
		{name: "the same line twice", content: header + "1,a0,2024-02-01,1.00,x\n1,a0,2024-02-01,1.00,x\n", want: lineCounts{Accepted: 1, Duplicate: 1}},
		{name: "an id that was rejected before", content: header + "1,nobody,2024-02-01,1.00,x\n1,a0,2024-02-01,1.00,x\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{2}},
		{name: "an id with another reference", content: header + "1,a0,2024-02-01,1.00,x\n1,a0,2024-02-01,1.00,y\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{3}},
		{name: "an id on another account", content: header + "1,a0,2024-02-01,1.00,x\n1,a1,2024-02-01,1.00,x\n", want: lineCounts{Accepted: 1, Rejected: 1}, rejected: []int{3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := inFile(t, t.TempDir())
			must(t, db, "import", "csv", "--mapping", importMapping, accountsFile(t, 2))
			path := writeImport(t, "transactions.csv", test.content)
			for _, mode := range []string{"--dry-run", "--strict", "--actor=test"} {
				got := cli(t, db, "import", "csv", "--mapping", importMapping, mode, path, "-o", "json")
				wantCode := exitOK
				if test.want.Rejected > 0 {
					wantCode = exitRefused
				}
				want := test.want
				if mode == "--actor=test" && want.Rejected == 0 {
					want = lineCounts{Duplicate: want.Accepted + want.Duplicate} // --strict has recorded them
				}
				report := decode[importReport](t, got.stdout)
				if got.code != wantCode || report.lineCounts != want {
					t.Errorf("%s: exit code %d, %+v; want %d, %+v\n%s", mode, got.code, report.lineCounts, wantCode, want, got.stderr)
				}
				var lines []int
				for _, r := range report.Rejections {
					lines = append(lines, r.Line)
				}
				if diff := cmp.Diff(test.rejected, lines); diff != "" {
					t.Errorf("%s: rejected lines (-want +got):\n%s", mode, diff)
				}
			}
		})
	}
}

// Only so many rejected lines are named; all are counted.
func TestImportNamesTheFirstRejectedLines(t *testing.T) {
	t.Parallel()
	const lines = rejectionsShown + 500
	path := transactionsFile(t, 1, lines) // on an account that is not opened
	got := cli(t, inFile(t, t.TempDir()), "import", "csv", "--mapping", importMapping, path, "-o", "json")
	report := decode[importReport](t, got.stdout)
	if report.Rejected != lines || len(report.Rejections) != rejectionsShown {
		t.Errorf("%d rejected, %d named; want %d, %d", report.Rejected, len(report.Rejections), lines, rejectionsShown)
	}
	if !strings.Contains(got.stderr, "and 500 more rejected lines") {
		t.Errorf("stderr does not say that there are more:\n%.300s", got.stderr)
	}
}

// Under a second handle, its UUID, an account is the same account.
func TestImportKnowsAnAccountByBothItsNames(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	id := bank.AccountID("a0").ID.String()
	accounts := writeImport(t, "accounts.csv", accountsHeader+"a0,2024-01-01\n"+id+",2024-01-01\n")
	transactions := writeImport(t, "transactions.csv", transactionsHeader+"1,a0,2024-02-01,1.00,\n2,"+id+",2024-02-01,-0.25,\n")
	got := cli(t, db, "import", "csv", "--mapping", importMapping, accounts, transactions, "-o", "json")
	if report := decode[importReport](t, got.stdout); report.Accepted != 3 || report.Rejected != 1 {
		t.Errorf("want 3 accepted, and 1 rejected for its other owner: %+v\n%s", report.lineCounts, got.stderr)
	}
	if balance := balanceOf(t, db, "a0"); balance != "0.75 at 3" {
		t.Errorf("balance %s, want 0.75 at 3", balance)
	}
}

// An account that somebody paid into before it was opened cannot be opened any more.
func TestImportOnAnAccountWithoutOpening(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	record(t, db, "a0", "MoneyDeposited", 1, `{"amount": 1}`)
	got := cli(t, db, "import", "csv", "--mapping", importMapping, accountsFile(t, 1))
	if want := "account a0 has events and no opening"; got.code != exitRefused || !strings.Contains(got.stderr, want) {
		t.Errorf("exit code %d, want %d and %q:\n%s", got.code, exitRefused, want, got.stderr)
	}
}
