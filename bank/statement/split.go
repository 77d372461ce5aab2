package statement

import "strings"

// ending says how a line of CSV ends.
type ending int

const (
	// complete: the last field ends with the line.
	complete ending = iota
	// open: the line ends inside a quoted field.
	open
	// broken: a quote is where none can be.
	broken
)

// split appends a line's fields to fields, by the rules of encoding/csv with one
// line to a record. With inQuotes the line starts inside a quoted field. After any
// ending but complete the fields are not all there.
//
// It is not encoding/csv itself because that reads on in search of a closing quote,
// to the end of the file if need be, and holds all of it in memory.
func split(fields []string, line string, delimiter byte, inQuotes bool) ([]string, ending) {
	for {
		if !inQuotes && !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, string(delimiter))
			if strings.Contains(field, `"`) {
				return fields, broken
			}
			fields = append(fields, field)
			if !more {
				return fields, complete
			}
			line = rest
			continue
		}
		if !inQuotes {
			line = line[1:]
		}
		inQuotes = false
		field, rest, closed := unquote(line)
		if !closed {
			return fields, open
		}
		fields = append(fields, field)
		if rest == "" {
			return fields, complete
		}
		if rest[0] != delimiter {
			return fields, broken
		}
		line = rest[1:]
	}
}

// unquote reads a quoted field, its opening quote already gone, and returns what
// comes after its closing quote. A doubled quote stands for one.
func unquote(line string) (field, rest string, closed bool) {
	var doubled strings.Builder
	for {
		quote := strings.IndexByte(line, '"')
		if quote < 0 {
			return "", "", false
		}
		if !strings.HasPrefix(line[quote+1:], `"`) {
			return doubled.String() + line[:quote], line[quote+1:], true
		}
		doubled.WriteString(line[:quote+1])
		line = line[quote+2:]
	}
}
