package daybook_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/daybook-go/daybook"
)

// Whoever waits for Open, which reads the whole book, is told how far it is.
func TestInlineProgress(t *testing.T) {
	t.Parallel()
	driver := newDriver(t)
	plain, _ := openTallied(t, driver)
	const events = 4500 // some chunks
	for from := 0; from < events; from += 1500 {
		entry := daybook.Entry{Aggregate: counterID(from)}
		for range 1500 {
			entry.Events = append(entry.Events, daybook.Event{Data: added{By: 1}})
		}
		if _, err := plain.Append(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	var told []int64
	progress := daybook.InlineProgress(func(projection string, position, head int64) {
		if projection != "tallies" || position > head || head < events {
			t.Errorf("%s is told to be at %d of %d", projection, position, head)
		}
		told = append(told, position)
	})
	view := newTallies()
	open := func() (*daybook.Book, *counterRepository) {
		told = nil
		return openTallied(t, driver, daybook.Inline{view}, progress)
	}
	book, _ := open()
	if len(told) < 2 || told[len(told)-1] != events || !slices.IsSorted(told) {
		t.Errorf("the view was made at the positions %v", told)
	}
	if err := book.PauseProjection(t.Context(), "tallies"); err != nil {
		t.Fatal(err)
	}
	_, repo := open()
	if len(told) > 0 {
		t.Errorf("there was nothing to do, and it was told of %v", told)
	}
	fillCounters(t, repo, 1)
	if err := book.ResumeProjection(t.Context(), view); err != nil || !slices.Equal(told, []int64{events + 1}) {
		t.Errorf("%v, it went on at the positions %v", err, told)
	}
}

// A view that runs behind, made by a declaration that Open leaves alone, is not inline: who
// declares it so is told, and does not append without it.
func TestInlineByADeclarationThatIsNotTheBooks(t *testing.T) {
	t.Parallel()
	byCommand, olderOne := newWider(), newTallies()
	byCommand.ByCommand = true
	for name, c := range map[string]struct {
		behind, inline daybook.Projector
	}{
		"left to a command": {newTallies(), byCommand},
		"an older one":      {newWider(), olderOne},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := newDriver(t)
			plain, _ := openTallied(t, driver)
			if err := plain.CatchUp(t.Context(), c.behind); err != nil {
				t.Fatal(err)
			}
			book, repo := openTallied(t, driver, daybook.Inline{c.inline})
			for range 2 {
				if _, err := repo.Execute(t.Context(), counterID(1), add{1}); !errors.Is(err, daybook.ErrProjectionChanged) {
					t.Fatalf("appended without a view that is declared inline: %v", err)
				}
			}
			if _, err := book.Rebuild(t.Context(), c.inline, daybook.RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := repo.Execute(t.Context(), counterID(1), add{1}); err != nil {
				t.Fatal(err)
			}
			list, err := book.Projections(t.Context())
			if err != nil || len(list) != 2 || list[1].Kind != daybook.KindInline || list[1].Lag != 0 {
				t.Errorf("projections are %+v, %v", list, err)
			}
		})
	}
}
