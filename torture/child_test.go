package torture_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook/torture"
)

// start starts a child with a few writers on the round's book.
func (r *round) start(address string, kinds ...torture.Kind) (*torture.Process, error) {
	r.children++
	workload := r.workload(fmt.Sprintf("child%d", r.children), 4)
	workload.Kinds = kinds
	return torture.Child{Workload: workload, Database: address, Book: r.name}.Start(itself(r.t))
}

// itself is this test binary, as a child.
func itself(t *testing.T) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	// With -cover, a process that is stopped in good order reports to this directory.
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir())
	return cmd
}

// with returns an address with a parameter set.
func with(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // pgtest's own
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func childFaults() []fault {
	return []fault{
		{name: "writer-kill", arena: onServer(), writers: 2, strike: killChildren(3)},
		{name: "writer-stop", arena: onServer(), writers: 6, strike: func(ctx context.Context, r *round) error {
			// What is not guessed takes two round trips, with the lock held in between.
			child, err := r.start(with(with(r.address, "application_name", "frozen"), "idle_in_transaction_session_timeout", "1s"), torture.Careless, torture.Spreading)
			if err != nil {
				return err
			}
			struck := r.freeze(ctx, child)
			return errors.Join(struck, child.Stop())
		}},
	}
}

// killChildren keeps n children at work and kills one after the other, in the middle
// of whatever they do; each is replaced.
func killChildren(n int) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error {
		var children []*torture.Process
		var err error
		for len(children) < n && err == nil {
			var child *torture.Process
			if child, err = r.start(r.address); err == nil {
				children = append(children, child)
			}
		}
		if err == nil {
			err = r.repeatedly(ctx, 4, func() error {
				victim := r.rand.IntN(len(children))
				killed := children[victim].Kill()
				children = slices.Delete(children, victim, victim+1)
				child, err := r.start(r.address)
				if err == nil {
					children = append(children, child)
				}
				return errors.Join(killed, err)
			})
		}
		for _, child := range children {
			err = errors.Join(err, child.Stop())
		}
		return err
	}
}

// freeze stops a child, with SIGSTOP, at a moment when it holds the lock of the
// book, long enough for the server to lose patience with it; then it lets it go on.
func (r *round) freeze(ctx context.Context, child *torture.Process) error {
	const tries = 2000
	for range tries {
		if err := r.wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		if err := child.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		holding, err := r.holding(ctx)
		if holding {
			err = r.thawed(ctx)
		}
		if err = errors.Join(err, child.Signal(syscall.SIGCONT)); holding || err != nil {
			return errors.Join(err, r.wait(ctx, strikePause))
		}
	}
	return fmt.Errorf("in %d tries the child was never stopped with the lock", tries)
}

// holding reports whether the stopped child is in a transaction, and silent. What it
// had sent before it was stopped takes a moment.
func (r *round) holding(ctx context.Context) (bool, error) {
	const idle = `SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'frozen' AND state = 'idle in transaction'`
	holding, err := ask[bool](ctx, r.server, idle)
	if err != nil || !holding {
		return false, err
	}
	if err := r.wait(ctx, 10*time.Millisecond); err != nil {
		return false, err
	}
	return ask[bool](ctx, r.server, idle)
}

// thawed waits until the server has ended the session of the stopped child, so that
// the others can go on, and lets them.
func (r *round) thawed(ctx context.Context) error {
	for deadline := time.Now().Add(backFor); time.Now().Before(deadline); {
		if held, err := r.holding(ctx); err != nil || !held {
			return errors.Join(err, r.wait(ctx, strikePause))
		}
	}
	return errors.New("the server never ended the session of a client that holds the lock and is silent")
}

// A child that ends by itself is no child that was killed.
func TestAChildThatFails(t *testing.T) {
	t.Parallel()
	child := torture.Child{Workload: torture.Workload{Name: "child", Dir: t.TempDir(), Writers: 1, Aggregates: 1, MaxEvents: 1}, Database: t.TempDir() + "/missing.db", Book: "main"}
	p, err := child.Start(itself(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "missing.db") {
		t.Errorf("error is %v, want it to say why the child ended", err)
	}
}

// A child that is struck before it has begun begins all the same, and one that is
// told to end before that ends in good order: neither has broken a promise.
func TestAChildThatIsStruckWhileItBegins(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a server: skipped by -short")
	}
	// Where the engine opens, and where it opens the book.
	for _, table := range []string{"daybook.schema_migrations", "daybook.books"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			gate, err := pgx.Connect(t.Context(), s.DSN())
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Close(context.WithoutCancel(t.Context()))
			if _, err := gate.Exec(t.Context(), `BEGIN; LOCK TABLE `+table); err != nil {
				t.Fatal(err)
			}
			struck, ended := beginning(t, s), beginning(t, s)
			for _, strike := range []string{`pg_cancel_backend(pid)`, terminated, terminated, terminated, terminated} {
				waitUntil(t, s, `SELECT count(*) = 2 `+atTheGate)
				if _, err := ask[int](t.Context(), s, `SELECT count(`+strike+`) `+atTheGate); err != nil {
					t.Fatal(err)
				}
			}
			waitUntil(t, s, `SELECT count(*) = 2 `+atTheGate)
			if err := ended.Stop(); err != nil {
				t.Errorf("a child that had not begun: %v", err)
			}
			if _, err := gate.Exec(t.Context(), `COMMIT`); err != nil {
				t.Fatal(err)
			}
			waitUntil(t, s, `SELECT count(*) > 0 FROM daybook.events`)
			if err := struck.Stop(); err != nil {
				t.Errorf("a child that was struck: %v", err)
			}
		})
	}
}

const (
	atTheGate = `FROM pg_stat_activity WHERE application_name = 'daybook' AND wait_event_type = 'Lock'`
	// terminated ends a session and waits until it is gone.
	terminated = `pg_terminate_backend(pid, 60000)`
)

// beginning starts a child with a single writer.
func beginning(t *testing.T, s *server) *torture.Process {
	t.Helper()
	workload := torture.Workload{Name: "child", Dir: t.TempDir(), Writers: 1, Aggregates: 1, MaxEvents: 1}
	child, err := torture.Child{Workload: workload, Database: s.DSN(), Book: "main"}.Start(itself(t))
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// waitUntil waits until a query says true.
func waitUntil(t *testing.T, s *server, query string) {
	t.Helper()
	for deadline := time.Now().Add(backFor); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ready, err := ask[bool](t.Context(), s, query); err != nil {
			t.Fatal(err)
		} else if ready {
			return
		}
	}
	t.Fatalf("never true: %s", query)
}
