package daybook

// InLine is how many appends to a book stand in line: those that the engine does not
// have yet.
func InLine(b *Book) int {
	b.committer.mu.Lock()
	defer b.committer.mu.Unlock()
	return len(b.committer.line)
}
