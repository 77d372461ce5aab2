package daybook

// Limits. Exceeding one is a [*TooLargeError] before anything reaches the engine.
const (
	// MaxEventsPerAppend is the most events one append may hold, over all its entries.
	MaxEventsPerAppend = 10_000
	// MaxEventBytes is the most bytes one event's payload may have as JSON.
	MaxEventBytes = 1 << 20
	// MaxMetadataBytes is the most bytes one event's metadata may have as JSON.
	MaxMetadataBytes = 16 << 10
	// MaxAppendBytes is the most bytes payloads and metadata of one append may have together.
	MaxAppendBytes = 32 << 20
	// MaxKeyBytes is the most bytes an idempotency key may have.
	MaxKeyBytes = 255
)

const (
	// firstPageEvents is small because most aggregates are; later pages grow to
	// what pageBytes allow, so that memory stays bounded whatever the events' size.
	firstPageEvents = 200
	maxPageEvents   = 2_000
	pageBytes       = 4 << 20
)
