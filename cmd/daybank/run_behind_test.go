package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// runner is daybank run in a process of its own.
type runner struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func startRunner(t *testing.T, db string, args ...string) *runner {
	t.Helper()
	r := &runner{cmd: command(t, db, append([]string{"run"}, args...)...)}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end sends a signal, and returns what the runner has left behind.
func (r *runner) end(t *testing.T, signal os.Signal) outcome {
	t.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{r.stdout.String(), r.stderr.String(), r.cmd.ProcessState.ExitCode()}
}

// at waits until a read model that runs behind is at a position.
func at(t *testing.T, db, name string, position int64) projectionRow {
	t.Helper()
	var live projectionRow
	eventually(t, name+" gets there", func() bool {
		live = liveOf(t, db, name)
		return live.Position == position
	})
	return live
}

func TestRunUntilCtrlC(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			r := startRunner(t, db)
			at(t, db, "daily", 1)
			must(t, db, "deposit", "alice", "5")
			live := at(t, db, "transfers", 2)
			at(t, db, "daily", 2)
			if !live.Running || live.State != stateCurrent {
				t.Errorf("transfers is %+v, want somebody to run it", live)
			}
			got := r.end(t, os.Interrupt)
			if got.code != exitOK || strings.Contains(got.stderr, "error") {
				t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
			}
			for _, part := range []string{"running daily and transfers, until Ctrl-C", "is as far as the book, at position", "stopped: what was taken stays"} {
				if !strings.Contains(got.stderr, part) {
					t.Errorf("stderr %q does not say %q", got.stderr, part)
				}
			}
			if strings.Count(got.stdout, " current ") != 2 || strings.Contains(got.stdout, "balances") {
				t.Errorf("what was done is said to be\n%s", got.stdout)
			}
			if live = liveOf(t, db, "daily"); live.Running {
				t.Errorf("nobody runs daily any more, and it is %+v", live)
			}
		})
	}
}

// Two may run the same read models. When the one who works is killed, the other takes over.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			first := startRunner(t, db)
			at(t, db, "daily", 1)
			at(t, db, "transfers", 1)
			second := startRunner(t, db)
			must(t, db, "deposit", "alice", "5")
			at(t, db, "daily", 2)
			if got := first.end(t, os.Kill); got.code != -1 {
				t.Errorf("it was not killed: %+v", got)
			}
			must(t, db, "deposit", "alice", "5")
			for _, name := range behindNames() {
				if live := at(t, db, name, 3); live.FailedPosition != 0 {
					t.Errorf("%s is %+v", name, live)
				}
			}
			if got := second.end(t, os.Interrupt); got.code != exitOK {
				t.Errorf("exit code %d, %s", got.code, got.stderr)
			}
			must(t, db, "verify")
		})
	}
}

// told runs daybank run in this process, and does one thing after the other, each when a text
// has been told; then it stops the program.
func told(t *testing.T, db string, args []string, when ...reaction) outcome {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	var stderr lockedBuffer
	ended := make(chan int, 1)
	go func() {
		getenv := func(name string) string { return map[string]string{envDB: db}[name] }
		ended <- run(ctx, append([]string{"run"}, args...), strings.NewReader(""), &stdout, &stderr, getenv)
	}()
	t.Cleanup(func() { // also where what follows ends the test
		stop()
		if t.Failed() {
			t.Logf("stderr:\n%s", stderr.String())
		}
	})
	for _, one := range when {
		eventually(t, "it says: "+one.text, func() bool { return strings.Contains(stderr.String(), one.text) })
		one.do()
	}
	stop()
	code := <-ended // before the rest is looked at
	return outcome{stdout.String(), stderr.String(), code}
}

// reaction is what to do when a text has been told.
type reaction struct {
	text string
	do   func()
}

// lockedBuffer is a buffer that is read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func TestRunTellsOfAPoisonEventOnce(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, mend := range map[string]func(v *vandal, db string){
				"and goes on when it is to be passed over": func(v *vandal, db string) {
					must(v, db, "projections", "skip", "daily", "--position", "6", "--reason", "x")
				},
				"and goes on when it can be taken": func(v *vandal, _ string) {
					statement := v.replacer.Replace(set(6, `event_type = 'MoneyDeposited', payload = '{"amount":1}'`)[0])
					eventually(v, "the file is free", func() bool { return v.exec(statement) == nil })
				},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					behindBook(t, db)
					poison(t, db)
					vandal := newVandal(t, db)
					got := told(t, db, nil,
						reaction{"daily has stopped at position 6, and is tried again: it cannot take position 6: InterestAccrued", func() {
							at(t, db, "transfers", 7) // it goes on
							at(t, db, "daily", 5)     // it does not
							eventually(t, "daily gives another sign of life", signOfLife(t, db))
							mend(vandal, db)
						}},
						reaction{"daily goes on, and is at position 7", func() {}},
					)
					if got.code != exitOK || strings.Count(got.stderr, "has stopped") != 1 {
						t.Errorf("exit code %d, stderr\n%s", got.code, got.stderr)
					}
				})
			}
		})
	}
}

// signOfLife returns whether whoever runs daily has written something since: that he has tried
// again, or that he is there.
func signOfLife(t *testing.T, db string) func() bool {
	t.Helper()
	before := liveOf(t, db, "daily").UpdatedAt
	return func() bool { return liveOf(t, db, "daily").UpdatedAt != before }
}

func TestPausingWhatIsRun(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			got := told(t, db, []string{"daily"},
				reaction{"daily is as far as the book, at position 5", func() { must(t, db, "pause", "daily") }},
				reaction{"daily is paused, at position 5: daybank resume daily lets it go on", func() {
					must(t, db, "deposit", "alice", "1")
					must(t, db, "resume", "daily")
				}},
				reaction{"daily goes on, and is at position ", func() { at(t, db, "daily", 6) }},
			)
			if got.code != exitOK || !strings.Contains(got.stdout, "daily ") || strings.Contains(got.stdout, "transfers") {
				t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

// A restored backup is another book to what was made of it before: nothing goes on until
// somebody makes it anew.
func TestRunOnARestoredBook(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			behindBook(t, db)
			newVandal(t, db).do(`UPDATE {heads} SET incarnation = '01a20b64-0000-7000-8000-00000000f00d'`)
			for _, args := range [][]string{{"run"}, {"run", "--once"}} {
				got := cli(t, db, args...)
				if got.code != exitError || !strings.Contains(got.stderr, "was made from another incarnation of it: rebuild it") || !strings.Contains(got.stderr, "daybank rebuild ") || strings.Contains(got.stderr, "daybook: ") {
					t.Errorf("%v: exit code %d, %s", args, got.code, got.stderr)
				}
			}
			if daily, balances := liveOf(t, db, "daily"), liveOf(t, db, "balances"); daily.State != stateRestored || balances.State != stateCurrent {
				t.Errorf("daily is %+v, balances %+v", daily, balances)
			}
			must(t, db, "rebuild", "daily", "transfers")
			must(t, db, "run", "--once")
			if daily := liveOf(t, db, "daily"); daily.State != stateCurrent {
				t.Errorf("daily is %+v", daily)
			}
			must(t, db, "deposit", "alice", "1") // balances goes with the book
		})
	}
}
