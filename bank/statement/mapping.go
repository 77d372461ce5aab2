package statement

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
)

// MaxMappingBytes is the largest mapping that is read.
const MaxMappingBytes = 1 << 20

// Mapping says how a bank writes its files. It is a JSON file: one object with the
// members named here. A member that is not known is refused, so that a typing
// mistake cannot be taken for a default.
type Mapping struct {
	// Source names the bank, or the kind of export. Together with it a bank's own
	// ids are unique, so it must stay the same for every later file. Required; 1 to
	// 100 bytes without white space, such as "berka".
	Source string `json:"source"`
	// TimeZone is where the dates of the files are at home, by its IANA name, such as
	// "Europe/Prague". A date without a time of day is 00:00:00 there. A time that was
	// left out when clocks were put forward is refused; of one that came twice the
	// first is meant. Default "UTC".
	TimeZone string `json:"time_zone"`
	// Transactions describes the files of transactions. A mapping has this or Accounts
	// or both; which of them a file is shows in its header.
	Transactions *TransactionFile `json:"transactions"`
	// Accounts describes the files of accounts.
	Accounts *AccountFile `json:"accounts"`
}

// Layout is the part that describes any file. Its members stand beside those of
// [TransactionFile] and [AccountFile].
type Layout struct {
	// Delimiter stands between two fields: one ASCII character that is not a letter, a
	// digit, a quote, a line break or another control character than TAB. Default ",".
	Delimiter string `json:"delimiter"`
	// NoHeader: the first line is data already. Columns are then given by number, and
	// every column of the file must be used or ignored. Default false: the first line
	// names the columns, in any order.
	NoHeader bool `json:"no_header"`
	// Ignore lists the columns of the file that are not used. A file with a column
	// that is neither used nor listed is refused.
	Ignore []Column `json:"ignore"`
}

// TransactionFile describes a file with one transaction a line.
type TransactionFile struct {
	Layout `json:",inline"`
	// ID is the column with the bank's own id of the transaction, by which it is
	// recognised when it is imported again. Required.
	ID Column `json:"id"`
	// Account is the column with the account's handle. Required.
	Account Column `json:"account"`
	// Date is the value date. Required.
	Date Date `json:"date"`
	// Amount is how much, and whether it came or went. Required.
	Amount Amount `json:"amount"`
	// Currency is that of every amount, such as "EUR". Either this or CurrencyColumn.
	Currency string `json:"currency"`
	// CurrencyColumn is the column with the amount's currency.
	CurrencyColumn Column `json:"currency_column"`
	// Reference is what the bank says about the transaction. Default: nothing.
	Reference Reference `json:"reference"`
}

// AccountFile describes a file with one account a line, opened on a day.
type AccountFile struct {
	Layout `json:",inline"`
	// Account is the column with the account's handle, written as in the files of
	// transactions. Required.
	Account Column `json:"account"`
	// Owner is the owner's name, with columns in braces: "{first_name} {last_name}", or
	// "Account {account_id}" where a file has no names. Required.
	Owner string `json:"owner"`
	// Opened is the day the account was opened. Required.
	Opened Date `json:"opened"`
	// Currency is that of every account, such as "EUR". Either this or CurrencyColumn.
	Currency string `json:"currency"`
	// CurrencyColumn is the column with the account's currency.
	CurrencyColumn Column `json:"currency_column"`
}

// Date is a column with a date, with or without a time of day.
type Date struct {
	Column Column `json:"column"`
	// Layout is how it is written: YYYY or YY, MM and DD, and where there is a time of
	// day hh, mm and ss, each with all its digits; between them spaces and - . / : , T
	// as they are. "YYMMDD", "DD.MM.YYYY" and "YYYY-MM-DDThh:mm:ss" are layouts. YY is
	// 1969 to 1999 for 69 to 99, and 2000 to 2068 for 00 to 68.
	Layout string `json:"layout"`
}

// Amount is a column with an amount of money, and how credit (to the account) and
// debit (from it) are told apart, in one of three ways: Direction, Signed, or a
// column each.
type Amount struct {
	// Column has the amount. Not with CreditColumn and DebitColumn.
	Column Column `json:"column"`
	// Direction is another column whose words tell. The amount has no sign.
	Direction *Direction `json:"direction"`
	// Signed: a minus in front is a debit, a plus or nothing a credit.
	Signed bool `json:"signed"`
	// CreditColumn and DebitColumn have the amount in one of them; the other is
	// empty or zero.
	CreditColumn Column `json:"credit_column"`
	DebitColumn  Column `json:"debit_column"`
	// DecimalMark is "." or ",". Default ".".
	DecimalMark string `json:"decimal_mark"`
	// ThousandsSeparator may stand between groups of three digits: one character out
	// of . , ' _ space, no-break space (U+00A0) and narrow no-break space (U+202F).
	// Default: none is allowed.
	ThousandsSeparator string `json:"thousands_separator"`
}

// Direction is a column that says whether money came or went, by these words
// exactly. Any other word is a line that cannot be used.
type Direction struct {
	Column Column   `json:"column"`
	Credit []string `json:"credit"`
	Debit  []string `json:"debit"`
}

// Reference joins columns into the text of a transaction's reference.
type Reference struct {
	// Columns are taken in this order, without spaces around them.
	Columns []Column `json:"columns"`
	// Blank are values that say nothing, such as "0" or "n/a". They are left out, as
	// empty ones are.
	Blank []string `json:"blank"`
	// Separator stands between two of them. Default: one space.
	Separator string `json:"separator"`
}

// MappingError says what is wrong with a mapping.
type MappingError struct {
	// Member is where, as a JSON pointer such as "/transactions/date/layout". It is
	// empty where the mapping is not JSON or not readable at all.
	Member string
	// Reason is what is wrong and how to write it instead.
	Reason string
}

func (e *MappingError) Error() string {
	if e.Member == "" {
		return "mapping: " + e.Reason
	}
	return "mapping: " + e.Member + ": " + e.Reason
}

// ReadMapping reads the mapping in a file. Refusals are a [*MappingError], with the
// path in front.
func ReadMapping(path string) (*Mapping, error) {
	file, err := os.Open(path) //nolint:gosec // G304: reading the file the caller names is the job
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	defer file.Close()
	mapping, err := ParseMapping(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return mapping, nil
}

// ParseMapping reads a mapping of at most [MaxMappingBytes] and checks all of it,
// so that [Mapping.Open] can be refused only by the file. Refusals are a
// [*MappingError] that names the first member that is wrong.
func ParseMapping(r io.Reader) (*Mapping, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxMappingBytes+1))
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	if len(data) > MaxMappingBytes {
		return nil, &MappingError{Reason: fmt.Sprintf("it has more than %d bytes: is it the right file?", MaxMappingBytes)}
	}
	mapping := &Mapping{}
	if err := json.Unmarshal(data, mapping, json.RejectUnknownMembers(true)); err != nil {
		return nil, jsonError(err)
	}
	if _, err := mapping.compile(); err != nil {
		return nil, err
	}
	return mapping, nil
}

// jsonError names the member and the cause without the decoder's Go types, which
// would tell the author of a mapping nothing.
func jsonError(err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return &MappingError{Reason: "the JSON is refused: " + err.Error()}
	}
	member := string(semantic.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return &MappingError{Member: member, Reason: "there is no such member: check the spelling, or leave it out"}
	case semantic.Err != nil:
		return &MappingError{Member: member, Reason: semantic.Err.Error()}
	default:
		return &MappingError{Member: member, Reason: fmt.Sprintf("a JSON %s does not fit here", semantic.JSONKind)}
	}
}
