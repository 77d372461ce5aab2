package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// answer is how a call ended, as its caller understood it.
type answer string

const (
	// answerDone: acknowledged, with places.
	answerDone answer = "done"
	// answerRefused: a conflict. Nothing was written.
	answerRefused answer = "refused"
	// answerFailed: any other error that does not say unknown. Nothing was written
	// by this call.
	answerFailed answer = "failed"
	// answerUnknown: [daybook.ErrOutcomeUnknown].
	answerUnknown answer = "unknown"
	// answerAbsurd: an error that no caller of this suite can deserve.
	answerAbsurd answer = "absurd"
	// answerNone: none ever came.
	answerNone answer = ""
)

// line is what a journal holds: that something is about to be asked (Order set the
// first time), or what came of it.
type line struct {
	ID     daybook.UUID `json:"id"`
	Try    int          `json:"try"`
	At     int64        `json:"at"` // nanoseconds since 1970, by a clock that does not step within a process
	Order  *Order       `json:"order,omitzero"`
	Answer answer       `json:"answer,omitzero"`
	Places []Place      `json:"places,omitzero"`
	Error  string       `json:"error,omitzero"`
	Lost   *Lost        `json:"lost,omitzero"`
}

// Place is where a caller was told that an event is.
type Place struct {
	Position  int64        `json:"position"`
	Aggregate daybook.UUID `json:"aggregate"`
	Number    int64        `json:"number"`
	Event     daybook.UUID `json:"event"`
	// RecordedAt is in microseconds since 1970.
	RecordedAt int64 `json:"recorded_at"`
}

func placeOf(rec daybook.Recorded) Place {
	return Place{rec.Position, rec.Aggregate.ID, rec.SequenceNumber, rec.EventID, rec.RecordedAt.UnixMicro()}
}

// Lost is a race that was lost: which aggregate was where.
type Lost struct {
	Aggregate daybook.UUID `json:"aggregate"`
	Actual    int64        `json:"actual"`
}

// clock tells the time in nanoseconds since 1970, and goes forward only.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// journal is the diary of one writer. Every line has left the process when the
// method returns, so that a kill -9 takes nothing of it; a loss of power may.
type journal struct {
	file  *os.File
	clock clock
}

func newJournal(dir, name string) (*journal, error) {
	file, err := os.OpenFile(filepath.Join(dir, name+".journal"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // dir and name are the caller's own
	if err != nil {
		return nil, err
	}
	return &journal{file, newClock()}, nil
}

func (j *journal) write(l line) error {
	l.At = j.clock.now()
	text, err := json.Marshal(l)
	if err == nil {
		_, err = j.file.Write(append(text, '\n'))
	}
	return err
}

// answered makes the line that says how a call ended.
func answered(id daybook.UUID, try int, records []daybook.Recorded, err error) line {
	l := line{ID: id, Try: try}
	var conflict *daybook.ConflictError
	switch {
	case err == nil:
		l.Answer = answerDone
		for _, rec := range records {
			l.Places = append(l.Places, placeOf(rec))
		}
		return l
	case errors.Is(err, daybook.ErrOutcomeUnknown):
		l.Answer = answerUnknown
	case errors.As(err, &conflict):
		l.Answer, l.Lost = answerRefused, &Lost{conflict.Aggregate.ID, conflict.Actual}
	case errors.Is(err, daybook.ErrKeyReused), errors.Is(err, daybook.ErrInvalid), errors.Is(err, daybook.ErrTooLarge), errors.Is(err, daybook.ErrDecode):
		l.Answer = answerAbsurd
	default:
		l.Answer = answerFailed
	}
	l.Error = err.Error()
	return l
}

// History is what all callers of a book asked, and what they were told.
type History struct {
	orders map[daybook.UUID]*told
}

// told is an order and what became of every call that asked for it.
type told struct {
	order Order
	calls []call
}

// call is one time that an order was asked for.
type call struct {
	try             int
	asked, answered int64
	answer          answer
	places          []Place
	message         string
	lost            *Lost
}

// ReadHistory reads all journals of a directory. Writers may have been killed at
// any point: a last line that is not whole is left out.
func ReadHistory(dir string) (*History, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		return nil, err
	}
	h := &History{orders: map[daybook.UUID]*told{}}
	for _, name := range names {
		if err := h.readFile(name); err != nil {
			return nil, fmt.Errorf("journal %s: %w", name, err)
		}
	}
	return h, nil
}

func (h *History) readFile(name string) error {
	file, err := os.Open(name) //nolint:gosec // one of our journals
	if err != nil {
		return err
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	for {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what is left was cut off
		}
		if err != nil {
			return err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		if err := h.add(l); err != nil {
			return err
		}
	}
}

func (h *History) add(l line) error {
	about := h.orders[l.ID]
	if about == nil {
		if l.Order == nil {
			return fmt.Errorf("nobody asked for order %s", l.ID)
		}
		about = &told{order: *l.Order}
		h.orders[l.ID] = about
	}
	if l.Answer == answerNone {
		about.calls = append(about.calls, call{try: l.Try, asked: l.At})
		return nil
	}
	for i := range about.calls {
		if c := &about.calls[i]; c.try == l.Try {
			c.answered, c.answer, c.places, c.message, c.lost = l.At, l.Answer, l.Places, l.Error, l.Lost
			return nil
		}
	}
	return fmt.Errorf("try %d of order %s was answered and not asked", l.Try, l.ID)
}

// done returns the first call that was acknowledged, nil where none was.
func (t *told) done() *call {
	var first *call
	for i := range t.calls {
		if c := &t.calls[i]; c.answer == answerDone && (first == nil || c.answered < first.answered) {
			first = c
		}
	}
	return first
}

// open reports whether it is not known what became of the order: a call was not
// answered, or with unknown, and none after it was acknowledged or refused.
func (t *told) open() bool {
	if t.done() != nil {
		return false
	}
	open := false
	for _, c := range t.calls {
		switch c.answer {
		case answerNone, answerUnknown:
			open = true
		case answerRefused: // ids are looked at first, so they were not there
			open = false
		case answerDone, answerFailed, answerAbsurd:
		}
	}
	return open
}

// begun is when the call was made that wrote the order, at the earliest: calls that
// say that they wrote nothing are believed.
func (t *told) begun() int64 {
	begun := int64(0)
	for _, c := range t.calls {
		if c.answer == answerRefused || c.answer == answerFailed {
			continue
		}
		if begun == 0 || c.asked < begun {
			begun = c.asked
		}
	}
	return begun
}
