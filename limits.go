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
	// MaxPageBytes ends a page: an engine's Read goes no further once it has read so
	// many bytes of payload.
	MaxPageBytes = 4 << 20
	// MaxKeyBytes is the most bytes an idempotency key may have.
	MaxKeyBytes = 255
)

const (
	// firstPageEvents is small because most aggregates are.
	firstPageEvents = 200
	// maxPageEvents bounds the later pages, each so many times as large as the one before,
	// besides MaxPageBytes.
	maxPageEvents, pageGrowth = 2_000, 5
)
