package daybook

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An order, with structs in every place that JSON has for them.
type (
	orderLine struct {
		Amount int64
		Note   string `json:",omitzero"`
	}
	order struct {
		Line    orderLine
		Pointer *orderLine
		Lines   []orderLine
		ByName  map[string]orderLine
		Days    []time.Time
		Numbers []int
	}
)

const wholeOrder = `{"Line":{"Amount":1},"Pointer":null,"Lines":[{"Amount":2,"Note":""}],"ByName":{"x":{"Amount":3}},"Days":["2026-11-24T10:00:00Z"],"Numbers":[]}`

func TestNothingIsZeroInSilenceHoweverDeep(t *testing.T) {
	t.Parallel()
	orders := NewRegistry(Type[order]("Order"))
	for name, c := range map[string]struct {
		payload string
		ok      bool
	}{
		"whole":                           {wholeOrder, true},
		"with a pointer":                  {`{"Line":{"Amount":1},"Pointer":{"Amount":4},"Lines":[],"ByName":{},"Days":[],"Numbers":[1]}`, true},
		"a member of a member missing":    {`{"Line":{},"Pointer":null,"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"a member behind a pointer":       {`{"Line":{"Amount":1},"Pointer":{},"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"a member of an element":          {`{"Line":{"Amount":1},"Pointer":null,"Lines":[{"Amount":1},{}],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"a member of a map's value":       {`{"Line":{"Amount":1},"Pointer":null,"Lines":[],"ByName":{"x":{}},"Days":[],"Numbers":[]}`, false},
		"null, as often as a real one":    {`{"Line":{"Amount":null},"Pointer":{"Amount":1},"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"null for a struct":               {`{"Line":null,"Pointer":null,"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"null for a list":                 {`{"Line":{"Amount":1},"Pointer":null,"Lines":null,"ByName":{},"Days":[],"Numbers":[]}`, false},
		"null within a list":              {`{"Line":{"Amount":1},"Pointer":null,"Lines":[],"ByName":{},"Days":[],"Numbers":[null]}`, false},
		"a member of a member misspelt":   {`{"Line":{"amount":1},"Pointer":null,"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, false},
		"a member of the order missing":   {`{"Line":{"Amount":1},"Pointer":null,"ByName":{},"Days":[],"Numbers":[]}`, false},
		"what may be left out is left so": {`{"Line":{"Amount":1,"Note":"x"},"Pointer":null,"Lines":[],"ByName":{},"Days":[],"Numbers":[]}`, true},
	} {
		value, err := orders.Decode(Recorded{EventType: "Order", SchemaVersion: 1, Payload: []byte(c.payload)})
		if c.ok != (err == nil) || (err != nil && !errors.Is(err, ErrDecode)) {
			t.Errorf("%s: %+v, %v", name, value, err)
		}
	}
}

func TestNumbersThatSomeReadersLose(t *testing.T) {
	t.Parallel()
	for number, keep := range map[string]bool{
		"0": true, "-0": true, "0.0": true, "0e5": true, "0.000e-9": true, "5e-324": true, "1e-400": false, "-1e-20000": false, "0.1e-999": false,
		"9007199254740991": true, "9007199254740992": false, "9007199254740992.0": false, "1e15": true, "1e16": false, "1e999": false,
	} {
		if err := checkIJSON([]byte(`{"n":` + number + `}`)); (err == nil) != keep {
			t.Errorf("%s: %v", number, err)
		}
	}
}

// What is passed without a look at its tokens would have passed with one.
func TestPlainPayloadsHoldNothingRefused(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?`)
	text := rapid.StringMatching(`"([a-eE0-9 .\-]|\\u0000|\\n|\\\\){0,20}"`)
	plain := 0
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfN(rapid.OneOf(number, text), 0, 4).Draw(t, "members")
		payload := []byte(`{`)
		for i, member := range members {
			if i > 0 {
				payload = append(payload, ',')
			}
			payload = fmt.Appendf(payload, `"m%d":%s`, i, member)
		}
		payload = append(payload, '}')
		if !isPlain(payload) {
			return
		}
		plain++
		if err := checkTokens("payload", payload, true); err != nil {
			t.Errorf("%s is plain, and %v", payload, err)
		}
	})
	if plain == 0 {
		t.Error("no payload was plain")
	}
	for _, payload := range []string{`{"id":"0190a4d1-7e00-7000-8000-12345678901e"}`, `{"card":"1234567890123456","paid":[12.5]}`} {
		if !isPlain([]byte(payload)) {
			t.Errorf("%s is not plain: digits in a text are no number", payload)
		}
	}
}
