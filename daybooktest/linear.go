package daybooktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/daybook-go/daybook"
)

// attempt is what a client of a linearizable history asks: an append of one event,
// or, where reading, the present sequence number.
type attempt struct {
	aggregate int
	reading   bool
	expected  daybook.Expected
}

// reply is what it got: the number the event was given or that was read, or the
// true number of a conflict.
type reply struct {
	refused bool
	number  int64
}

// linearizabilityTimeout bounds the search for an order that explains a history.
const linearizabilityTimeout = 60 * time.Second

// aggregateModel is the promise: every aggregate is one number, every append either
// counts it up or is told what it is.
var aggregateModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[int][]porcupine.Operation{}
		for _, op := range history {
			aggregate := op.Input.(attempt).aggregate
			parts[aggregate] = append(parts[aggregate], op)
		}
		var out [][]porcupine.Operation
		for _, part := range parts {
			out = append(out, part)
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		at, in, out := state.(int64), input.(attempt), output.(reply)
		switch {
		case in.reading:
			return out.number == at, at
		case out.refused:
			return !in.expected.Holds(at) && out.number == at, at
		default:
			return in.expected.Holds(at) && out.number == at+1, at + 1
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

func linearizable(s *scene) {
	const clients, aggregates = 8, 2
	ids := make([]daybook.AggregateID, aggregates)
	for i := range ids {
		ids[i] = newAggregate()
	}
	repositories := s.repositories()
	var clock atomic.Int64 // any clock that ticks between a return and a later call will do
	var mu sync.Mutex
	var history []porcupine.Operation
	each := times(24)
	atOnce(clients, func(client int) {
		random := rand.New(rand.NewPCG(uint64(client), 1)) //nolint:gosec // which attempts are made is no secret
		guess := make([]int64, aggregates)
		for range each {
			in := attempt{aggregate: random.IntN(aggregates), reading: random.IntN(5) == 0}
			in.expected = []daybook.Expected{
				daybook.NoEvents(), daybook.Exists(), daybook.Any(),
				daybook.Exactly(guess[in.aggregate]), daybook.Exactly(guess[in.aggregate]), daybook.Exactly(guess[in.aggregate]),
			}[random.IntN(6)]
			called := clock.Add(1)
			out, err := s.attempt(repositories[client%2], s.books[client%2], ids[in.aggregate], in)
			returned := clock.Add(1)
			if err != nil {
				s.Errorf("%+v: %v", in, err)
				return
			}
			guess[in.aggregate] = out.number
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: called, Return: returned})
			mu.Unlock()
		}
	})
	if s.Failed() {
		return
	}
	if result := porcupine.CheckOperationsTimeout(aggregateModel, history, linearizabilityTimeout); result != porcupine.Ok {
		s.Errorf("no order of the %d operations explains their answers (%s):\n%s", len(history), result, told(history))
	}
}

// attempt makes one attempt.
func (s *scene) attempt(repository *daybook.Repository[[]string, note, any], book *daybook.Book, id daybook.AggregateID, in attempt) (reply, error) {
	if in.reading {
		loaded, err := repository.Load(s.Context(), id)
		return reply{number: loaded.SequenceNumber}, err
	}
	records, err := book.Append(s.Context(), entry(id, in.expected, "x"))
	var conflict *daybook.ConflictError
	switch {
	case errors.As(err, &conflict):
		return reply{refused: true, number: conflict.Actual}, nil
	case err != nil:
		return reply{}, err
	}
	return reply{number: records[0].SequenceNumber}, nil
}

// told lists a history, one operation a line.
func told(history []porcupine.Operation) string {
	var text []byte
	for _, op := range history {
		text = fmt.Appendf(text, "client %d, %d to %d: %s\n", op.ClientId, op.Call, op.Return, aggregateModel.DescribeOperation(op.Input, op.Output))
	}
	return string(text)
}
