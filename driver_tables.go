package daybook

import (
	"context"
	"database/sql"
	"time"
)

// Tx is a transaction for hand-written SQL: the part of [sql.Tx] that cannot end it,
// so that what sqlc generates runs on it. Parameters are written $1, $2 …, in the order of
// their first use, on every engine.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// InlineWork is what a book with inline projections does in the transaction of an append.
// The zero InlineWork is for a book that has none.
type InlineWork struct {
	// Revision must be that of the book, [BookState].Inline: else the engine writes
	// nothing and returns [ErrInlineChanged], also where all events are recorded already. It
	// looks while it holds the lock of the head.
	Revision int64
	// Keys returns the rows that events touch, so that an engine may load them while it
	// writes the events. Of these, only the positions and the time of recording may still be
	// wrong. nil where Fold is.
	Keys func(rows []Recorded) ([]TableKeys, error)
	// Before, where it and Fold are set, is called ahead of each first call of Fold, by an
	// engine that knows it, with the id of the event that the book ends with before those that are
	// appended, while nobody else can append; the zero UUID where there is none. It tells
	// whether what is remembered of rows still holds. An engine that does not say it
	// only has to load more rows.
	Before func(event UUID)
	// Fold returns what is to be written, from the events as they are recorded and, for
	// each TableKeys, the rows there are. It is called once for all events of a batch,
	// and not at all where none is new. Where it returns a [*MissingRowsError], it is to be
	// called again, with the rows that that one asks for.
	Fold func(rows []Recorded, loaded [][][]any) ([]TableRows, error)
	// Apply, where set, runs hand-written SQL, after Fold.
	Apply func(ctx context.Context, tx Tx, rows []Recorded) error
}

// MissingRowsError says that events touch other rows than Keys has said, because of the places
// they have got. An engine that calls Keys with these never sees it.
type MissingRowsError struct{ Keys []TableKeys }

func (e *MissingRowsError) Error() string {
	return "the places of events decide on the rows they touch, and these are not loaded"
}

// RefusedRowError is what an engine returns where the database refuses a row for what it is:
// a text too long for an index, or what a constraint says that somebody has added.
type RefusedRowError struct {
	// Table is the row's.
	Table string
	// Err is what the database says, with the table's name.
	Err error
}

func (e *RefusedRowError) Error() string { return e.Err.Error() }

// Is makes errors.Is(err, ErrProjection) true.
func (e *RefusedRowError) Is(target error) bool { return target == ErrProjection }

// Unwrap returns the cause.
func (e *RefusedRowError) Unwrap() error { return e.Err }

// TableKeys names rows of a table by the values of their key columns; each is there once.
type TableKeys struct {
	Table Table
	Keys  [][]any
}

// TableRows are rows to be written, over those that have their keys, and keys of rows to
// be removed. No key is there twice.
type TableRows struct {
	Table   Table
	Rows    [][]any
	Dropped [][]any
}

// Table is a table of a view, as the engine makes it.
type Table struct {
	// Name is the table's: 1 to 63 of a-z, 0-9 and '_', the first no digit.
	Name string
	// Columns are all columns, those of the primary key first: so many as Key says.
	Columns []Column
	Key     int
	// Indexes are besides the primary key, each by the names of its columns.
	Indexes [][]string
}

// Column is a column of a [Table].
type Column struct {
	// Name is of the form of [Table].Name.
	Name string
	Type ColumnType
	// Null says that the value may be nil.
	Null bool
}

// ColumnType is what a column holds. A value of it is, in Go, of the one type said below,
// on the way in and out.
type ColumnType int

// The types. Text is ordered by its bytes, on both engines.
const (
	TextColumn    ColumnType = iota + 1 // string
	IntegerColumn                       // int64
	BooleanColumn                       // bool
	RealColumn                          // float64; NaN is refused with a [*InvalidError]
	UUIDColumn                          // UUID
	TimeColumn                          // time.Time, UTC, in microseconds
	JSONColumn                          // []byte
)

// RowQuery selects rows of a table.
type RowQuery struct {
	// Table is the name of a table, or of a name that stands for one. See [DriverTx].Point.
	Table string
	// Columns are what is returned, in this order.
	Columns []Column
	// Where are conditions that must all hold.
	Where []Condition
	// Order are the names of columns, the values of which are no nulls; Reverse turns the order
	// of all of them round.
	Order   []string
	Reverse bool
	// After, where set, are values for the columns of Order: only what comes behind a row with
	// these is returned.
	After []any
	// Limit is the most rows; 0 is all.
	Limit int
}

// Condition compares a column with a value of its type. A null fulfils none.
type Condition struct {
	Column string
	Op     Op
	Value  any
}

// Op is how a [Condition] compares.
type Op int

// The ways to compare. Contains is for text, and tells upper from lower case.
const (
	Equal Op = iota + 1
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	Contains
)

