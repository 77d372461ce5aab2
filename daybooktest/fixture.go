package daybooktest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/daybook-go/daybook"
)

// The events of the suite. Their names say nothing, their number and order do.
type (
	// noted is the plain event.
	noted struct {
		Text string `json:"text"`
	}
	// marked has nothing in it: an empty object.
	marked struct{}
	// weighed holds the numbers that JSON is bad at.
	weighed struct {
		Whole    int64   `json:"whole"`
		Fraction float64 `json:"fraction"`
	}
	// grown is at its third schema version; the others say what it was.
	grown   struct{ Words []string }
	grownV2 struct{ First, Second string }
	grownV1 struct{ Both string }
	// stranger is in no registry.
	stranger struct{}
)

// panicWord makes the second upcaster panic.
const panicWord = "panic"

var registry = daybook.NewRegistry(
	daybook.Type[noted]("Noted"),
	daybook.Type[marked]("Marked"),
	daybook.Type[weighed]("Weighed"),
	daybook.Type[grown]("Grown",
		daybook.Upcast(func(old grownV1) grownV2 { return grownV2{First: old.Both, Second: old.Both} }),
		daybook.Upcast(func(old grownV2) grown {
			if old.First == panicWord {
				panic("this upcaster does not like the word")
			}
			return grown{Words: []string{old.First, old.Second}}
		})),
)

// notebooks folds the events of a notebook into the list of what they say: a state
// that shows every event left out, doubled or out of order.
var notebooks = daybook.Decider[[]string, note, any]{
	Type:    "notebook",
	Initial: func() []string { return nil },
	Decide: func(state []string, command note) ([]any, error) {
		switch {
		case command.text == "":
			return nil, nil
		case command.most > 0 && len(state) >= command.most:
			return nil, errFull
		case command.chained:
			return []any{noted{Text: command.text + afterLine + lastWriter(state)}}, nil
		}
		return []any{noted{Text: command.text}}, nil
	},
	Evolve: func(state []string, event any) []string {
		return append(slices.Clip(state), line(event))
	},
}

// page is what a notebook comes to where only its end is of interest. To assign it is to
// copy it whole: callers of one process decide on such states one after the other before
// they are recorded, and on a list of lines they do not.
type page struct {
	Lines int64
	Last  string
}

var pages = daybook.Decider[page, note, any]{
	Type:    notebooks.Type,
	Initial: func() page { return page{} },
	Decide: func(state page, command note) ([]any, error) {
		lines := make([]string, state.Lines) // of which all but the last are blank
		if state.Lines > 0 {
			lines[state.Lines-1] = state.Last
		}
		return notebooks.Decide(lines, command)
	},
	Evolve: func(state page, event any) page { return page{state.Lines + 1, line(event)} },
}

// note is the command: write text, unless there are most lines already. A chained one
// says whose line it is written below.
type note struct {
	text    string
	most    int
	chained bool
}

// afterLine stands between the writer of a chained line and that of the line before.
const afterLine = " after "

// lastWriter is who wrote the last line, where all are chained.
func lastWriter(state []string) string {
	if len(state) == 0 {
		return "nobody"
	}
	writer, _, _ := strings.Cut(state[len(state)-1], afterLine)
	return writer
}

var errFull = errors.New("the notebook is full")

// line is what an event adds to the state of its notebook.
func line(event any) string {
	switch event := event.(type) {
	case noted:
		return event.Text
	case grown:
		return "grown " + event.Words[0] + " " + event.Words[1]
	case weighed:
		return "weighed"
	default:
		return "marked"
	}
}

func (s *scene) notebooks() *daybook.Repository[[]string, note, any] {
	return daybook.NewRepository(s.book, notebooks)
}

// repositories are the notebooks of both handles.
func (s *scene) repositories() [2]*daybook.Repository[[]string, note, any] {
	return [2]*daybook.Repository[[]string, note, any]{
		daybook.NewRepository(s.books[0], notebooks),
		daybook.NewRepository(s.books[1], notebooks),
	}
}

// write executes a command through one of the two handles. It returns the end of the
// notebook after it, the notebook's number, and how many events it caused.
type write func(ctx context.Context, handle int, id daybook.AggregateID, command note) (after page, number int64, events int, err error)

// writes are write for both kinds of states.
func (s *scene) writes() []write {
	lists := s.repositories()
	ends := [2]*daybook.Repository[page, note, any]{daybook.NewRepository(s.books[0], pages), daybook.NewRepository(s.books[1], pages)}
	return []write{
		func(ctx context.Context, handle int, id daybook.AggregateID, command note) (after page, number int64, events int, err error) {
			result, err := lists[handle].Execute(ctx, id, command)
			if n := len(result.State); n > 0 {
				after = page{int64(n), result.State[n-1]}
			}
			return after, result.SequenceNumber, len(result.Events), err
		},
		func(ctx context.Context, handle int, id daybook.AggregateID, command note) (after page, number int64, events int, err error) {
			result, err := ends[handle].Execute(ctx, id, command)
			return result.State, result.SequenceNumber, len(result.Events), err
		},
	}
}
