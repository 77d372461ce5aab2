package daybooktest

import (
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
