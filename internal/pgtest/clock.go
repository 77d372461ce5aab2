package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// StartWithClock is [Start] for a server whose clock is the test's to set, with
// [Server.SetClock]. Nobody else's is touched: libfaketime, loaded into the server's
// processes, answers them when they ask for the time of day. What measures how long
// something takes stays true, as it does when an administrator sets a clock, and so
// do the times of files. One thing is not as it would be: a session that waits, for a
// lock or for its client, judges by the machine's clock whether its time-outs are
// over. A test about those sets a wrong clock first, and then the right one.
//
// Where libfaketime is not installed it skips t, and says how to get it.
func StartWithClock(t testing.TB, settings ...string) *Server {
	t.Helper()
	skipIfShort(t)
	library, err := findClockLibrary()
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	return start(t, settings, library)
}

// SetClock sets the server's clock: so far ahead of the machine's, or behind it where
// ahead is negative, from now on and for all sessions, also after a restart.
func (s *Server) SetClock(ahead time.Duration) {
	s.t.Helper()
	if s.cluster.clockLibrary == "" {
		s.t.Fatal("pgtest: SetClock: the server was not started by StartWithClock")
	}
	if err := s.cluster.setClock(ahead); err != nil {
		s.t.Fatalf("pgtest: setting the server's clock: %v", err)
	}
}

// clockPlaces are where packages put libfaketime: Debian, Red Hat, Alpine, by hand.
// It is the one for programs without threads, as which PostgreSQL counts; the other
// takes a mutex that a signal handler could wait for for ever.
var clockPlaces = []string{
	"/usr/lib/*/faketime/libfaketime.so.1",
	"/usr/lib64/faketime/libfaketime.so.1",
	"/usr/lib/faketime/libfaketime.so.1",
	"/usr/local/lib/faketime/libfaketime.so.1",
}

func findClockLibrary() (string, error) {
	var found []string
	for _, pattern := range clockPlaces {
		matches, err := filepath.Glob(pattern)
		if err == nil { // it is a constant pattern: only a malformed one fails
			found = append(found, matches...)
		}
	}
	if len(found) == 0 {
		return "", errors.New("no server with a clock of its own, because libfaketime is not installed (Debian, Ubuntu: apt-get install libfaketime)")
	}
	return found[0], nil
}

// clockFile holds how far the server's clock is ahead.
func (c *cluster) clockFile() string { return filepath.Join(c.dir, "clock") }

// setClock replaces the file in one step, so that nobody reads half of it.
func (c *cluster) setClock(ahead time.Duration) error {
	next := c.clockFile() + ".next"
	text := fmt.Sprintf("%+.6f\n", ahead.Seconds())
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Chmod(next, 0o644); err != nil { //nolint:gosec // the server's account must read it, and can be another than ours
		return err
	}
	return os.Rename(next, c.clockFile())
}

// underClock puts before command what loads the library into it, and into nothing
// else; the process stays the same.
func (c *cluster) underClock(command []string) []string {
	if c.clockLibrary == "" {
		return command
	}
	return slices.Concat([]string{
		"env", "LD_PRELOAD=" + c.clockLibrary, "FAKETIME_TIMESTAMP_FILE=" + c.clockFile(),
		"FAKETIME_NO_CACHE=1", // all sessions see a step at once
		"FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1",
	}, command)
}
