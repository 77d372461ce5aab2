package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// Whatever has become of the read model, accounts and report say the same as without it,
// at every point of the past.
func TestAccountsDoNotDependOnTheReadModel(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, empty(t, t.TempDir()))
			if err := j.book.PauseProjection(t.Context(), readmodel.Balances.Name); err != nil {
				t.Fatal(err)
			}
			if _, err := j.book.CopyView(t.Context(), readmodel.Balances); err != nil {
				t.Fatal(err)
			}
			appendFacts(t, openBook(t, j.db), "never-opened", daybook.Event{Data: bank.MoneyDeposited{Amount: 7}, OccurredAt: j.events[2].OccurredAt})
			must(t, j.db, "transfer", "alice", "bob", "1", "--occurred-at", timeText(j.events[0].OccurredAt))
			must(t, j.db, "deposit", "carol", "2")
			j.events = everyEvent(t, j.book)

			paused := j.answers(t)
			if err := openBook(t, j.db).ResumeProjection(t.Context(), readmodel.Balances); err != nil {
				t.Fatal(err)
			}
			kept := j.answers(t)
			if err := j.book.PauseProjection(t.Context(), readmodel.Balances.Name); err != nil {
				t.Fatal(err)
			}
			if err := j.book.DropProjection(t.Context(), readmodel.Balances); err != nil {
				t.Fatal(err)
			}
			none := j.answers(t)
			if diff := cmp.Diff(none, kept); diff != "" {
				t.Errorf("-without the read model +with it:\n%s", diff)
			}
			if diff := cmp.Diff(none, paused); diff != "" {
				t.Errorf("-without the read model +with one that is paused, and a copy:\n%s", diff)
			}
			wantReadModels(t, j.db) // reading has made none
		})
	}
}

// answers is what accounts and report print at some of the points, the present among them.
func (j journey) answers(t *testing.T) (all []string) {
	t.Helper()
	for i, at := range j.points() {
		if i%4 != 0 {
			continue
		}
		for _, verb := range []string{"accounts", "report"} {
			args := append([]string{verb, "-o", "json"}, at.flags...)
			got := cli(t, j.db, args...)
			if got.code != exitOK || got.stderr != "" {
				t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.stderr)
			}
			all = append(all, fmt.Sprint(args, "\n", got.stdout))
		}
	}
	return all
}

func everyEvent(t *testing.T, book *daybook.Book) (events []daybook.Recorded) {
	t.Helper()
	for rec, err := range book.Read(t.Context(), daybook.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, rec)
	}
	return events
}

