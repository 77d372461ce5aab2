// Package statement reads a bank's CSV files: what the bank says happened, line by
// line, as facts.
//
// Every bank writes its files differently, so a [Mapping] says once how: which
// column is the account, how dates look, how credit and debit are told apart. It is
// a small JSON file, examples/berka/mapping.json is one. With it, any number of
// files can be read:
//
//	mapping, err := statement.ReadMapping("berka/mapping.json")
//	file, err := mapping.Open("transactions.csv", reader)
//	for fact, err := range file.Facts() {
//		var bad *statement.LineError
//		if errors.As(err, &bad) {
//			continue // this line cannot be used; the others can
//		}
//		...
//	}
//
// A [Fact] is an [Account] that was opened or a [Transaction] that was made. It has
// happened: nothing here asks whether the account had enough money.
//
// A file is read as a stream, in memory that does not grow with the file or with
// its longest line. A line that cannot be understood is a [LineError] and never
// stops the others; a file whose columns are not those of the mapping is a
// [HeaderError] and is not read at all, because its lines would be guesswork.
//
// # How files are written
//
// Text is UTF-8; a byte order mark is skipped. Lines end in LF or CRLF. Fields are
// quoted by the rules of encoding/csv, with one restriction: a record is one line. A
// quoted field with a line break in it makes its lines one LineError, so that text
// which somebody else wrote into a payment's reference cannot pass for a line of its
// own. A quote that is never closed spoils its own line only. Empty lines are
// skipped. A line is at most [MaxLineBytes] long.
package statement
