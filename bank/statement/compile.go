package statement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-go/daybook/bank"
)

// format is a section of a mapping, checked and ready to read files with.
type format struct {
	kind      Kind
	delimiter byte
	noHeader  bool
	// used are the columns that are read, each once; ignored those that may be there.
	used, ignored []Column
	// fact reads one row. Its error is a *LineError.
	fact func(row) (Fact, error)
}

// compile checks the mapping and returns its formats, one or two.
func (m *Mapping) compile() ([]format, error) {
	if m.Source == "" {
		return nil, &MappingError{Member: "/source", Reason: "it is missing: name the bank, such as \"berka\""}
	}
	// What is good for a handle is good here: one spelling, nothing invisible.
	if err := bank.CheckHandle(m.Source); err != nil {
		return nil, &MappingError{Member: "/source", Reason: reason(err)}
	}
	zone, err := loadZone(m.TimeZone)
	if err != nil {
		return nil, &MappingError{Member: "/time_zone", Reason: err.Error()}
	}
	var formats []format
	if m.Transactions != nil {
		f, err := m.Transactions.compile(zone)
		if err != nil {
			return nil, err
		}
		formats = append(formats, f)
	}
	if m.Accounts != nil {
		f, err := m.Accounts.compile(zone)
		if err != nil {
			return nil, err
		}
		formats = append(formats, f)
	}
	switch {
	case len(formats) == 0:
		return nil, &MappingError{Member: "/transactions", Reason: "it is missing: describe files of transactions here, files of accounts under accounts, or both"}
	case len(formats) == 2 && formats[0].noHeader && formats[1].noHeader && formats[0].width() == formats[1].width():
		return nil, &MappingError{Member: "/accounts/no_header", Reason: "both kinds of files have no header and the same number of columns: nothing tells them apart, so give each a mapping of its own"}
	}
	return formats, nil
}

// loadZone finds a time zone by its IANA name. "Local" is none: the same mapping
// must give the same facts on every machine.
func loadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, fmt.Errorf("\"Local\" differs from machine to machine: write an IANA name, such as \"Europe/Prague\"")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%s is not a time zone this machine knows: write an IANA name, such as \"Europe/Prague\"", shorten(name))
	}
	return zone, nil
}

func (t *TransactionFile) compile(zone *time.Location) (format, error) {
	const at = "/transactions"
	amountMember, amountErr := t.Amount.check(t.NoHeader)
	layout, layoutErr := parseDateLayout(t.Date.Layout)
	fixed, currencyErr := checkCurrency(t.Currency, t.CurrencyColumn, t.NoHeader)
	reader := transactionReader{file: t, layout: layout, zone: zone, currency: fixed}
	if reader.separator = t.Reference.Separator; reader.separator == "" {
		reader.separator = " "
	}
	checks := []check{
		{"/id", t.ID.check(t.NoHeader)},
		{"/account", t.Account.check(t.NoHeader)},
		{"/date/column", t.Date.Column.check(t.NoHeader)},
		{"/date/layout", layoutErr},
		{"/amount" + amountMember, amountErr},
		{"/currency", currencyErr},
		{"/reference/separator", bank.CheckText("separator", t.Reference.Separator)},
	}
	for i, column := range t.Reference.Columns {
		checks = append(checks, check{fmt.Sprintf("/reference/columns/%d", i), column.check(t.NoHeader)})
	}
	if err := firstError(at, checks); err != nil {
		return format{}, err
	}
	used := slices.Concat([]Column{t.ID, t.Account, t.Date.Column}, t.Amount.columns(), t.Reference.Columns)
	if t.Currency == "" {
		used = append(used, t.CurrencyColumn)
	}
	return t.Layout.compile(at, format{kind: Transactions, used: used, fact: reader.fact})
}

