package daybook

// InLine is how many appends to a book stand in line: those that the engine does not
// have yet.
func InLine(b *Book) int {
	b.committer.mu.Lock()
	defer b.committer.mu.Unlock()
	return len(b.committer.line)
}

// AtFront is how many callers are at the front of an aggregate, deciding or waiting.
func AtFront[S, C, E any](r *Repository[S, C, E], id AggregateID) int {
	r.fronts.mu.Lock()
	defer r.fronts.mu.Unlock()
	if f := r.fronts.open[id]; f != nil {
		return f.callers
	}
	return 0
}

// GoTogether has batches of many callers go to the engine one at a time, until further notice.
func GoTogether(b *Book) {
	b.committer.mu.Lock()
	defer b.committer.mu.Unlock()
	b.committer.pace = pace{together: true, left: 1 << 30}
}

// Paced is how many batches have been measured in this turn.
func Paced(b *Book) int {
	b.committer.mu.Lock()
	defer b.committer.mu.Unlock()
	return b.committer.pace.batches
}
