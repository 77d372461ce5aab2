// Command daybank is a bank on a daybook, at the command line.
//
// Every verb is one file or shares one with its sisters: it says what it takes as
// a cobra command, opens the book through [app.reading] or [app.writing], and
// gives what it found to [app.show] or a [listing], which know JSON from tables.
// What went wrong becomes a message and an exit code in one place, report.go.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/daybook-go/daybook/bench"
)

func main() {
	if done, err := bench.Child(context.Background()); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitError)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the program at once
	// A reader that goes away, as head does, is an error of Write to be quiet
	// about, and no reason to leave the database without closing it.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
