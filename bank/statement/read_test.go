package statement

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// report is what a file's lines came to, one line each.
func report(mapping *Mapping, r io.Reader) string {
	file, err := mapping.Open("f.csv", r)
	if err != nil {
		return "refused: " + err.Error()
	}
	var lines []string
	for fact, err := range file.Facts() {
		switch fact := fact.(type) {
		case Transaction:
			way := "debit"
			if fact.Credit {
				way = "credit"
			}
			lines = append(lines, fmt.Sprintf("%d: %s %s %s %s %q id %q", fact.LineNumber(), way, fact.Account, fact.Amount,
				fact.OccurredAt.Format(time.RFC3339), fact.Reference, fact.ID))
		case Account:
			lines = append(lines, fmt.Sprintf("%d: opened %s %q %s %s", fact.LineNumber(), fact.Handle, fact.Owner, fact.Currency,
				fact.OpenedAt.Format(time.RFC3339)))
		case nil:
			lines = append(lines, err.Error())
		}
	}
	return strings.Join(lines, "\n")
}

// containsInOrder reports whether each line of want is part of got, one after the other.
func containsInOrder(got, want string) bool {
	for part := range strings.SplitSeq(want, "\n") {
		_, rest, found := strings.Cut(got, part)
		if !found {
			return false
		}
		got = rest
	}
	return true
}

const good = `credit alice 5.00 EUR 2024-01-01T00:00:00Z`

func TestReadTransactions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxLineBytes)
	row := func(id string) string { return id + ";alice;2024-01-01;C;5.00;;t\n" }
	for _, test := range []struct{ name, lines, want string }{
		{"no lines", "", ""},
		{"a line", row("1"), "2: " + good + ` "t" id "1"`},
		{"the last line without a line ending", "1;alice;2024-01-01;C;5.00;;t", "2: " + good + ` "t" id "1"`},
		{"CRLF", "1;alice;2024-01-01;C;5.00;;t\r\n2;bob;2024-01-02;D;0.50;;\r\n", "2: " + good + ` "t" id "1"` + "\n" + `3: debit bob 0.50 EUR 2024-01-02T00:00:00Z "" id "2"`},
		{"quoted fields", `"1";"alice";"2024-01-01";"C";"5.00";"";"a; ""b"""`, "2: " + good + ` "a; \"b\"" id "1"`},
		{"empty lines", "\n\r\n" + row("1") + "\n" + row("2") + "\n\n", "4: " + good + ` "t" id "1"` + "\n6: " + good + ` "t" id "2"`},
		{"a bad line between good ones", row("1") + "2;alice;2024-01-01;C;-5;;\n" + row("3"), "2: \nline 3, amount \"-5\": it is not an amount\n4: "},
		{"a truncated last line", row("1") + "2;alice;2024-0", "2: \nline 3: it has 3 fields, not 7"},
		{"a line with a field more", "1;alice;2024-01-01;C;5.00;;t;u\n", "line 2: it has 8 fields, not 7"},
		{"a wrong date", "1;alice;2024-02-30;C;5.00;;t\n", `line 2, date "2024-02-30": there is no such day`},
		{"no id", ";alice;2024-01-01;C;5.00;;t\n", `line 2, id "": it is empty`},
		{"an id with a space behind", "1 ;alice;2024-01-01;C;5.00;;t\n", `line 2, id "1 ": it has white space`},
		{"no account", "1;;2024-01-01;C;5.00;;t\n", `line 2, account "": it is empty`},
		{"an account with a space", "1;a b;2024-01-01;C;5.00;;t\n", `line 2, account "a b": `},
		{"an amount of 400 digits", "1;alice;2024-01-01;C;" + strings.Repeat("9", 400) + ";;t\n", "400 bytes are too long"},
		{"NUL in the reference", "1;alice;2024-01-01;C;5.00;;a\x00b\n", `line 2, text "a\x00b": it contains`},
		{"NUL in the id", "1\x00;alice;2024-01-01;C;5.00;;t\n", `line 2, id "1\x00": it contains`},
		{"an escape sequence", "1;alice;2024-01-01;C;5.00;;\x1b[31mred\n", `line 2, text "\x1b[31mred": it contains`},
		{"a turned direction of writing", "1;alice;2024-01-01;C;5.00;;a\u202eb\n", `line 2, text "a\u202eb": it contains`},
		{"a lone CR", "1;alice;2024-01-01;C;5.00;;a\rb\n", `line 2, text "a\rb": it contains`},
		{"invalid UTF-8", "1;alice;2024-01-01;C;5.00;;M\xfcller\n" + row("2"), "line 2: it is not UTF-8\n3: "},
		{"invalid UTF-8 in an ignored column", "1;alice;2024-01-01;C;5.00;\xff;t\n", "line 2: it is not UTF-8"},
		{"a tab in an ignored column", "1;alice;2024-01-01;C;5.00;\t;t\n", "2: " + good},
		{"combining marks and emoji", "1;alice;2024-01-01;C;5.00;;e\u0301 👩‍👧\n", "2: " + good},
		{"a reference that is too long", "1;alice;2024-01-01;C;5.00;;" + strings.Repeat("x", 501) + "\n", "line 2, text \"xxx\n(501 bytes): it has 501 characters"},
		{"the longest line", "1;alice;2024-01-01;C;5.00;" + long[:MaxLineBytes-27] + ";\n" + row("2"), "2: " + good + "\n3: "},
		{"the longest line with CRLF", "1;alice;2024-01-01;C;5.00;" + long[:MaxLineBytes-27] + ";\r\n" + row("2"), "2: " + good + "\n3: "},
		{"one byte more", "1;alice;2024-01-01;C;5.00;" + long[:MaxLineBytes-26] + ";\n" + row("2"), "line 2: it has more than 65536 bytes\n3: "},
		{"much more", strings.Repeat(long, 5) + "\n" + row("2"), "line 2: it has more than 65536 bytes\n3: "},
		{"much more at the end", row("1") + strings.Repeat(long, 5), "2: \nline 3: it has more than 65536 bytes"},
		{"duplicates are not its business", row("1") + row("1"), "2: \n3: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// A reader that gives one byte at a time finds what depends on its buffer.
			for _, reader := range []io.Reader{
				strings.NewReader(transactionsHeader + "\n" + test.lines),
				iotest.OneByteReader(strings.NewReader("\ufeff" + transactionsHeader + "\r\n" + test.lines)),
			} {
				got := report(parse(t, transactionsJSON), reader)
				if !containsInOrder(got, test.want) || strings.Count(got, "\n") != reportedLines(test.want) {
					t.Errorf("got\n%s\nwant\n%s", got, test.want)
				}
			}
		})
	}
}

