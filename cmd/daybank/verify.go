package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// differsError is errDiffers with what was found.
type differsError struct {
	subject  string
	findings int64
}

func (e *differsError) Error() string {
	return fmt.Sprintf("%s is not what it must be: %s", e.subject, plural(e.findings, "finding"))
}

func (e *differsError) Unwrap() error { return errDiffers }

// verified is the answer of verify.
type verified struct {
	Book string `json:"book"`
	// Position is up to where, RecordedAt when the event there was recorded (null in
	// an empty book), Head the book's last position at the time.
	Position   int64   `json:"position"`
	RecordedAt *string `json:"recorded_at"`
	Head       int64   `json:"head"`
	Events     int64   `json:"events"`
	Aggregates int64   `json:"aggregates"`
	Passes     int     `json:"passes"`
	// Proved says that there are no findings, of which there are FindingsTotal.
	Proved        bool         `json:"proved"`
	Checks        []checkRow   `json:"checks"`
	FindingsTotal int64        `json:"findings_total"`
	Findings      []findingRow `json:"findings"`

	ofBook int64    // findings that are not in a read model
	models []string // the read models that differ
}

// checkRow is what became of one check.
type checkRow struct {
	Check    string `json:"check"`
	Verdict  string `json:"verdict"`
	Looked   int64  `json:"looked"`
	What     string `json:"what"`
	Ignored  int64  `json:"ignored,omitzero"`
	Findings int64  `json:"findings"`
	Skipped  string `json:"skipped,omitzero"`
}

// The verdicts.
const (
	verdictProved  = "proved"
	verdictDiffers = "differs"
	verdictSkipped = "not looked at"
)

func checkColumns() []column {
	return []column{{title: "CHECK"}, {title: "VERDICT"}, {title: "FINDINGS", right: true}, {title: "LOOKED AT"}}
}

func (r checkRow) cells() []string {
	looked := r.Skipped
	if looked == "" {
		looked = plural(r.Looked, r.What)
	}
	if r.Ignored > 0 {
		looked += fmt.Sprintf(", %d ignored", r.Ignored)
	}
	return []string{r.Check, r.Verdict, strconv.FormatInt(r.Findings, 10), looked}
}

func checkRowOf(c daybook.CheckResult) checkRow {
	r := checkRow{Check: c.Check, Verdict: verdictProved, Looked: c.Looked, What: c.What, Ignored: c.Ignored, Findings: c.Findings, Skipped: c.Skipped}
	switch {
	case c.Findings > 0:
		r.Verdict = verdictDiffers
	case c.Skipped != "":
		r.Verdict = verdictSkipped
	}
	return r
}

// findingRow is one thing that does not hold, and where.
type findingRow struct {
	Check          string `json:"check"`
	Position       int64  `json:"position,omitzero"`
	AggregateID    string `json:"aggregate_id,omitzero"`
	SequenceNumber int64  `json:"sequence_number,omitzero"`
	Table          string `json:"table,omitzero"`
	Row            string `json:"row,omitzero"`
	Field          string `json:"field,omitzero"`
	Problem        string `json:"problem"`
	Found          string `json:"found,omitzero"`
	Expected       string `json:"expected,omitzero"`
	place          string
}

func findingColumns() []column {
	return []column{{title: "CHECK"}, {title: "PLACE"}, {title: "PROBLEM"}, {title: "FOUND"}, {title: "EXPECTED"}}
}

func (r findingRow) cells() []string {
	return []string{r.Check, r.place, r.Problem, r.Found, r.Expected}
}

func findingRowOf(f daybook.Finding) findingRow {
	r := findingRow{
		Check: f.Check, Position: f.Position, SequenceNumber: f.SequenceNumber, Table: f.Table, Row: f.Row, Field: f.Field,
		Problem: validText(f.Problem), Found: validText(f.Found), Expected: validText(f.Expected), place: f.Place(),
	}
	if !f.Aggregate.IsZero() {
		r.AggregateID = f.Aggregate.ID.String()
	}
	return r
}