// Checkpoint is how far a generation of a projection has come, and who makes it. It is a
// row of the engine, with the key projection and generation within a book.
type Checkpoint struct {
	// Projection and Generation are the key. Generations are 1, 2, 3 …
	Projection string
	Generation int64
	// Kind is how events come to it, State what it is good for.
	Kind  ProjectionKind
	State GenerationState
	// Declared is the fingerprint of the declaration it was made by.
	Declared Fold
	// Version is that of the declaration: a program that declares a lower one is older.
	Version int64
	// Table is the name of its table, Shape what that is like, as JSON of the library's; ""
	// where it has none.
	Table, Shape string
	// Position is that of the last event in it; RecordedAt is when that was recorded. Of
	// one that is live, inline and not paused, both are the head's, and these are not kept.
	Position   int64
	RecordedAt time.Time
	// Incarnation is that of the book to which Position belongs.
	Incarnation UUID
	// Paused says that nobody is to go on with it.
	Paused bool
	// Failed is the position of the event at which it has stopped, 0 where it has not.
	// Failure says why, or, of a generation that is being built, why it was not switched to.
	Failed  int64
	Failure string
	// Rate is how many events a second it took when it last had some.
	Rate float64
	// Runner is who works on it; zero when nobody does. One that does writes at least
	// once a second, which shows in Revision.
	Runner UUID
	// Revision counts the writes. UpdatedAt is the time of the last one, by the
	// engine's clock; PutCheckpoint sets both.
	Revision  int64
	UpdatedAt time.Time
}

// ProjectionKind is how events come to a projection.
type ProjectionKind string

// The kinds, as they are stored.
const (
	KindInline       ProjectionKind = "inline"
	KindBehind       ProjectionKind = "behind"
	KindSubscription ProjectionKind = "subscription"
)

// GenerationState is what a generation of a projection is good for.
type GenerationState string

// The states, as they are stored. At most one generation is live and one is building.
const (
	GenerationBuilding GenerationState = "building"
	GenerationLive     GenerationState = "live"
	GenerationKept     GenerationState = "kept"   // it was live, and can be again
	GenerationCopied   GenerationState = "copied" // as another one was at its position
)

// Skip says that a projection passes over the event at a position.
type Skip struct {
	Projection string
	Position   int64
	Reason     string
	// SkippedAt is when it was decided, by the engine's clock.
	SkippedAt time.Time
}

// BookState is the head of a book and what else projections go by.
type BookState struct {
	Head
	// Incarnation is another after the book was restored from a backup.
	Incarnation UUID
	// Inline is the revision of the set of inline projections that are live: 0 as long as
	// the book has never had any.
	Inline int64
}

// TablesReader reads what projections keep, all of it of one snapshot. It is not safe for
// concurrent use.
type TablesReader interface {
	// State returns the head and what goes with it.
	State(ctx context.Context) (BookState, error)
	// Checkpoints returns those of the projection, or of all where it is "", in the order
	// of their keys.
	Checkpoints(ctx context.Context, projection string) ([]Checkpoint, error)
	// Skips returns those of the projection, or of all where it is "", in the order of
	// projections and positions.
	Skips(ctx context.Context, projection string) ([]Skip, error)
	// SelectRows returns the rows that q selects.
	SelectRows(ctx context.Context, q RowQuery) ([][]any, error)
	// Read is [Driver].Read.
	Read(ctx context.Context, q Query) ([]Recorded, error)
}

// PinnedTables is a TablesReader that holds its snapshot until it is closed. In it, rows
// are to be selected by the names of tables: what another name stands for, an engine may
// look up as it is now, and find a table that is empty in the snapshot.
type PinnedTables interface {
	TablesReader
	Close() error
}

// DriverTx is a transaction that changes what projections keep. Its reads see what has
// been committed before, and its own writes. It is not safe for concurrent use, and ends
// with the function it was given to.
type DriverTx interface {
	TablesReader

	// SQL is the same transaction, for hand-written statements.
	SQL() Tx

	// PutCheckpoint writes c over the one that has its key, and reports false, and writes
	// nothing, unless that has c.Revision; 0 is for one that is not there. The new one has
	// c.Revision+1. Nobody else writes it until the transaction ends.
	PutCheckpoint(ctx context.Context, c Checkpoint) (bool, error)
	// DropCheckpoint removes the one that has c's key and revision, or reports false.
	DropCheckpoint(ctx context.Context, c Checkpoint) (bool, error)
	// PutSkip writes s, or nothing where its projection passes over its position already.
	PutSkip(ctx context.Context, s Skip) error
	// SetInline moves [BookState].Inline up to revision. It is an error unless Transact has
	// locked the head, and where revision does not come after the one there is.
	SetInline(ctx context.Context, revision int64) error

	// CreateTable makes a table without rows. It fails where something has its name. Names
	// of tables, and those that stand for one, are the database's: all books share them.
	CreateTable(ctx context.Context, t Table) error
	// DropTable removes the table, if it is there.
	DropTable(ctx context.Context, name string) error
	// Point makes name stand for a table, in hand-written SELECTs too, and no longer for
	// another one. It fails where name belongs to something else.
	Point(ctx context.Context, name string, t Table) error
	// Unpoint removes a name that stands for a table, if it is there.
	Unpoint(ctx context.Context, name string) error
	// LoadRows returns those of the rows that are there, in any order, with all columns.
	LoadRows(ctx context.Context, keys TableKeys) ([][]any, error)
	// WriteRows writes rows, and removes others, however many there are. A row that the
	// database refuses is a [*RefusedRowError].
	WriteRows(ctx context.Context, rows TableRows) error
}