// reportedLines is how many line breaks a report has that holds these parts.
func reportedLines(want string) int {
	breaks := -1
	for part := range strings.SplitSeq(want, "\n") {
		if strings.HasPrefix(part, "line") || part != "" && part[0] >= '0' && part[0] <= '9' {
			breaks++
		}
	}
	return max(breaks, 0)
}

func TestReadStrayQuotes(t *testing.T) {
	t.Parallel()
	row := func(id string) string { return id + ";alice;2024-01-01;C;5.00;;t\n" }
	quoted := func(id string) string { return `"` + id + `";"alice";"2024-01-01";"C";"5.00";"";"t"` + "\n" }
	stray := "1;alice;2024-01-01;C;5.00;;\"t\n"
	many := strings.Repeat(row("9"), 3*MaxLineBytes/len(row("9")))
	for _, test := range []struct{ name, lines, want string }{
		{"in the middle of a field", "1;alice;2024-01-01;C;5.00;;3\" nail\n" + row("2"), "line 2: a quote must enclose\n3: "},
		{"opened, and no other quote in the file", stray + row("2") + row("3"), "line 2: a quote is opened and never closed\n3: \n4: "},
		{"opened, and every other field quoted", stray + quoted("2") + quoted("3"), "line 2: a quote is opened and never closed\n3: \n4: "},
		{"opened on the last line", row("1") + stray, "2: \nline 3: a quote is opened"},
		{"opened twice", stray + row("2") + stray + row("4"), "line 2: a quote is opened\n3: \nline 4: a quote is opened\n5: "},
		{"a line break inside a field", "1;alice;2024-01-01;C;5.00;;\"a\nb\"\n" + row("2"), "lines 2 to 3: a quoted field goes over several lines\n4: "},
		// Whoever writes the text of a payment must not be able to write a line of the file.
		{"a line hidden in a field", "1;alice;2024-01-01;C;5.00;;\"a\n" + row("666") + "b\"\n" + row("2"), "lines 2 to 4: a quoted field goes over several lines\n5: "},
		{"a line with quotes hidden in a field", "1;alice;2024-01-01;C;5.00;;\"a\n" + strings.ReplaceAll(quoted("666"), `"`, `""`) + "b\"\n" + row("2"), "lines 2 to 4: a quoted field goes over several lines\n5: "},
		{"empty lines inside a field", "1;alice;2024-01-01;C;5.00;;\"a\n\n\r\nb\"\n" + row("2"), "lines 2 to 5: a quoted field\n6: "},
		{"one field after the other", "1;alice;2024-01-01;C;5.00;\"a\nb\";\"c\nd\"\n" + row("2"), "lines 2 to 4: a quoted field\n5: "},
		{"not closed within reach", stray + many, "line 2: a quote is opened and never closed\n3: \n4: \n5: "},
		{"a line that is too long within reach", stray + strings.Repeat("x", MaxLineBytes+1) + "\n" + row("3"), "line 2: a quote is opened\nline 3: it has more than\n4: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := report(parse(t, transactionsJSON), strings.NewReader(transactionsHeader+"\n"+test.lines))
			if !containsInOrder(got, test.want) {
				t.Errorf("got\n%.1000s\nwant\n%s", got, test.want)
			}
			if strings.Contains(got, `"666"`) {
				t.Errorf("a line out of a quoted field passed for one of the file's:\n%s", got)
			}
		})
	}
}

func TestReadAccounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, lines, want string }{
		{"a line", "alice,Alice,Smith,31.12.2023,EUR\n", `2: opened alice "Alice Smith" EUR 2023-12-31T00:00:00Z`},
		{"a quoted comma", `alice,"Alice, Dr.",Smith,31.12.2023,EUR`, `2: opened alice "Alice, Dr. Smith" EUR`},
		{"no name", "alice,,,31.12.2023,EUR\n", `line 2, owner " ": it is empty`},
		{"a control character in the name", "alice,A\tB,Smith,31.12.2023,EUR\n", `line 2, owner "A\tB Smith": it contains`},
		{"no account", ",Alice,Smith,31.12.2023,EUR\n", `line 2, account "": it is empty`},
		{"a currency in small letters", "alice,Alice,Smith,31.12.2023,eur\n", `line 2, currency "eur": it is not the ISO 4217 code`},
		{"no currency", "alice,Alice,Smith,31.12.2023,\n", `line 2, currency "": it is not the ISO 4217 code`},
		{"a wrong date", "alice,Alice,Smith,2023-12-31,EUR\n", `line 2, opened "2023-12-31": it is not a date in the form DD.MM.YYYY`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := report(parse(t, transactionsJSON), strings.NewReader(accountsHeader+"\n"+test.lines))
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestReadReference(t *testing.T) {
	t.Parallel()
	mapping := parse(t, change(t, transactionsJSON, `["text"]`, `["text", "type", "account"], "blank": ["0", "n/a"], "separator": " / "`))
	for text, want := range map[string]string{"rent": "rent / C / alice", "  rent ": "rent / C / alice", "": "C / alice", " ": "C / alice", "0": "C / alice", "n/a": "C / alice", "00": "00 / C / alice"} {
		got := report(mapping, strings.NewReader(transactionsHeader+"\n1;alice;2024-01-01;C;5.00;;"+text))
		if !strings.Contains(got, fmt.Sprintf("%q", want)) {
			t.Errorf("the text %q: got %s, want %q", text, got, want)
		}
	}
	got := report(mapping, strings.NewReader(transactionsHeader+"\n1;alice;2024-01-01;C;5.00;;"+strings.Repeat("x", 495)))
	if !strings.Contains(got, "with the other columns of the reference: it has") {
		t.Errorf("a reference that is too long when joined: got %s", got)
	}
}

func TestReadCanBeLeftAndTakenUp(t *testing.T) {
	t.Parallel()
	file, err := parse(t, transactionsJSON).Open("f.csv", strings.NewReader(transactionsHeader+"\n1;a\n2;b\n3;c\n"))
	if err != nil {
		t.Fatal(err)
	}
	for want := 2; want <= 4; want++ {
		for _, err := range file.Facts() {
			var refused *LineError
			if !errors.As(err, &refused) || refused.Line != want {
				t.Errorf("got %v, want line %d", err, want)
			}
			break
		}
	}
	for fact, err := range file.Facts() {
		t.Errorf("after the last line: %v, %v", fact, err)
	}
}

func TestReadPassesTheReadersFailureOn(t *testing.T) {
	t.Parallel()
	failure := errors.New("the disk is gone")
	for name, lines := range map[string]string{
		"between lines":     "1;alice;2024-01-01;C;5.00;;\n",
		"inside a line":     "1;alice;2024-01-01;C;5.00;;\n2;alice;2024-01-01;C;5.0",
		"in a quoted field": "1;alice;2024-01-01;C;5.00;;\"a\nb",
		"in a long line":    "1;alice;2024-01-01;C;5.00;;\n" + strings.Repeat("x", 3*MaxLineBytes),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := parse(t, transactionsJSON).Open("f.csv",
				io.MultiReader(strings.NewReader(transactionsHeader+"\n"+lines), iotest.ErrReader(failure)))
			if err != nil {
				t.Fatal(err)
			}
			var errs []error
			results := 0
			for _, err := range file.Facts() {
				results++
				if err != nil {
					errs = append(errs, err)
				}
			}
			last := errs[len(errs)-1]
			if results != 2 || !errors.Is(last, failure) || !strings.HasPrefix(last.Error(), "f.csv: after line ") {
				t.Errorf("%d results, errors %v", results, errs)
			}
		})
	}
}

