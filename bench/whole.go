package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
)

// prepareBook fills a book and sets up its readers, each in a new process every
// time: what a process needs at most can be seen only at its end.
func prepareBook(ctx context.Context, s *stage) ([]contender, error) {
	book, err := s.book(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := fill(ctx, book, s.BookEvents, thousand); err != nil {
		return nil, err
	}
	var all []contender
	for _, name := range []string{nameDaybook, nameRaw, nameRaw + "-bytes"} {
		all = append(all, s.inProcess(name, doRead, s.BookEvents))
	}
	return all, nil
}

// readBook reads the whole book and checks its order.
func readBook(ctx context.Context, asked request) (s sample, err error) {
	var last int64
	next := func(position int64) error {
		if position != last+1 {
			return fmt.Errorf("position %d comes after position %d", position, last)
		}
		last = position
		return nil
	}
	read := readByHand
	if asked.Contender == nameDaybook {
		read = readByLibrary
	}
	used := processCPU()
	took, err := read(ctx, asked, next)
	s = sample{Events: last, Elapsed: took, Client: processCPU() - used, Latency: newLatencies(), PeakRSS: peakRSS()}
	s.Latency.add(took)
	return s, err
}

func readByLibrary(ctx context.Context, asked request, next func(int64) error) (took time.Duration, err error) {
	book, closeBook, err := openBook(ctx, asked.Target)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeBook()) }()
	start := time.Now()
	for rec, err := range book.Read(ctx, daybook.Query{}) {
		if err == nil {
			err = next(rec.Position)
		}
		if err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// readByHand reads the book in one query. The contender raw has of each row what the
// library gives: a payload to keep, and the metadata decoded. The other one only
// lets the bytes pass.
func readByHand(ctx context.Context, asked request, next func(int64) error) (took time.Duration, err error) {
	conn, err := openReader(ctx, asked.Target.DSN)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	id, err := bookID(ctx, conn, asked.Target.Book)
	if err != nil {
		return 0, err
	}
	var kept daybook.Recorded // so that the compiler cannot leave anything out
	keep := func(raw [][]byte) (err error) {
		if kept, err = decodeRow(raw); err != nil {
			return err
		}
		kept.Payload = slices.Clone(kept.Payload)
		return next(kept.Position)
	}
	if asked.Contender != nameRaw {
		keep = func(raw [][]byte) error { return next(integer(raw[0])) }
	}
	start := time.Now()
	err = eachRow(ctx, conn, keep, `SELECT `+eventColumns+` FROM daybook.events WHERE book_id = $1 ORDER BY position`, id)
	return time.Since(start), err
}
