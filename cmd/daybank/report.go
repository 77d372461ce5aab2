package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// The exit codes. Scripts rely on them: see docs/reference/cli.md.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitRefused     = 3
	exitConflict    = 4
	exitNotFound    = 5
	exitDiffers     = 6
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exitCodes says which error ends with which code. The first that matches counts;
// an error that none matches is exitError.
var exitCodes = []struct {
	is   error
	code int
}{
	{errUsage, exitUsage},
	{errDiffers, exitDiffers},
	{daybook.ErrOutcomeUnknown, exitError},
	{daybook.ErrConflict, exitConflict},
	{daybook.ErrKeyReused, exitConflict},
	{daybook.ErrProjectionBusy, exitConflict},
	{daybook.ErrNotThere, exitNotFound},
	{bank.ErrNotOpened, exitNotFound}, // before the rules, of which it is one
	{bank.ErrRefused, exitRefused},
	{bank.ErrAmount, exitUsage},
	{bank.ErrCurrency, exitUsage},
	{bank.ErrHandle, exitUsage},
	{bank.ErrText, exitUsage},
	{daybook.ErrInvalid, exitUsage},
	{daybook.ErrTooLarge, exitUsage},
}

func exitCode(err error) int {
	for _, entry := range exitCodes {
		if errors.Is(err, entry.is) {
			return entry.code
		}
	}
	return exitError
}

// report says on stderr what went wrong, and what to do where that is known, and
// returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReaderGone):
		return exitOK // whoever reads our output has seen enough
	}
	message, code := a.redact(inFlags(err)), exitCode(err)
	if ctx.Err() != nil && code == exitError {
		message, code = "interrupted; everything acknowledged before stays recorded", exitInterrupted
		if errors.Is(err, daybook.ErrOutcomeUnknown) {
			message = a.redact("interrupted: " + err.Error())
		}
	}
	message = strings.ReplaceAll(message, "\n\t", " ") // one error of a server with several addresses
	for line := range strings.SplitSeq(message, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			a.note("%s", line)
		}
	}
	var hint *hintError
	if errors.As(err, &hint) {
		a.note("%s", a.redact(hint.hint))
	}
	return code
}

// flagOf says which flag a field of the library's was given by.
var flagOf = map[string]string{
	"after": "--after", "sort": "--sort", "position": "--position", "reason": "--reason",
	"book": "--book", "key": "--key", "stamp.occurred_at": "--occurred-at", "point": "--as-of",
	"metadata.actor": "--actor", "metadata.correlation_id": "--correlation-id", "metadata.causation_id": "--causation-id",
}

// inFlags is an error's message, with the flag in it where the library names its
// own field, and without the package that says so.
func inFlags(err error) string {
	var refused *daybook.InvalidError
	if errors.As(err, &refused) && flagOf[refused.Field] != "" {
		return flagOf[refused.Field] + ": " + refused.Reason
	}
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "daybook: "), "bank: ")
}

// errUsage: the program was called in a way it does not understand.
var errUsage = errors.New("usage")

// errDiffers: the book was looked at, and is not what it must be: answers that must be
// one are not.
var errDiffers = errors.New("differs")

// usageError is errUsage around what is wrong with the call.
type usageError struct{ err error }

func (e *usageError) Error() string   { return e.err.Error() }
func (e *usageError) Unwrap() []error { return []error{errUsage, e.err} }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hintError is an error and, on a line of its own, what to do about it.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// subjectError says what an error of the library is about in the words the user
// used: handles, where the library knows UUIDs.
type subjectError struct {
	err     error
	message string
}

func (e *subjectError) Error() string { return e.message }
func (e *subjectError) Unwrap() error { return e.err }

// named puts the handles into an error about their accounts.
func named(err error, handles ...string) error {
	var conflict *daybook.ConflictError
	var notThere *daybook.NotThereError
	for _, handle := range handles {
		id := bank.AccountID(handle)
		switch {
		case errors.As(err, &conflict) && conflict.Aggregate == id:
			return &hintError{
				&subjectError{err, fmt.Sprintf("conflict: %s is at sequence number %d, expected %s; nothing was written", handle, conflict.Actual, conflict.Expected)},
				"look again (daybank show " + handle + ") and decide again",
			}
		case errors.As(err, &notThere) && notThere.Subject == id.String():
			return &subjectError{err, fmt.Sprintf("%s ends at %s %d, there is no %d", handle, notThere.What, notThere.Last, notThere.Asked)}
		}
	}
	return err
}
