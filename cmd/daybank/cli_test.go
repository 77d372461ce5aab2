package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Nothing that is not an amount is taken for one; nothing is appended for it, and
// its key stays free.
func TestBadAmountsAreRefused(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "deposit", "alice", "1")
			for _, amount := range []string{
				"", "0", "0.00", "-5", "-0", "NaN", "Infinity", "-Infinity", "1e3", "0x10", "1_000", "007", "+5", " 5 ", "5 ", "5,00",
				"１２", "٥", ".5", "5.", "5.0.0", "1.005", "1'000", "1 000", "EUR 5", "5 EUR", "5€", "½", "five", "\x00", "5\n", "\xff",
				"90071992547409.92", strings.Repeat("9", 19), strings.Repeat("9", 400), "0." + strings.Repeat("0", 400) + "1",
			} {
				got := cli(t, db, "deposit", "--key", "k", "--", "alice", amount)
				if got.code != exitUsage || got.stdout != "" || !strings.HasPrefix(got.stderr, "daybank: amount ") {
					t.Errorf("deposit of %.40q: exit code %d, stdout %q, stderr %q, want a refusal that names the amount", amount, got.code, got.stdout, got.stderr)
				}
				if len(got.stderr) > 400 {
					t.Errorf("deposit of %.40q: the message has %d bytes", amount, len(got.stderr))
				}
			}
			must(t, db, "deposit", "alice", "2", "--key", "k")
			if got := balanceOf(t, db, "alice"); got != "3.00 at 3" {
				t.Errorf("the account is %s, want 3.00 at 3", got)
			}
		})
	}
}

func TestTheLargestAmountIsTheLargest(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			const largest = "90071992547409.91"
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "open", "bob", "--owner", "Bob")
			must(t, db, "deposit", "alice", largest)
			must(t, db, "deposit", "bob", "1")
			for _, args := range [][]string{{"deposit", "alice", "0.01"}, {"transfer", "bob", "alice", "0.01"}} {
				got := cli(t, db, args...)
				if got.code != exitRefused || !strings.Contains(got.stderr, "alice has "+largest+" EUR, cannot take 0.01 EUR") {
					t.Errorf("%v: exit code %d, stderr %q, want a refusal with both amounts", args, got.code, got.stderr)
				}
			}
			if got := balanceOf(t, db, "alice") + ", " + balanceOf(t, db, "bob"); got != largest+" at 2, 1.00 at 2" {
				t.Errorf("the accounts are %s", got)
			}
		})
	}
}

// As of the time an event was recorded it is in, and a microsecond before it is not.
func TestAsOfIsExact(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "deposit", "alice", "1")
			must(t, db, "deposit", "alice", "2")
			events := decode[[]eventRow](t, must(t, db, "events", "-o", "json"))
			for i, want := range []string{"0.00", "1.00", "3.00"} {
				at, err := time.Parse(time.RFC3339Nano, events[i].RecordedAt)
				if err != nil {
					t.Fatal(err)
				}
				zoned := at.In(time.FixedZone("", -5*60*60)).Format(time.RFC3339Nano)
				if got := decode[accountRow](t, must(t, db, "balance", "alice", "-o", "json", "--as-of", zoned)); got.Balance != want || got.Position != int64(i+1) {
					t.Errorf("as of %s: %+v, want %s", zoned, got, want)
				}
				before := cli(t, db, "balance", "alice", "-o", "json", "--as-of", timeText(at.Add(-time.Microsecond)))
				switch {
				case i == 0 && before.code != exitNotFound:
					t.Errorf("before the opening: exit code %d, %s", before.code, before.stdout)
				case i > 0 && decode[accountRow](t, before.stdout).SequenceNumber != int64(i):
					t.Errorf("before event %d: %s", i+1, before.stdout)
				}
			}
		})
	}
}

func TestHandlesAndTextsThatAreRefused(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "alice", "--owner", "Alice")
	long := strings.Repeat("x", 10<<20)
	for name, args := range map[string][]string{
		"a handle that is empty":          {"balance", ""},
		"a handle with white space":       {"balance", "a b"},
		"a handle with an escape":         {"history", "a\x1b[31m"},
		"a handle that turns the writing": {"replay", "a\u202eb"},
		"a handle that is not UTF-8":      {"show", "a\xff"},
		"a handle that is too long":       {"open", long[:101], "--owner", "X"},
		"a UUID in braces":                {"balance", "{720aa6ab-56fc-5507-b69c-ece539740db3}"},
		"a UUID in capitals":              {"balance", "720AA6AB-56FC-5507-B69C-ECE539740DB3"},
		"a UUID without dashes":           {"balance", "720aa6ab56fc5507b69cece539740db3"},
		"a UUID of 35 characters":         {"balance", "720aa6ab-56fc-5507-b69c-ece539740db"},
		"the nil UUID":                    {"balance", "00000000-0000-0000-0000-000000000000"},
		"a receiver with white space":     {"transfer", "alice", "b b", "1"},
		"a name that is empty":            {"open", "x", "--owner", ""},
		"a name with U+0000":              {"open", "x", "--owner", "a\x00b"},
		"a name with an escape":           {"open", "x", "--owner", "\x1b[31mred"},
		"a name with a new line":          {"open", "x", "--owner", "a\nb"},
		"a name that turns the writing":   {"open", "x", "--owner", "a\u202eb"},
		"a name that is not UTF-8":        {"open", "x", "--owner", "a\xff"},
		"a name with a lone surrogate":    {"open", "x", "--owner", "a\xed\xa0\x80"},
		"a name of 10 MB":                 {"open", "x", "--owner", long},
		"a reference with an escape":      {"close", "alice", "--reference", "\x1b]0;x\x07"},
		"a reference of 10 MB":            {"deposit", "alice", "1", "--reference", long},
		"a key of 256 bytes":              {"deposit", "alice", "1", "--key", long[:256]},
		"a key that is not UTF-8":         {"deposit", "alice", "1", "--key", "\xff"},
		"an actor with U+0000":            {"deposit", "alice", "1", "--actor", "a\x00"},
		"an actor of 10 MB":               {"deposit", "alice", "1", "--actor", long},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli(t, db, args...)
			if got.code != exitUsage || got.stdout != "" || len(got.stderr) > 600 {
				t.Errorf("exit code %d, stdout %q, stderr %.600q, want a short refusal", got.code, got.stdout, got.stderr)
			}
			if strings.ContainsFunc(strings.ReplaceAll(got.stderr, "\n", ""), isUnprintable) {
				t.Errorf("stderr %q holds what a terminal would obey", got.stderr)
			}
		})
	}
	t.Run("harmless texts are kept as they are", func(t *testing.T) {
		t.Parallel()
		other := inFile(t, t.TempDir())
		for i, name := range []string{"X", "Zoë O'Neill-Łukasz", "e\u0301", "李小龍", "👩\u200d🚀", `"; drop table events; --`, `a\b`} {
			handle := fmt.Sprintf("h%d", i)
			must(t, other, "open", handle, "--owner", name)
			if got := decode[accountRow](t, must(t, other, "balance", handle, "-o", "json")); got.Owner != name {
				t.Errorf("the owner is %q, want %q", got.Owner, name)
			}
		}
	})
}