// validText is text as JSON can hold it: what was forged may be anything.
func validText(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// ofReadModel is what the check of a read model is called here: the bank has a check
// called transfers as well.
func ofReadModel(name string) string { return "read model " + name }

// verifiedOf is the answer, where the last checks are those of read models, in that number.
func verifiedOf(v *daybook.Verification, readModels int) verified {
	r := verified{
		Book: v.Book, Position: v.Position, Head: v.Head, Events: v.Events, Aggregates: v.Aggregates, Passes: v.Passes,
		Proved: v.Proved(), Checks: []checkRow{}, Findings: []findingRow{},
	}
	if !v.RecordedAt.IsZero() {
		r.RecordedAt = new(timeText(v.RecordedAt))
	}
	for i, c := range v.Checks {
		r.FindingsTotal += c.Findings
		if i >= len(v.Checks)-readModels {
			if c.Findings > 0 {
				r.models = append(r.models, c.Check)
			}
			c.Check = ofReadModel(c.Check)
		} else {
			r.ofBook += c.Findings
		}
		r.Checks = append(r.Checks, checkRowOf(c))
	}
	for _, f := range v.Findings {
		if f.Table != "" {
			f.Check = ofReadModel(f.Check)
		}
		r.Findings = append(r.Findings, findingRowOf(f))
	}
	return r
}

// verifyFlags say what is to be verified.
type verifyFlags struct {
	handle string
	until  momentFlag
	sample number
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the book is what it must be, or show where it is not",
		Long: `Prove that the book is what it must be, or show where it is not. The whole book is
read once, in order, up to one position, while others go on writing: positions
and sequence numbers without holes, times that never decrease, events that can be
read, the rules of the bank, both halves of every transfer, the sums of every
currency, and every row of the read models that the book has.

The exit code is 0 where all of it is proved, 6 where something differs, and 1 where
the book could not be looked at.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.verify(ctx, s, o, f.handle)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.handle, "aggregate", "", "only the account `HANDLE`: nothing else is read")
	flags.Var(&f.until, "until", "only up to `POINT`: a position of the book, or a time of recording (RFC 3339 with a zone)")
	flags.Var(&f.sample, "sample", "check one account in `N`, always the same ones, and the book as a whole")
	oneOf(cmd, "aggregate", "sample")
	return cmd
}

func (f *verifyFlags) options() (o daybook.VerifyOptions, err error) {
	o = daybook.VerifyOptions{Checks: bank.Checks(), Until: f.until.point()}
	if f.sample.given {
		const most = 1_000_000
		if f.sample.value < 1 || f.sample.value > most {
			return o, usage("--sample %d: write a number from 1 (every account) to %d", f.sample.value, most)
		}
		o.Sample = int(f.sample.value)
	}
	if f.handle != "" {
		if err := bank.CheckHandle(f.handle); err != nil {
			return o, err
		}
		o.Aggregate = bank.AccountID(f.handle)
	}
	return o, nil
}

// verify proves the book, and shows what was looked at and what was found.
func (a *app) verify(ctx context.Context, s *session, o daybook.VerifyOptions, handle string) error {
	models, err := s.readModelChecks(ctx)
	if err != nil {
		return err
	}
	o.Checks = append(o.Checks, models...)
	progress := a.progressBar("verifying", decor.CountersNoUnit("%d / %d events "))
	o.Progress = progress.update
	v, err := daybook.Verify(ctx, s.book, o)
	progress.end(err == nil)
	if err != nil {
		return err
	}
	if handle != "" && v.Events == 0 {
		if o.Until != (daybook.Point{}) {
			return &subjectError{&bank.NotOpenedError{Account: handle}, fmt.Sprintf("%s was not opened yet %s", handle, o.Until)}
		}
		return notOpened(handle, a.book, pointFlags{})
	}
	r := verifiedOf(v, len(models))
	rows := make([]row, len(r.Checks))
	for i, c := range r.Checks {
		rows[i] = c
	}
	if err := a.show(r, checkColumns(), rows...); err != nil {
		return err
	}
	subject := fmt.Sprintf("book %s up to position %d", r.Book, r.Position)
	if handle != "" {
		subject = handle + " in " + subject
	}
	if r.Proved {
		a.note("%s is proved: %s in %s", subject, plural(r.Events, "event"), plural(r.Aggregates, "account"))
		return nil
	}
	if err := a.showFindings(r); err != nil {
		return err
	}
	return &hintError{&differsError{subject, r.FindingsTotal}, r.hint()}
}

// readModelChecks compare the read models with the events, but for those that another
// daybank has made: what it makes of events is not for this one to prove.
func (s *session) readModelChecks(ctx context.Context) ([]daybook.Check, error) {
	checks, err := readmodel.Checks(ctx, s.book)
	if err != nil {
		return nil, err
	}
	list, err := s.book.Projections(ctx)
	if err != nil {
		return nil, err
	}
	for i, check := range checks {
		name := check.Name()
		live, found := liveAmong(list, name)
		if own := readmodel.Version(name); found && live.Version != own {
			checks[i] = daybook.SkippedCheck(name, fmt.Sprintf("it was made by another daybank: it is of version %d, and this one has version %d", live.Version, own))
		}
	}
	return checks, nil
}

// hint says what to do about what differs. A read model may be the only thing that still
// knows what an event was, so that to make it anew is not the first thing to do.
func (r verified) hint() string {
	if r.ofBook > 0 {
		return "something has changed what was recorded, past the program: keep the database as it is, look at the places (daybank events --after P, daybank history ACCOUNT), and compare with a backup"
	}
	return "something has changed a read model, or an event after it was in there, past the program: look at the accounts (daybank history ACCOUNT), and compare with a backup; " +
		"where the events are right, daybank rebuild " + strings.Join(r.models, " ") + " makes it anew from them"
}

// showFindings lists, below a table of checks, what was found. In JSON it is there
// already.
func (a *app) showFindings(r verified) error {
	if a.format == formatJSON {
		return nil
	}
	if err := a.stdout.WriteByte('\n'); err != nil {
		return err
	}
	l := a.listing(findingColumns(), false)
	for _, f := range r.Findings {
		if err := l.add(f); err != nil {
			return err
		}
	}
	if err := l.close(); err != nil {
		return err
	}
	if shown := int64(len(r.Findings)); shown < r.FindingsTotal {
		a.note("%d of %d findings are shown", shown, r.FindingsTotal)
	}
	return nil
}

// momentFlag is a flag's value that is a moment of the whole book: a position or a
// time of recording.
type momentFlag struct {
	position number
	recorded instant
}

func (m *momentFlag) Type() string { return "point" }

func (m *momentFlag) String() string {
	if m.position.given {
		return m.position.String()
	}
	return m.recorded.String()
}

// Set reads what the user gave; the error says what to write instead.
func (m *momentFlag) Set(text string) error {
	*m = momentFlag{}
	switch {
	case text != "" && strings.Trim(text, "0123456789") == "":
		return m.position.Set(text)
	case !strings.HasPrefix(strings.TrimLeft(text, "0123456789"), "-"):
		return errors.New("write a position, such as 17, or the time as RFC 3339 has it, as in " + instantExample)
	}
	return m.recorded.Set(text)
}

func (m *momentFlag) point() daybook.Point {
	switch {
	case m.position.given:
		return daybook.AtPosition(m.position.value)
	case m.recorded.given:
		return daybook.AsOf(m.recorded.value)
	}
	return daybook.Point{}
}
