package main

import (
	"fmt"
	"strconv"

	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/statement"
)

// rejectionsShown is how many rejected lines are named. All of them are counted.
const rejectionsShown = 1_000

// importReport is the answer of import csv: lines, by what became of them.
type importReport struct {
	Files      []importFileReport `json:"files"`
	lineCounts `json:",inline"`
	// Recorded is how many events this call wrote: as many as lines were accepted,
	// or none, where it was to write nothing.
	Recorded int64 `json:"recorded"`
	// Rejections are the first rejectionsShown of them.
	Rejections []lineRejection `json:"rejections"`
}

// importFileReport is the part of a report about one file.
type importFileReport struct {
	File       string         `json:"file"`
	Kind       statement.Kind `json:"kind"`
	lineCounts `json:",inline"`
}

// lineCounts counts lines. Headers and empty lines are none.
type lineCounts struct {
	Accepted  int64 `json:"accepted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
}

// lineRejection says why a line was not recorded.
type lineRejection struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// LastLine differs from Line where a quoted field goes over several lines, which
	// are rejected together.
	LastLine int `json:"last_line"`
	// Column is empty where the line as a whole is at fault.
	Column string `json:"column"`
	Reason string `json:"reason"`
}

func (r lineRejection) String() string {
	text := r.File + ":" + strconv.Itoa(r.Line) + ": "
	if r.LastLine > r.Line {
		text += fmt.Sprintf("(to line %d) ", r.LastLine)
	}
	if r.Column != "" {
		text += r.Column + ": "
	}
	return text + r.Reason
}

func newImportReport(files []importFile) *importReport {
	report := &importReport{Rejections: []lineRejection{}} // [] in JSON, not null
	for _, file := range files {
		report.Files = append(report.Files, importFileReport{File: file.path, Kind: file.kind})
	}
	return report
}

// add counts the lines of a chunk of a file that is settled.
func (r *importReport) add(file int, chunk []importLine, verdicts []verdict) {
	into := &r.Files[file]
	for i, line := range chunk {
		switch verdicts[i].outcome {
		case accepted:
			into.Accepted++
			r.Accepted++
			r.Recorded++
		case duplicate:
			into.Duplicate++
			r.Duplicate++
		case rejected:
			lines := int64(line.last - line.number + 1)
			into.Rejected += lines
			r.Rejected += lines
			if len(r.Rejections) < rejectionsShown {
				r.Rejections = append(r.Rejections, lineRejection{into.File, line.number, line.last, verdicts[i].column, verdicts[i].reason})
			}
		}
	}
}

// lines is how many lines are settled.
func (c lineCounts) lines() int64 { return c.Accepted + c.Duplicate + c.Rejected }

// end names the rejected lines, shows the report, unless the import failed with err,
// and returns how the program is to end.
func (r *importReport) end(a *app, err error) error {
	if r == nil {
		return err // it has not begun
	}
	var named int64
	for _, rejection := range r.Rejections {
		named += int64(rejection.LastLine - rejection.Line + 1)
		// Where stderr is gone there is nobody left to be told.
		_, _ = fmt.Fprintln(a.stderr, plainText(rejection.String()))
	}
	if more := r.Rejected - named; more > 0 {
		a.note("and %d more rejected lines", more)
	}
	if err != nil {
		return err
	}
	total := importFileReport{File: "total", lineCounts: r.lineCounts}
	rows := make([]row, 0, len(r.Files)+1)
	for _, file := range r.Files {
		rows = append(rows, file)
	}
	columns := []column{{title: "FILE"}, {title: "KIND"}, {title: "ACCEPTED", right: true}, {title: "DUPLICATE", right: true}, {title: "REJECTED", right: true}}
	if err := a.show(r, columns, append(rows, total)...); err != nil {
		return err
	}
	if r.Accepted > 0 && r.Recorded == 0 {
		a.note("nothing was recorded")
	}
	if r.Rejected > 0 {
		return &subjectError{bank.ErrRefused, fmt.Sprintf("import: %d of %s rejected, see above", r.Rejected, plural(r.lines(), "line"))}
	}
	return nil
}

func (f importFileReport) cells() []string {
	return []string{
		f.File, string(f.Kind), strconv.FormatInt(f.Accepted, 10),
		strconv.FormatInt(f.Duplicate, 10), strconv.FormatInt(f.Rejected, 10),
	}
}
