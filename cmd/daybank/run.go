package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/daybook-go/daybook"
)

// app is one run of the program: where it reads and writes, and the flags that
// every verb has.
type app struct {
	stdin  io.Reader
	stdout *bufio.Writer // for results and nothing else; run flushes it
	stderr io.Writer     // for everything else
	getenv func(string) string

	db     string // as given by --db; target resolves it
	book   string
	format outputFormat

	snapshots daybook.Snapshots // how they are kept: as the library does where nothing is said

	pretty  bool // stdout is a terminal that wants rules and bold type
	width   int  // of the terminal that stdout is, else 0
	running bool // a verb has begun, so an error is not about how it was called
}

// run is the program: it runs the verb that args name and returns the exit code.
// It stops when ctx ends, and says then how to go on.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	a := &app{
		stdin: stdin, stdout: bufio.NewWriterSize(reader{stdout}, 64<<10), stderr: stderr, getenv: getenv,
		pretty: isTerminal(stdout) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb", width: terminalWidth(stdout),
	}
	root := newRoot(a) //nolint:contextcheck // a verb gets the context that ExecuteContext is given
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.running {
		err = &usageError{err}
	}
	flushErr := a.stdout.Flush()
	switch {
	case flushErr == nil || errors.Is(err, flushErr):
	case errors.Is(flushErr, errReaderGone) && err != nil: // what went wrong before is what counts
	default:
		err = errors.Join(err, fmt.Errorf("the result could not be written (a change to the book is not undone by that): %w", flushErr))
	}
	return a.report(ctx, err)
}

// newRoot returns the command without a verb, with all verbs below it.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "daybank",
		Short: "A bank on an append-only book of events",
		Long: `daybank is a bank on an append-only book of events, in a SQLite file or on PostgreSQL.

Nothing is ever changed or removed: every balance, of today or of any moment in
the past, is worked out from what was written down.`,
		SilenceErrors: true, // report says it, in one place
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(explainFlagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "the database: sqlite:FILE or postgres://… (default $DAYBANK_DB, else "+defaultDSN+")")
	flags.StringVar(&a.book, "book", "main", "the book in the database")
	flags.VarP(&a.format, "output", "o", "what results look like: table or json, or csv for a statement")
	// The only error is a flag that does not exist.
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "csv"}, cobra.ShellCompDirectiveNoFileComp))

	root.AddCommand(verbs(a)...)
	for _, verb := range root.Commands() {
		a.prepare(verb)
	}
	return root
}

// prepare puts what is the same for every verb around a verb and those below it.
func (a *app) prepare(verb *cobra.Command) {
	for _, below := range verb.Commands() {
		a.prepare(below)
	}
	body := verb.RunE
	if body == nil {
		return
	}
	verb.RunE = func(cmd *cobra.Command, args []string) error {
		a.running = true
		if cmd.Flags().Changed("db") && a.db == "" {
			return usage("--db names no database: %s", dsnForms)
		}
		if a.format == formatCSV && cmd.Annotations[printsCSV] == "" {
			return usage("-o csv: %s prints no CSV, only statement does: write table or json", cmd.Name())
		}
		return body(cmd, args)
	}
}

// verbs returns every verb; cobra adds completion and help. A new verb is
// registered here and nowhere else.
func verbs(a *app) []*cobra.Command {
	return []*cobra.Command{
		newOpen(a), newDeposit(a), newWithdraw(a), newTransfer(a), newClose(a),
		newBalance(a), newShow(a), newAccounts(a), newReport(a), newHistory(a), newEvents(a), newReplay(a),
		newDiff(a), newWhy(a), newStatement(a), newPlot(a), newVerify(a), newSnapshots(a), newSnapshot(a),
		newProjections(a), newRun(a), newRebuild(a), newPause(a), newResume(a), newImport(a), newMigrate(a), newDemo(a), newBench(a), newTorture(a), newVersion(a),
	}
}

// note tells the user something that is no result, on a line of stderr.
func (a *app) note(format string, args ...any) {
	// Where stderr is gone there is nobody left to be told.
	_, _ = fmt.Fprintln(a.stderr, "daybank: "+plainText(fmt.Sprintf(format, args...)))
}

// reader is whoever reads our results. That he has gone is an error of its own: a
// database can break its pipe as well.
type reader struct{ io.Writer }

var errReaderGone = errors.New("the reader of the results has gone")

func (r reader) Write(text []byte) (int, error) {
	n, err := r.Writer.Write(text)
	if errors.Is(err, syscall.EPIPE) {
		err = fmt.Errorf("%w: %w", errReaderGone, err)
	}
	return n, err
}

// terminalWidth is how many columns the terminal w has; 0 where w is none or does not say.
func terminalWidth(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