func (a *AccountFile) compile(zone *time.Location) (format, error) {
	const at = "/accounts"
	owner, ownerErr := parseTemplate(a.Owner, a.NoHeader)
	if ownerErr == nil && len(owner) == 0 {
		ownerErr = fmt.Errorf("it is missing: write the owner's name, with columns in braces")
	}
	layout, layoutErr := parseDateLayout(a.Opened.Layout)
	fixed, currencyErr := checkCurrency(a.Currency, a.CurrencyColumn, a.NoHeader)
	err := firstError(at, []check{
		{"/account", a.Account.check(a.NoHeader)},
		{"/owner", ownerErr},
		{"/opened/column", a.Opened.Column.check(a.NoHeader)},
		{"/opened/layout", layoutErr},
		{"/currency", currencyErr},
	})
	if err != nil {
		return format{}, err
	}
	used := slices.Concat([]Column{a.Account, a.Opened.Column}, owner.columns())
	if a.Currency == "" {
		used = append(used, a.CurrencyColumn)
	}
	reader := accountReader{file: a, owner: owner, layout: layout, zone: zone, currency: fixed}
	return a.Layout.compile(at, format{kind: Accounts, used: used, fact: reader.fact})
}

// compile completes a format by what is said of any file.
func (l Layout) compile(at string, f format) (format, error) {
	delimiter, err := l.delimiter()
	if err != nil {
		return format{}, &MappingError{Member: at + "/delimiter", Reason: err.Error()}
	}
	f.delimiter, f.noHeader, f.ignored = delimiter, l.NoHeader, l.Ignore
	var once []Column
	for _, column := range f.used {
		if !slices.Contains(once, column) {
			once = append(once, column)
		}
	}
	f.used = once
	for i, column := range f.ignored {
		err := column.check(l.NoHeader)
		if err == nil && slices.Contains(f.used, column) {
			err = fmt.Errorf("%s is used by this mapping: it cannot be ignored", shorten(column.String()))
		}
		if err != nil {
			return format{}, &MappingError{Member: fmt.Sprintf("%s/ignore/%d", at, i), Reason: err.Error()}
		}
	}
	if l.NoHeader {
		for number := 1; number <= f.width(); number++ {
			column := Column{Number: number}
			if !slices.Contains(f.used, column) && !slices.Contains(f.ignored, column) {
				return format{}, &MappingError{Member: at + "/ignore", Reason: fmt.Sprintf("%s is neither used nor listed here: add its number", column)}
			}
		}
	}
	return f, nil
}

// width is how many columns a file without a header has.
func (f format) width() int {
	width := 0
	for _, column := range slices.Concat(f.used, f.ignored) {
		width = max(width, column.Number)
	}
	return width
}

func (l Layout) delimiter() (byte, error) {
	if l.Delimiter == "" {
		return ',', nil
	}
	const allowed = "\t !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	if len(l.Delimiter) != 1 || !strings.Contains(allowed, l.Delimiter) {
		return 0, fmt.Errorf("%s is not a delimiter: write one ASCII character, such as \",\" or \";\" or \"\\t\"", shorten(l.Delimiter))
	}
	return l.Delimiter[0], nil
}

// check is the outcome of checking a member.
type check struct {
	member string
	err    error
}

// firstError is the first check that failed, as a *MappingError, or nil.
func firstError(at string, checks []check) error {
	for _, c := range checks {
		if c.err != nil {
			return &MappingError{Member: at + c.member, Reason: reason(c.err)}
		}
	}
	return nil
}

// checkCurrency returns the currency a section fixes, or none where a column has it.
func checkCurrency(code string, column Column, noHeader bool) (bank.Currency, error) {
	switch {
	case code != "" && column != Column{}:
		return "", fmt.Errorf("there is a currency_column as well: leave one of them out")
	case code != "":
		return bank.ParseCurrency(code)
	case column == Column{}:
		return "", fmt.Errorf("it is missing: write the currency's code, or name a currency_column")
	default:
		return "", column.check(noHeader)
	}
}
