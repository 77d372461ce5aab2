package daybooktest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// goldenExt ends the name of every golden event.
const goldenExt = ".json"

// Golden holds a registry to the events that production has stored. dir holds one
// payload a file, named after its event type and schema version, and where there is
// more than one of these, after the case: AccountOpened.1.json,
// MoneyDeposited.1.without-reference.json. Files are added and never edited: what
// they stand for is in somebody's database.
//
// want has, for each file's name without ".json", the value it decodes to today.
// The test fails
//   - when a file does not decode to that value, through the upcasters;
//   - when the value is not encoded as in the file any more, for files of the
//     present schema version (compared in canonical form);
//   - when a registered event type and schema version has no file;
//   - when a file is not in want, or want has a name without a file.
func Golden(t testing.TB, registry *daybook.Registry, dir string, want map[string]any) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+goldenExt))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), goldenExt)
		seen[name] = true
		value, ok := want[name]
		if !ok {
			t.Errorf("%s: nobody says what it decodes to: add %q to want", file, name)
			continue
		}
		if err := goldenEvent(t.Context(), registry, file, name, value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !seen[name] {
			t.Errorf("%s: the file is missing: golden events are never removed", filepath.Join(dir, name+goldenExt))
		}
	}
	for _, eventType := range registry.Types() {
		for version := 1; version <= eventType.SchemaVersion; version++ {
			prefix := fmt.Sprintf("%s.%d", eventType.Name, version)
			if !covers(seen, prefix) {
				t.Errorf("%s: no golden event of %s at schema version %d: add one as production stores it", filepath.Join(dir, prefix+goldenExt), eventType.Name, version)
			}
		}
	}
}

func covers(names map[string]bool, prefix string) bool {
	for name := range names {
		if name == prefix || strings.HasPrefix(name, prefix+".") {
			return true
		}
	}
	return false
}

// goldenEvent checks one file.
func goldenEvent(ctx context.Context, registry *daybook.Registry, file, name string, want any) error {
	payload, err := os.ReadFile(file) //nolint:gosec // the test names its own directory
	if err != nil {
		return err
	}
	eventType, version, err := goldenName(registry, name)
	if err != nil {
		return err
	}
	got, err := registry.Decode(daybook.Recorded{EventType: eventType.Name, SchemaVersion: version, Payload: payload})
	if err != nil {
		return fmt.Errorf("what production has stored cannot be read any more: %w", err)
	}
	if diff := cmp.Diff(want, got, everyField); diff != "" {
		return fmt.Errorf("it decodes to something else (-want +got):\n%s", diff)
	}
	if version < eventType.SchemaVersion {
		return nil // nobody writes this one any more
	}
	stored, err := daybook.CanonicalJSON(payload)
	if err != nil {
		return err
	}
	written, err := written(ctx, registry, want)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(string(stored), string(written)); diff != "" {
		return fmt.Errorf("the shape has changed under the same schema version: keep the old shape and add an upcaster (-file +written today):\n%s", diff)
	}
	return nil
}

// goldenName takes a name such as "AccountOpened.2.case" apart. An event type may
// itself contain points.
func goldenName(registry *daybook.Registry, name string) (daybook.TypeVersion, int, error) {
	for _, eventType := range registry.Types() {
		rest, ok := strings.CutPrefix(name, eventType.Name+".")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		if version, err := strconv.Atoi(number); err == nil {
			return eventType, version, nil
		}
	}
	return daybook.TypeVersion{}, 0, fmt.Errorf("the name is not a registered event type, a point and a schema version")
}

// written returns the payload that appending value stores, in canonical form. It
// goes through a book, because that is where payloads are made.
func written(ctx context.Context, registry *daybook.Registry, value any) ([]byte, error) {
	var page carbon
	book, err := daybook.Open(ctx, &page, "golden", registry)
	if err != nil {
		return nil, err
	}
	aggregate := daybook.AggregateID{Type: "golden", ID: daybook.NewUUID()}
	if _, err := book.Append(ctx, daybook.Entry{Aggregate: aggregate, Events: []daybook.Event{{Data: value}}}); err != nil {
		return nil, err
	}
	return daybook.CanonicalJSON(page.payload)
}

// carbon is an engine that keeps nothing but the payload it was last given.
type carbon struct {
	daybook.Driver // nil: nothing else is called
	payload        []byte
}

// OpenBook answers for every name.
func (*carbon) OpenBook(context.Context, string) (daybook.BookID, error) { return 1, nil }

// Append keeps the payload of the only event.
func (c *carbon) Append(_ context.Context, _ daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	c.payload = batch[0].Entries[0].Events[0].Payload
	return make([]daybook.Outcome, len(batch)), nil
}