func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	const password = "s3cret%40word"
	for _, dsn := range []string{
		"postgres://joe:" + password + "@127.0.0.1:1/bank",
		"postgres://joe:" + password + "@127.0.0.1:1/bank?sslmode=nonsense",
		"postgres://joe:" + password + "@127.0.0.1:1/bank?pool_max_conns=nonsense",
		"postgres://127.0.0.1:1/bank?password=" + password,
		"postgres://joe:" + password + "@[127.0.0.1:1/bank",
		"postgres://joe:" + password + "@127.0.0.1:port/bank",
		"postgres:joe:" + password + "@127.0.0.1",
		"postgress://joe:" + password + "@127.0.0.1/bank",
		"joe:" + password + "@127.0.0.1/bank",
	} {
		for _, args := range [][]string{{"balance", "alice"}, {"migrate"}, {"open", "alice", "--owner", "A", "-o", "json"}} {
			got := cli(t, "", append(args, "--db", dsn)...)
			if got.code == exitOK || got.stdout != "" || got.stderr == "" {
				t.Errorf("%v on %s: exit code %d, stdout %q, stderr %q", args, dsn, got.code, got.stdout, got.stderr)
			}
			for _, secret := range []string{password, "s3cret@word", "s3cret"} {
				if strings.Contains(got.stderr, secret) {
					t.Errorf("%v on %s: the message shows the password: %s", args, dsn, got.stderr)
				}
			}
		}
	}
	if got := (target{url: "postgres://joe:" + password + "@h/b?password=" + password + "&sslmode=disable"}).String(); strings.Contains(got, "s3cret") {
		t.Errorf("the name of the database shows the password: %s", got)
	}
}

// balanceOf is an account in short.
func balanceOf(t testing.TB, db, handle string) string {
	t.Helper()
	r := decode[accountRow](t, must(t, db, "balance", handle, "-o", "json"))
	return fmt.Sprintf("%s at %d", r.Balance, r.SequenceNumber)
}

// decode reads one JSON value strictly, with another decoder than it was made with.
func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if decoder.More() {
		t.Fatalf("more than one value in %s", text)
	}
	return value
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                "",
		"Zoë 李 e\u0301 🎉": "Zoë 李 e\u0301 🎉",
		"\x1b[31mred":     `\u{1b}[31mred`,
		"a\u202eb\u2066":  `a\u{202e}b\u{2066}`,
		"a\nb\tc\x00":     `a\u{a}b\u{9}c\u{0}`,
		"a\xffb\u009b1m":  `a\xffb\u{9b}1m`,
		"\ufffd":          `\u{fffd}`,
	} {
		if diff := cmp.Diff(want, plainText(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	columns := func() []column { return []column{{title: "NAME"}, {title: "SUM", right: true}, {title: "NOTE"}} }
	for name, one := range map[string]struct {
		table table
		rows  [][]string
		want  string
	}{
		"a table without rows has titles": {table{block: 10}, nil, "NAME  SUM  NOTE\n"},
		"columns are aligned, by what is seen": {
			table{block: 10},
			[][]string{{"李小龍", "1.00", "x"}, {"e\u0301", "1000.00", ""}},
			"NAME        SUM  NOTE\n李小龍     1.00  x\ne\u0301       1000.00\n",
		},
		"a column gets wider from one block to the next": {
			table{block: 1},
			[][]string{{"a", "1", "x"}, {"longer", "22", "y"}, {"b", "3", "z"}},
			"NAME  SUM  NOTE\na       1  x\nlonger   22  y\nb         3  z\n",
		},
		"a terminal gets a rule below the titles": {
			table{block: 10, pretty: true},
			[][]string{{"a", "1", "x"}},
			"\x1b[1mNAME  SUM  NOTE\x1b[m\n───────────────\na       1  x\n",
		},
		"what a terminal would obey is spelled out": {
			table{block: 10},
			[][]string{{"\x1b[2J", "1", "a\nb"}},
			"NAME       SUM  NOTE\n\\u{1b}[2J    1  a\\u{a}b\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			one.table.w, one.table.columns = &out, columns()
			for _, row := range one.rows {
				if err := one.table.add(row); err != nil {
					t.Fatal(err)
				}
			}
			if err := one.table.flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(one.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
