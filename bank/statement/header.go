package statement

import (
	"fmt"
	"slices"
	"strings"
)

// maxColumnsShown is how many columns a message lists.
const maxColumnsShown = 30

// Kind is what a file's lines are.
type Kind string

// The kinds of files, by the names their descriptions have in a mapping.
const (
	Transactions Kind = "transactions"
	Accounts     Kind = "accounts"
)

// HeaderError says that a file as a whole is not one the mapping describes. None of
// its lines was read.
type HeaderError struct {
	// File is the name given to [Mapping.Open].
	File string
	// Kind is the kind of file it comes closest to.
	Kind Kind
	// Missing are columns the mapping uses and the file lacks; Unknown are columns of
	// the file that the mapping neither uses nor ignores; Repeated are columns the
	// file has more than once.
	Missing, Unknown, Repeated []string
	// Found are all columns of the file, as it names them.
	Found []string
	// Reason is what else is wrong, where the columns are not.
	Reason string
}

// Error names the file, what is wrong with its columns, and all that were found.
func (e *HeaderError) Error() string {
	if e.Reason != "" {
		return e.File + ": " + e.Reason
	}
	var faults []string
	if len(e.Missing) > 0 {
		faults = append(faults, "missing "+listColumns(e.Missing))
	}
	if len(e.Unknown) > 0 {
		faults = append(faults, "unknown "+listColumns(e.Unknown)+` (list them under "ignore" if they are not needed)`)
	}
	if len(e.Repeated) > 0 {
		faults = append(faults, "more than once "+listColumns(e.Repeated))
	}
	return fmt.Sprintf("%s: the columns are not those the mapping has under %q: %s; found %s",
		e.File, e.Kind, strings.Join(faults, "; "), listColumns(e.Found))
}

func listColumns(names []string) string {
	shown := make([]string, 0, maxColumnsShown+1)
	for i, name := range names {
		if i == maxColumnsShown {
			shown = append(shown, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		shown = append(shown, shorten(name))
	}
	return strings.Join(shown, ", ")
}

// recognise finds the format of a file by its first line, and where its columns are.
func recognise(name string, formats []format, first line) (format, map[Column]int, error) {
	if first.tooLong {
		return format{}, nil, &HeaderError{File: name, Reason: fmt.Sprintf("the first line has more than %d bytes: is it a CSV file?", MaxLineBytes)}
	}
	var fitting []format
	var columns map[Column]int
	var closest *HeaderError
	for _, f := range formats {
		found, misfit := f.columns(first)
		if misfit == nil {
			fitting, columns = append(fitting, f), found
		} else if closest == nil || misfit.matches() > closest.matches() {
			closest = misfit
		}
	}
	// A header that fits is certain. A file without one is recognised by its number
	// of columns, which a header may happen to have too.
	if len(fitting) == 2 && fitting[0].noHeader != fitting[1].noHeader {
		fitting = slices.DeleteFunc(fitting, func(f format) bool { return f.noHeader })
		columns, _ = fitting[0].columns(first)
	}
	switch len(fitting) {
	case 1:
		return fitting[0], columns, nil
	case 0:
		closest.File = name
		return format{}, nil, closest
	default:
		return format{}, nil, &HeaderError{File: name, Reason: "the mapping describes files of transactions and of accounts, and this header fits both: give each a mapping of its own"}
	}
}

// columns says where each column is in a file that starts with this line, or why
// the format does not fit.
func (f format) columns(first line) (map[Column]int, *HeaderError) {
	names, end := split(nil, first.text, f.delimiter, false)
	misfit := &HeaderError{Kind: f.kind, Found: names}
	if f.noHeader {
		places := map[Column]int{}
		for number := 1; number <= f.width(); number++ {
			places[Column{Number: number}] = number - 1
		}
		if len(names) != f.width() || end != complete {
			misfit.Reason = fmt.Sprintf("the first line has %d columns, the mapping has %d under %q", len(names), f.width(), f.kind)
			return places, misfit
		}
		return places, nil
	}
	if end != complete {
		misfit.Reason = "the quotes in the header do not match: is it a CSV file?"
		return nil, misfit
	}
	places := map[Column]int{}
	for i, name := range names {
		column := Column{Name: name}
		if _, twice := places[column]; twice {
			misfit.Repeated = append(misfit.Repeated, name)
		} else if !slices.Contains(f.used, column) && !slices.Contains(f.ignored, column) {
			misfit.Unknown = append(misfit.Unknown, name)
		}
		places[column] = i
	}
	for _, column := range f.used {
		if _, there := places[column]; !there {
			misfit.Missing = append(misfit.Missing, column.Name)
		}
	}
	if len(misfit.Missing)+len(misfit.Unknown)+len(misfit.Repeated) > 0 {
		return nil, misfit
	}
	return places, nil
}

// matches is how many of the file's columns the mapping knows.
func (e *HeaderError) matches() int {
	if e.Reason != "" {
		return 0
	}
	return len(e.Found) - len(e.Unknown) - len(e.Repeated)
}