// longLine is a file with one line of so many bytes between two good ones, made
// while it is read.
func longLine(bytes int64) io.Reader {
	good := "1;alice;2024-01-01;C;5.00;;t\n"
	return io.MultiReader(strings.NewReader(transactionsHeader+"\n"+good), io.LimitReader(endless{}, bytes), strings.NewReader("\n"+good))
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestReadHoldsNoLongLine is not parallel: it looks at the memory of the process.
func TestReadHoldsNoLongLine(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := report(parse(t, transactionsJSON), longLine(200<<20))
	runtime.ReadMemStats(&after)
	if !containsInOrder(got, "2: \nline 3: it has more than 65536 bytes\n4: ") {
		t.Errorf("got\n%s", got)
	}
	// Everything ever allocated, not what is left: nothing is hidden by the collector.
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
		t.Errorf("a line of 200 MB took %d bytes of memory", allocated)
	}
}

// checkAccounting reads any bytes as a file and checks that every line after the
// header that is not empty is in exactly one fact or LineError, in order.
func checkAccounting(t rapid.TB, mapping *Mapping, content string) {
	t.Helper()
	file, err := mapping.Open("f.csv", strings.NewReader(content))
	if err != nil {
		var refused *HeaderError
		if !errors.As(err, &refused) {
			t.Fatalf("Open: %v", err)
		}
		return
	}
	physical := strings.Split(content, "\n")
	next := 2
	skipEmpty := func(until int) {
		for next < until && next <= len(physical) && strings.TrimSuffix(physical[next-1], "\r") == "" {
			next++
		}
	}
	for fact, err := range file.Facts() {
		first, last := 0, 0
		var refused *LineError
		switch {
		case fact != nil && err == nil:
			first, last = fact.LineNumber(), fact.LineNumber()
		case errors.As(err, &refused) && fact == nil:
			first, last = refused.Line, refused.LastLine
		default:
			t.Fatalf("got %v and %v", fact, err)
		}
		skipEmpty(first)
		if first != next || last < first {
			t.Fatalf("got lines %d to %d, want line %d next", first, last, next)
		}
		next = last + 1
	}
	skipEmpty(len(physical) + 1)
	if next != len(physical)+1 {
		t.Fatalf("line %d of %d is in no result", next, len(physical))
	}
}

func TestReadAccountsForEveryLine(t *testing.T) {
	t.Parallel()
	mapping := parse(t, transactionsJSON)
	piece := rapid.SampledFrom([]string{
		"\n", "\r\n", ";", `"`, `""`, `;"`, `";`, "a", "1;alice;2024-01-01;C;5.00;;t", "\x00", "\xff", "é", "-5", "\r", strings.Repeat("y", MaxLineBytes/2),
	})
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(piece, 0, 40).Draw(t, "pieces")
		checkAccounting(t, mapping, transactionsHeader+"\n"+strings.Join(pieces, ""))
	})
}

func FuzzRead(f *testing.F) {
	mapping, err := ParseMapping(strings.NewReader(transactionsJSON))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(transactionsHeader + "\n1;alice;2024-01-01;C;5.00;;t\n")
	f.Add("\ufeff" + transactionsHeader + "\r\n1;alice;2024-01-01;C;5.00;;\"t\r\n;\"")
	f.Add(accountsHeader + "\nalice,Alice,Smith,31.12.2023,EUR")
	f.Add(transactionsHeader + "\n\"\"\";\n\";\"\n;\"\n\n")
	f.Fuzz(func(t *testing.T, content string) {
		checkAccounting(t, mapping, content)
		checkAccounting(t, mapping, transactionsHeader+"\n"+content)
		checkAccounting(t, mapping, accountsHeader+"\n"+content)
	})
}

func FuzzParseMapping(f *testing.F) {
	f.Add(transactionsJSON, transactionsHeader)
	f.Add(numberedJSON, "1,alice,20240101,-5.00,memo\n")
	f.Fuzz(func(t *testing.T, text, content string) {
		mapping, err := ParseMapping(strings.NewReader(text))
		if err != nil {
			var refused *MappingError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a *MappingError", err)
			}
			return
		}
		report(mapping, strings.NewReader(content))
	})
}

func BenchmarkRead(b *testing.B) {
	const text = "6145;alice;2024-01-01;C;5000.00;1234.00;credit in cash\n"
	mapping, err := ParseMapping(strings.NewReader(transactionsJSON))
	if err != nil {
		b.Fatal(err)
	}
	content := transactionsHeader + "\n" + strings.Repeat(text, 10_000)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		report := 0
		file, err := mapping.Open("f.csv", strings.NewReader(content))
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range file.Facts() {
			if err != nil {
				b.Fatal(err)
			}
			report++
		}
		if report != 10_000 {
			b.Fatalf("%d facts", report)
		}
	}
}