// wantReadModels looks at which read models the main book has, each as "name generation
// state", with "paused" behind it where it is.
func wantReadModels(t *testing.T, db string, want ...string) {
	t.Helper()
	var list []daybook.ProjectionStatus
	plainly(t, db, func(book *daybook.Book) {
		var err error
		if list, err = book.Projections(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	var got []string
	for _, status := range list {
		text := fmt.Sprintf("%s %d %s", status.Projection, status.Generation, status.State)
		if status.Paused {
			text += " paused"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read models (-want +got):\n%s", diff)
	}
}

// peopled opens accounts to choose among, and closes one.
func peopled(t *testing.T, db string) {
	t.Helper()
	for i, one := range []string{"zoe Zoë EUR", "bob Bob EUR", "alice Alice EUR", "yuko Yuko JPY", "bobby Robert EUR", "carol alice EUR", "Alan Alan EUR"} {
		words := strings.Fields(one)
		must(t, db, "open", words[0], "--owner", words[1], "--currency", words[2])
		if i%3 != 2 {
			must(t, db, "deposit", words[0], fmt.Sprint(100*(i%4)+1))
		}
	}
	must(t, db, "close", "alice")
}

func TestAccountsAreChosenAndSorted(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			peopled(t, db)
			for _, one := range []struct{ flags, want string }{
				{"", "Alan alice bob bobby carol yuko zoe"},
				{"--reverse", "zoe yuko carol bobby bob alice Alan"},
				{"--search ALICE", "alice carol"},
				{"--search zoË", "zoe"},
				{"--search bob", "bob bobby"},
				{"--search nobody", ""},
				{"--currency JPY", "yuko"},
				{"--status closed", "alice"},
				{"--status open --currency EUR --search o --sort owner", "carol bob bobby zoe"},
				{"--status not-opened", ""},
				{"--sort balance --currency EUR --status open --limit 2 --reverse", "Alan bob"},
				{"--sort last-event --reverse --limit 2", "alice Alan"},
			} {
				// Without and with the table, which has the rows of the present only.
				for _, point := range []string{"", "--at-position 13"} {
					got := cli(t, db, append([]string{"accounts", "-o", "json"}, strings.Fields(one.flags+" "+point)...)...)
					var handles []string
					for _, row := range decode[[]listedAccount](t, got.stdout) {
						handles = append(handles, row.Account)
					}
					if got.code != exitOK || strings.Join(handles, " ") != one.want {
						t.Errorf("accounts %s %s: exit code %d, %v, want %s\n%s", one.flags, point, got.code, handles, one.want, got.stderr)
					}
				}
			}
		})
	}
}

// Pages are the whole, in every order, from the table and from the events.
func TestAccountsByThePage(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			peopled(t, db)
			for _, sort := range readmodel.BalanceSorts() {
				for _, more := range [][]string{nil, {"--reverse"}, {"--at-position", "13"}} {
					args := append([]string{"accounts", "-o", "json", "--sort", string(sort)}, more...)
					whole := decode[[]accountRow](t, must(t, db, args...))
					var paged []accountRow
					for page := slices.Concat(args, []string{"--limit", "2"}); ; {
						got := cli(t, db, page...)
						rows := decode[[]listedAccount](t, got.stdout)
						if got.code != exitOK || len(rows) == 0 {
							t.Fatalf("%v: exit code %d, %d rows, %s", page, got.code, len(rows), got.stderr)
						}
						next := rows[len(rows)-1].Next
						if said := strings.Contains(got.stderr, "--after "+next+" is the next page"); said != (next != "") {
							t.Errorf("%v: next %q, stderr %q", page, next, got.stderr)
						}
						for _, row := range rows {
							paged = append(paged, row.accountRow)
						}
						if next == "" {
							break
						}
						page = slices.Concat(args, []string{"--limit", "2", "--after", next})
					}
					if diff := cmp.Diff(whole, paged); diff != "" || len(whole) != 7 {
						t.Errorf("%v (-whole +by the page):\n%s", args, diff)
					}
				}
			}
		})
	}
}

func TestAccountsFlagsThatAreRefused(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "alice", "--owner", "Alice")
	must(t, db, "open", "bob", "--owner", "Bob")
	token := decode[[]listedAccount](t, must(t, db, "accounts", "--limit", "1", "-o", "json"))[0].Next
	for flags, want := range map[string]string{
		"--search=":                        "--search",
		"--sort=":                          "--sort",
		"--sort age":                       `"age" is no order of accounts: use handle, owner, balance, last-event`,
		"--status frozen":                  `--status "frozen": write open, closed or not-opened`,
		"--currency Euro":                  "Euro",
		"--limit 0":                        "--limit 0: write a number from 1 to 1000000",
		"--limit -1":                       "--limit",
		"--after=":                         "--after",
		"--after x":                        "--after",
		"--sort owner --after " + token:    "--after",
		"--reverse --after " + token:       "--after",
		"--at-position 1 --sort age":       "--sort",
		"--at-position 1 --after nonsense": "--after",
	} {
		got := cli(t, db, append([]string{"accounts"}, strings.Fields(flags)...)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("accounts %s: exit code %d, stdout %q, stderr %q, want it to say %q", flags, got.code, got.stdout, got.stderr, want)
		}
	}
}
