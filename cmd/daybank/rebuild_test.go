package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A book that takes noticeable time to read.
const (
	manyAccounts = 200
	manyDeposits = 200
	manyEvents   = manyAccounts * (1 + manyDeposits)
)

// Of several who make the same read model at once, one wins, and the others say that somebody
// else is at it.
func TestRebuildsAtOnce(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			openMany(t, db, manyAccounts, manyDeposits)
			must(t, db, "run", "--once")
			codes, outcomes := atOnce(t, db, func(int) []string { return []string{"rebuild", "daily"} })
			if codes[exitOK] == 0 || codes[exitConflict] == 0 || codes[exitOK]+codes[exitConflict] != processes {
				t.Fatalf("exit codes %v, want %d and %d\n%v", codes, exitOK, exitConflict, outcomes)
			}
			for _, o := range outcomes {
				if o.code == exitConflict && (!strings.Contains(o.stderr, "another process") || !strings.Contains(o.stderr, "daybank projections shows how far it is") || strings.Contains(o.stdout, "daily")) {
					t.Errorf("who was not first says %q %q", o.stdout, o.stderr)
				}
			}
			// One that begins when another has ended makes one as well.
			all := generations(t, db, "daily")
			if last := all[len(all)-1]; len(all) != 1+codes[exitOK] || !last.Live || last.Position != manyEvents {
				t.Errorf("after %d rebuilds the generations are %+v", codes[exitOK], all)
			}
			must(t, db, "rebuild", "daily", "--dry-run")
		})
	}
}

// A rebuild that is killed leaves what serves as it is; the next one comes to its end.
func TestARebuildThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			openMany(t, db, manyAccounts, manyDeposits)
			must(t, db, "run", "--once")
			must(t, db, "deposit", "a7", "5") // and balances is made
			for _, name := range []string{"daily", "balances"} {
				before := liveOf(t, db, name)
				begun := killInTheMiddle(t, db, name)
				if diff := cmp.Diff(before, liveOf(t, db, name)); diff != "" {
					t.Errorf("what serves is another one (-before +after):\n%s", diff)
				}
				must(t, db, "deposit", "a7", "5") // waits for nobody

				rebuilt := decode[[]rebuiltRow](t, must(t, db, "rebuild", name, "-o", "json"))
				if len(rebuilt) != 1 || rebuilt[0].Generation != begun.Generation || rebuilt[0].ResumedAt != begun.Position || rebuilt[0].Position < manyEvents+1 {
					t.Errorf("rebuilt %+v, want generation %d", rebuilt, begun.Generation)
				}
				for _, one := range generations(t, db, name) {
					if one.State == "building" || one.Live != (one.Generation == begun.Generation) {
						t.Errorf("a generation is left as %+v", one)
					}
				}
			}
			must(t, db, "run", "--once")
			must(t, db, "verify")
		})
	}
}

// A rebuild that Ctrl-C ends says what there is, and the next one comes to its end.
func TestARebuildThatIsInterrupted(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	openMany(t, db, manyAccounts, manyDeposits)
	must(t, db, "run", "--once")
	const tries = 20
	for range tries {
		ctx, interrupt := context.WithCancel(t.Context())
		ended := make(chan outcome, 1)
		go func() { ended <- cliContext(ctx, db, "rebuild", "daily") }()
		eventually(t, "the rebuild begins or ends", func() bool {
			_, found := building(t, db, "daily")
			return found || len(ended) > 0
		})
		interrupt()
		got := <-ended
		if got.code == exitOK {
			continue // it was too fast
		}
		const hint = "daybank: the generation of daily that serves stays as it is; daybank rebuild daily goes on where this one was\n"
		if got.code != exitInterrupted || got.stdout != "" || !strings.HasPrefix(got.stderr, "daybank: interrupted") || !strings.HasSuffix(got.stderr, hint) {
			t.Errorf("exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
		}
		must(t, db, "rebuild", "daily")
		must(t, db, "verify")
		return
	}
	t.Fatalf("the rebuild was faster each of %d times", tries)
}

// killInTheMiddle rebuilds a read model in a process of its own, kills that, and returns the
// generation that it has not finished.
func killInTheMiddle(t *testing.T, db, name string) projectionRow {
	t.Helper()
	const tries = 20
	for range tries {
		cmd := command(t, db, "rebuild", name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // killed, or too fast
		}()
		eventually(t, "the rebuild begins or ends", func() bool {
			select {
			case <-ended:
				return true
			default:
				_, found := building(t, db, name)
				return found
			}
		})
		kill(t, cmd)
		<-ended
		if begun, found := building(t, db, name); found {
			return begun
		}
	}
	t.Fatalf("the rebuild was faster each of %d times", tries)
	return projectionRow{}
}

// kill is kill -9.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil && cmd.ProcessState == nil {
		t.Log(err) // it has just ended
	}
}

func building(t *testing.T, db, name string) (projectionRow, bool) {
	t.Helper()
	for _, r := range generations(t, db, name) {
		if r.State == "building" {
			return r, true
		}
	}
	return projectionRow{}, false
}
