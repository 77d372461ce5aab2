package bench

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// Paid is the one event of the benchmark. Its payload has about 120 bytes.
type Paid struct {
	Account  string `json:"account"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// Number tells the events of a scenario apart. What follows a book has it for
	// the time of the call, in microseconds since 1970.
	Number    int64  `json:"number"`
	Reference string `json:"reference"`
}

const (
	aggregateType = "account"
	eventType     = "Paid"
	schemaVersion = 1
)

// newRegistry is the registry of every book here, and the decoder of the baselines.
func newRegistry() *daybook.Registry {
	return daybook.NewRegistry(daybook.Type[Paid](eventType))
}

// newPaid returns an event of the usual size.
func newPaid(number int64) Paid {
	return Paid{
		Account: "account-000000017", Amount: 1250 + number%1000, Currency: "EUR", Number: number,
		Reference: fmt.Sprintf("invoice 2026-11/%016d", number),
	}
}

// metadata is what every event carries besides its payload: about 48 bytes as JSON.
var metadata = daybook.Metadata{Actor: "teller", CorrelationID: "req-000042"}

// plainMetadata is metadata as somebody writes it who knows the names beforehand.
type plainMetadata struct {
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id"`
}

// encodeByHand returns payload and metadata as JSON, by the library's own JSON
// package and without any of its checks.
func encodeByHand(event Paid) (payload, meta []byte, err error) {
	if payload, err = json.Marshal(event); err != nil {
		return nil, nil, err
	}
	meta, err = json.Marshal(plainMetadata{metadata.Actor, metadata.CorrelationID})
	return payload, meta, err
}

// account is the state of the aggregate: what replaying folds into.
type account struct {
	Events int64 `json:"events"`
	Total  int64 `json:"total"`
}

// payments decides that a payment takes place, whatever was before.
var payments = daybook.Decider[account, Paid, Paid]{
	Type:    aggregateType,
	Initial: func() account { return account{} },
	Decide:  func(_ account, payment Paid) ([]Paid, error) { return []Paid{payment}, nil },
	Evolve:  evolve,
}

func evolve(state account, event Paid) account {
	state.Events++
	state.Total += event.Amount
	return state
}

// paidOf takes what a decoder returns for an event of the benchmark's.
func paidOf(value any, err error) (Paid, error) {
	if err != nil {
		return Paid{}, err
	}
	event, ok := value.(Paid)
	if !ok {
		return Paid{}, fmt.Errorf("%T is no event of the benchmark", value)
	}
	return event, nil
}

// newAggregates returns n aggregates that nobody has written to.
func newAggregates(n int) []daybook.AggregateID {
	ids := make([]daybook.AggregateID, n)
	for i := range ids {
		ids[i] = daybook.AggregateID{Type: aggregateType, ID: daybook.NewUUID()}
	}
	return ids
}
