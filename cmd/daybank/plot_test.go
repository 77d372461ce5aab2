package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// Every sample of the line is what the library's as-of query answers for its moment.
func TestPlotSamplesAreBalances(t *testing.T) {
	t.Parallel()
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			first := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
			must(t, db, "open", "alice", "--owner", "Alice", "--occurred-at", timeText(first))
			for i, day := range []int{3, 9, 5, 5, 1, 30} { // in no order, and two at one moment
				must(t, db, "deposit", "alice", strconv.Itoa(i+1), "--occurred-at", timeText(first.AddDate(0, 0, day)))
			}
			book := openBook(t, db)
			s := &session{book: book, accounts: daybook.NewRepository(book, bank.Accounts)}
			a := &app{book: "main", stderr: io.Discard}
			for _, p := range []*period{{}, month(t, first), {by: byRecorded}} {
				line, err := a.balanceLine(t.Context(), s, "alice", p)
				if err != nil {
					t.Fatal(err)
				}
				moments, balances := line.samples(57)
				if !moments[0].Equal(line.begin()) || !moments[56].Equal(line.end) {
					t.Errorf("the samples go from %v to %v, the line from %v to %v", moments[0], moments[56], line.begin(), line.end)
				}
				for i, at := range moments {
					point := daybook.AsOfOccurred(at)
					if p.by == byRecorded {
						point = daybook.AsOf(at)
					}
					want, err := s.accounts.LoadAt(t.Context(), bank.AccountID("alice"), point)
					if err != nil {
						t.Fatal(err)
					}
					if balances[i] != want.State.Balance {
						t.Errorf("at %v: %d, want %d", at, balances[i], want.State.Balance)
					}
				}
			}
		})
	}
}

// No line is wider than it may be, and labels are exact however large the balances.
func TestPlotKeepsToItsWidth(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]balanceLine{
		"an ordinary account": line("EUR", 0, 100_00, 50_00, 75_00),
		"the largest balance": line("EUR", 0, bank.MaxAmount-1, bank.MaxAmount),
		"a cent beside it":    line("EUR", bank.MaxAmount-1, bank.MaxAmount),
		"below zero":          line("EUR", -bank.MaxAmount, 0, -5),
		"no digits":           line("JPY", 0, 1, 0, 7),
		"one step":            line("KWD", 1_000),
		"a thousand of it":    line("EUR", 0, 1024*bank.MaxAmount, 1024*bank.MaxAmount+20),
		"a cent beside those": line("EUR", 1024*bank.MaxAmount, 1024*bank.MaxAmount+1),
		"as far as can be":    line("EUR", math.MinInt64, 0, math.MaxInt64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, width := range []int{minPlotWidth, 41, 60, defaultPlotWidth, 133, maxPlotWidth} {
				text := l.text(width)
				for line := range strings.Lines(text) {
					if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "20") {
						t.Errorf("%d wide, at most %d: %s", utf8.RuneCountInString(line), width, line)
					}
				}
				least, most := l.steps[0].balance, l.steps[0].balance
				for _, step := range l.steps {
					least, most = min(least, step.balance), max(most, step.balance)
				}
				for _, balance := range []int64{least, most} {
					label := regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(l.money(balance).Decimal()) + ` *[┤┼]`)
					if !label.MatchString(text) {
						t.Errorf("%d is on no axis:\n%s", balance, text)
					}
				}
			}
		})
	}
}

// line is a balance that changes once a day.
func line(code bank.Currency, balances ...int64) balanceLine {
	l := balanceLine{account: bank.Account{Handle: `<a&b>"c'`, Currency: code}}
	for i, balance := range balances {
		l.end = time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC)
		l.steps = append(l.steps, balanceStep{l.end, balance})
	}
	return l
}

// The pictures are ones that others can read, and what others have named does no harm
// in them.
func TestPictures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, l := range map[string]balanceLine{
		"steps": line("EUR", 0, 100_00, 50_00), "one": line("EUR", 0), "level": line("EUR", 7, 7), "below zero": line("EUR", -5, -7), "large": line("EUR", 0, bank.MaxAmount),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, ending := range []string{".svg", ".png"} {
				file := pictureFile{path: filepath.Join(dir, name+ending)}
				if err := file.draw(l); err != nil {
					t.Fatal(err)
				}
				picture, err := os.ReadFile(file.path)
				if err != nil {
					t.Fatal(err)
				}
				if ending == ".png" {
					if drawn, err := png.Decode(bytes.NewReader(picture)); err != nil || drawn.Bounds().Dx() != pictureWidth {
						t.Errorf("the PNG cannot be read: %v", err)
					}
					continue
				}
				checkSVG(t, picture, l.title())
			}
		})
	}
}

func checkSVG(t *testing.T, picture []byte, title string) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	titled := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the SVG cannot be read: %v", err)
		}
		if text, ok := token.(xml.CharData); ok && string(text) == title {
			titled = true
		}
		if element, ok := token.(xml.StartElement); ok && (element.Name.Local == "a" || element.Name.Local == "script") {
			t.Errorf("there is an element <%s>", element.Name.Local)
		}
	}
	if !titled {
		t.Errorf("the SVG has no text %s", title)
	}
}
