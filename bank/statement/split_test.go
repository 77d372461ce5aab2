package statement

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line     string
		inQuotes bool
		fields   []string
		end      ending
	}{
		{`a;b`, false, []string{"a", "b"}, complete},
		{``, false, []string{""}, complete},
		{`;`, false, []string{"", ""}, complete},
		{`"a";"b;c"`, false, []string{"a", "b;c"}, complete},
		{`"a ""b"" c";`, false, []string{`a "b" c`, ""}, complete},
		{`"";""""`, false, []string{"", `"`}, complete},
		{`a;"b`, false, []string{"a"}, open},
		{`a;"`, false, []string{"a"}, open},
		{`a;"b""`, false, []string{"a"}, open},
		{`a"b;c`, false, nil, broken},
		{`"a"b;c`, false, []string{"a"}, broken},
		{`"a" ;c`, false, []string{"a"}, broken},
		{`the end";b`, true, []string{"the end", "b"}, complete},
		{`the middle`, true, nil, open},
		{``, true, nil, open},
		{`";"next`, true, []string{""}, open},
		{`no "end"`, true, []string{"no "}, broken},
	} {
		fields, end := split(nil, test.line, ';', test.inQuotes)
		if diff := cmp.Diff(test.fields, fields); diff != "" || end != test.end {
			t.Errorf("split(%q, %v) ends %d, want %d (-want +got)\n%s", test.line, test.inQuotes, end, test.end, diff)
		}
	}
}

// checkSplit compares split with encoding/csv on one line.
func checkSplit(t rapid.TB, line string) {
	t.Helper()
	reader := csv.NewReader(strings.NewReader(line))
	reader.Comma = ';'
	want, err := reader.Read()
	fields, end := split(nil, line, ';', false)
	var refused *csv.ParseError
	switch {
	case err == nil && (end != complete || !cmp.Equal(want, fields)):
		t.Fatalf("split(%q) = %q, %d, and encoding/csv reads %q", line, fields, end, want)
	case errors.As(err, &refused) && end == complete:
		t.Fatalf("split(%q) = %q, and encoding/csv refuses it: %v", line, fields, err)
	}
}

func TestSplitAgreesWithEncodingCSV(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkSplit(t, rapid.StringOf(rapid.SampledFrom([]rune(`a";é `))).Filter(func(s string) bool { return s != "" }).Draw(t, "line"))
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(`a;"b ""c"" d";e`)
	f.Add(`a;"b`)
	f.Fuzz(func(t *testing.T, line string) {
		// Line ends and empty lines are not split's concern.
		if line == "" || strings.ContainsAny(line, "\r\n") {
			t.Skip()
		}
		checkSplit(t, line)
	})
}
