package bench

import (
	"fmt"
	"iter"

	"github.com/daybook-go/daybook"
)

// place is where a row stands, as it is read back.
type place struct {
	position  int64
	aggregate daybook.UUID
	sequence  int64
}

// written says how many events of each aggregate were acknowledged.
type written map[daybook.UUID]int64

// add counts the acknowledged events of another writer.
func (w written) add(other written) {
	for id, n := range other {
		w[id] += n
	}
}

func (w written) total() (n int64) {
	for _, events := range w {
		n += events
	}
	return n
}

// audit reads all rows, in order of position, and returns an error unless they are
// exactly what was acknowledged: every aggregate counts 1, 2, 3 … up to what was
// written to it, and there is no other. Where dense is set, so do the positions.
func audit(rows iter.Seq2[place, error], acknowledged written, dense bool) error {
	seen := written{}
	var last int64
	for row, err := range rows {
		if err != nil {
			return fmt.Errorf("reading back: %w", err)
		}
		if row.position <= last || (dense && row.position != last+1) {
			return fmt.Errorf("position %d comes after position %d", row.position, last)
		}
		last = row.position
		if want := seen[row.aggregate] + 1; row.sequence != want {
			return fmt.Errorf("position %d: aggregate %s has sequence number %d, want %d", row.position, row.aggregate, row.sequence, want)
		}
		seen[row.aggregate] = row.sequence
	}
	for id, n := range seen {
		if n != acknowledged[id] {
			return fmt.Errorf("aggregate %s has %d events, %d were acknowledged", id, n, acknowledged[id])
		}
	}
	for id, n := range acknowledged {
		if seen[id] != n {
			return fmt.Errorf("aggregate %s has %d events, %d were acknowledged", id, seen[id], n)
		}
	}
	return nil
}

// auditOnce returns an error unless the numbers read back are those of the
// acknowledged commands, each of them once.
func auditOnce(numbers iter.Seq2[int64, error], acknowledged []int64) error {
	times := make(map[int64]int, len(acknowledged))
	for number, err := range numbers {
		if err != nil {
			return fmt.Errorf("reading back: %w", err)
		}
		times[number]++
	}
	for _, number := range acknowledged {
		if times[number] != 1 {
			return fmt.Errorf("command %d was acknowledged once and took effect %d times", number, times[number])
		}
		delete(times, number)
	}
	for number, n := range times {
		return fmt.Errorf("command %d took effect %d times and was never acknowledged", number, n)
	}
	return nil
}
