package readmodel

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// Page is some rows, in order, and how to ask for those behind them.
type Page[T any] struct {
	Rows []T
	// Next is to be given as After, with the same order, for the next page; empty where
	// there is none. It names the place behind the last row, and not a number of rows: what
	// others write meanwhile neither repeats a row nor leaves one out, unless the row itself
	// has moved to another place of the order.
	Next string
}

// pageOf is what was found up to limit, where one more was asked for.
func pageOf[T any](found []T, limit int, place func(last T) string) Page[T] {
	if limit == 0 || len(found) <= limit {
		return Page[T]{Rows: found}
	}
	return Page[T]{Rows: found[:limit], Next: place(found[limit-1])}
}

// find returns the rows that q selects: from the first one or, where last is given, behind it.
func find[K comparable, R any](ctx context.Context, book *daybook.Book, view *daybook.View[K, R], q daybook.ViewQuery, last *daybook.ViewRow[K, R]) ([]daybook.ViewRow[K, R], error) {
	if last == nil {
		return view.Find(ctx, book, q)
	}
	return view.After(ctx, book, q, *last)
}

// conditions are those of a question, for SQL.
type conditions []daybook.Condition

// add adds one where it is given: value is not called elsewhere.
func (c *conditions) add(given bool, column string, op daybook.Op, value func() any) {
	if given {
		*c = append(*c, daybook.Condition{Column: column, Op: op, Value: value()})
	}
}

// cursor is a place in an order of rows: behind the row that has these values.
type cursor struct {
	Sort    string       `json:"s"`
	Reverse bool         `json:"r,omitzero"`
	Text    string       `json:"t,omitzero"`
	Number  int64        `json:"n,omitzero,string"`
	Key     daybook.UUID `json:"k"`
}

// String is the cursor as a token, for URLs and command lines.
func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("readmodel: a place in an order cannot be written: %v", err)) // of text, numbers and a UUID
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor reads a token that was given out for an order.
func parseCursor(token, sort string, reverse bool) (c cursor, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &c, json.RejectUnknownMembers(true))
	}
	switch {
	case err != nil:
		return c, refused("after", "%q is no place in a list: give what the page before said is next", short(token))
	case c.Sort != sort || c.Reverse != reverse:
		return c, refused("after", "it is a place in a list that is sorted by %s%s: ask for the next page with the same order", c.Sort, map[bool]string{true: ", reversed"}[c.Reverse])
	}
	return c, nil
}

// short is the beginning of a text that may be long.
func short(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func refused(field, format string, args ...any) error {
	return &daybook.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// joined names all values there are.
func joined[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = string(value)
	}
	return strings.Join(words, ", ")
}

// more is how many rows to ask for, to see whether there are any behind a page.
func more(limit int) int {
	if limit <= 0 {
		return 0
	}
	return limit + 1
}

// checkLimit refuses a limit below zero.
func checkLimit(limit int) error {
	if limit < 0 {
		return refused("limit", "%d is negative: use 0 for no bound, or more", limit)
	}
	return nil
}
