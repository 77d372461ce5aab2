package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/statement"
)

func newImport(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Record what a bank's files say has happened",
		RunE: func(_ *cobra.Command, args []string) error {
			const forms = "write daybank import csv --mapping FILE FILE…"
			if len(args) > 0 {
				return usage("%q is no kind of file this program reads: %s", shorten(args[0]), forms)
			}
			return usage("import needs the kind of file: %s", forms)
		},
	}
	cmd.AddCommand(newImportCSV(a))
	return cmd
}

// importFlags are the flags of import csv.
type importFlags struct {
	mapping string
	dryRun  bool
	strict  bool
	actor   string
}

func newImportCSV(a *app) *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "csv --mapping FILE FILE…",
		Short: "Import accounts and transactions from CSV files",
		Long: `Import accounts and transactions from CSV files, as the mapping describes them
(docs/howto/import.md). Which of the two a file has shows in its header; files of
accounts are imported first, whatever their place.

What a file says has happened: it is recorded as it is, without asking whether the
account had enough money. Every line is recorded once, however often it is
imported: the second time it is counted as a duplicate. So an import that was
stopped is finished by running it again.

A line that cannot be used is named on stderr, the others are recorded, and the
exit code is 3. With --strict nothing is recorded unless every line can be used.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("import csv needs FILE…, one file or more: run daybank import csv --help")
			case flags.mapping == "":
				return errors.New("import csv needs --mapping FILE: it says what the columns mean, see docs/howto/import.md")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.running = true // newRoot sees to it for verbs, and this is below one
			return a.importCSV(cmd.Context(), flags, args)
		},
	}
	cmd.Flags().StringVar(&flags.mapping, "mapping", "", "the `FILE` that says what the columns mean (needed)")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "record nothing, and report what would be")
	cmd.Flags().BoolVar(&flags.strict, "strict", false, "check every line first, and record nothing if one is rejected")
	cmd.Flags().StringVar(&flags.actor, "actor", "", "`WHO` does it, recorded as metadata")
	return cmd
}

func (a *app) importCSV(ctx context.Context, flags importFlags, paths []string) error {
	mapping, err := statement.ReadMapping(flags.mapping)
	if err != nil {
		return asUsage(err)
	}
	files, err := importFiles(mapping, paths)
	if err != nil {
		return asUsage(err)
	}
	job := &importJob{app: a, mapping: mapping, files: files, actor: flags.actor}
	if flags.dryRun || flags.strict {
		report, err := job.rehearse(ctx)
		if err != nil || flags.dryRun || report.Rejected > 0 {
			return report.end(a, err)
		}
	}
	var report *importReport
	err = a.writing(ctx, func(ctx context.Context, s *session) error {
		var err error
		report, err = job.pass(ctx, importing, s.book)
		return err
	})
	return report.end(a, err)
}

// asUsage makes what is wrong with a mapping, or with the mapping for a file, an
// error about the call.
func asUsage(err error) error {
	var mapping *statement.MappingError
	var header *statement.HeaderError
	if errors.As(err, &mapping) || errors.As(err, &header) {
		return &usageError{err}
	}
	return err
}

// What a pass over the files is for, in the words of its progress.
const (
	checking  = "checking"
	importing = "importing"
)

// importJob is one call of import csv.
type importJob struct {
	app     *app
	mapping *statement.Mapping
	files   []importFile
	actor   string
}

// pass reads all files and records what is new in the last of the books. What is
// in any of them counts as recorded. The report is never nil; with an error it says
// how far the pass came.
func (j *importJob) pass(ctx context.Context, doing string, books ...*daybook.Book) (*importReport, error) {
	report := newImportReport(j.files)
	bar := j.app.importProgress(doing, j.files)
	c := newCarrier(j, books)
	var err error
	for _, kind := range []statement.Kind{statement.Accounts, statement.Transactions} {
		for i, file := range j.files {
			if file.kind == kind && err == nil {
				err = c.carry(ctx, file, func(chunk []importLine, verdicts []verdict, bytesRead int64) {
					report.add(i, chunk, verdicts)
					bar.update(bytesRead, report.lines())
				})
				bar.fileDone(file.info.Size())
			}
		}
	}
	bar.end(err == nil)
	if err != nil {
		hint := fmt.Sprintf("import: stopped after %s; import the same files again, and it goes on where it stopped", plural(report.lines(), "line"))
		if doing == checking {
			hint = fmt.Sprintf("import: stopped after checking %s; nothing was recorded", plural(report.lines(), "line"))
		}
		return report, &hintError{err, hint}
	}
	return report, nil
}

// rehearse does everything an import does, on a book of its own in a temporary
// SQLite file, and leaves the real book as it is. The file is what makes lines that
// are twice in the input, and accounts that the input itself opens, known without
// holding the input in memory.
func (j *importJob) rehearse(ctx context.Context) (report *importReport, err error) {
	dir, err := os.MkdirTemp("", "daybank-import-")
	if err != nil {
		return newImportReport(j.files), err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	driver, err := target{path: filepath.Join(dir, "rehearsal.db")}.open(ctx, true)
	if err != nil {
		return newImportReport(j.files), err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	stage, err := daybook.Open(ctx, driver, j.app.book, bank.Events)
	if err != nil {
		return newImportReport(j.files), err
	}
	fresh, err := j.isFresh()
	switch {
	case err != nil:
		return newImportReport(j.files), err
	case fresh:
		report, err = j.pass(ctx, checking, stage)
	default:
		report = newImportReport(j.files)
		err = j.app.reading(ctx, func(ctx context.Context, s *session) error {
			var err error
			report, err = j.pass(ctx, checking, s.book, stage)
			return err
		})
	}
	report.Recorded = 0
	return report, err
}

// isFresh reports whether the database is a SQLite file that the import would make:
// then there is nothing in it to compare with, and a rehearsal must not make it.
func (j *importJob) isFresh() (bool, error) {
	t, err := j.app.target()
	if err != nil || t.path == "" {
		return false, err
	}
	_, err = os.Stat(t.path)
	return errors.Is(err, fs.ErrNotExist), nil
}
