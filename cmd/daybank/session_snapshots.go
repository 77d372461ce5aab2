package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

const (
	// flushTimeout bounds how long a command waits for snapshots that are nearly
	// written, and closeTimeout for the database then: one that is not there any more
	// costs the next command a longer load, and this one nothing.
	flushTimeout = 2 * time.Second
	closeTimeout = time.Second
	// maxComplaints bounds what is said about snapshots; the rest is counted.
	maxComplaints = 5
)

// leave waits for the snapshots under way, says what went wrong with them, and closes
// the database. Where they do not end in time it lets them be.
func (a *app) leave(ctx context.Context, s *session, driver daybook.Driver, told *complaints) error {
	flushing, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	abandoned := s.accounts.Flush(flushing) != nil
	a.complain(told)
	if !abandoned {
		return driver.Close()
	}
	// Somebody still writes, and closing waits for that. What is half done when the
	// program ends is rolled back by the database.
	closed := make(chan error, 1)
	go func() { closed <- driver.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTimeout):
		return nil
	}
}

// complaints gathers what is reported about snapshots, by whichever goroutine, until
// it is told to the user.
type complaints struct {
	mu    sync.Mutex
	errs  []error
	more  int
	ended bool // nobody listens any more
}

func (c *complaints) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended || errors.Is(err, daybook.ErrSnapshot): // the latter is the command's own error
	case len(c.errs) == maxComplaints:
		c.more++
	default:
		c.errs = append(c.errs, err)
	}
}

// complain tells the user, in plain words, what went wrong with snapshots: nothing of
// it has changed an answer.
func (a *app) complain(c *complaints) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, err := range c.errs {
		text := a.redact(strings.TrimPrefix(err.Error(), "daybook: "))
		if errors.Is(err, daybook.ErrSnapshotCorrupt) {
			a.note("%s: it was not used, and the answer is not changed by it", text)
			continue
		}
		a.note("a snapshot could not be kept, which changes no answer: %s", text)
	}
	if c.more > 0 {
		a.note("and %d more about snapshots", c.more)
	}
}

// explainSnapshot says in the user's words that a snapshot lies, and what to do.
func explainSnapshot(err error) error {
	var wrong *daybook.SnapshotError
	if !errors.As(err, &wrong) {
		return err
	}
	kept, errKept := accountOf(wrong.Kept)
	replayed, errReplayed := accountOf(wrong.Replayed)
	if errKept != nil || errReplayed != nil || replayed.Handle == "" {
		return &hintError{err, dropHint(wrong.Aggregate.ID.String())}
	}
	return &hintError{
		&subjectError{err, fmt.Sprintf("%s at sequence number %d: with the snapshot at %d the account is %s, and all events give %s",
			replayed.Handle, wrong.SequenceNumber, wrong.Snapshot, stateText(kept), stateText(replayed))},
		dropHint(replayed.Handle),
	}
}

// dropHint says what to do about snapshots that differ from the events. To be rid of
// them is the second thing: should an event have been changed, they are what shows it.
func dropHint(handle string) string {
	return fmt.Sprintf("either a program has changed what events mean, or somebody has changed an event: look (daybank verify --aggregate %[1]s); "+
		"where the events are right, daybank snapshot %[1]s --drop removes the snapshots, and daybank snapshot %[1]s makes new ones", shellQuote(handle))
}

// accountOf reads the state of a snapshot as the library does.
func accountOf(state []byte) (one bank.Account, err error) {
	err = json.Unmarshal(state, &one, json.RejectUnknownMembers(true))
	return one, err
}

func stateText(one bank.Account) string {
	status := string(one.Status)
	if status == "" {
		status = "not opened"
	}
	return fmt.Sprintf("%s (%s)", one.Money(), status)
}
