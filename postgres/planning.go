package postgres

// ownMark begins the statements that a client of this package may have run last while it
// holds a head, and that are not among ownStatements: see silentSQL.
const ownMark = `/* daybook */ `

const (
	// usersPlanningSQL gives the planner back what parse takes from it, until the end of
	// the transaction: hand-written SQL needs scans and sorts, and so do questions to the
	// tables of projections. And it lets it name these without their schema, as where there
	// are no schemas: the same text is to run on both engines.
	usersPlanningSQL = ownMark + `SELECT set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
	set_config('enable_sort', 'on', true), set_config('enable_incremental_sort', 'on', true),
	set_config('jit', 'on', true), set_config('plan_cache_mode', 'auto', true),
	CASE WHEN current_setting('search_path') LIKE '%daybook_views' THEN '' ELSE
		set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), 'daybook_views'), true) END`

	// ownPlanningSQL takes it away again. A plan made in between would be kept.
	ownPlanningSQL = ownMark + `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
	set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true), set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`
)
