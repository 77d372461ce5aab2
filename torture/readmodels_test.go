package torture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/torture"
)

func modelFaults() []fault {
	return []fault{
		{name: "runner-kill", arena: onServer(), models: true, writers: 4, strike: killRunners},
		{name: "runner-stop", arena: onServer("idle_in_transaction_session_timeout=1s"), models: true, writers: 4, strike: stopRunners},
		{name: "runner-server", arena: onServer(), models: true, writers: 4, strike: withStaff(twoAndABuilder, killServers)},
		{name: "sqlite-runner-kill", arena: inFile, models: true, writers: 2, strike: killRunners},
		{name: "sqlite-runner-stop", arena: inFile, models: true, writers: 2, strike: stopRunners},
	}
}

// staff are children at work on read models.
type staff []*torture.Process

// twoAndABuilder are two runners, and one who rebuilds.
var twoAndABuilder = []torture.Duty{torture.Running, torture.Running, torture.Rebuilding}

func (r *round) staff(duties []torture.Duty) (s staff, err error) {
	for _, duty := range duties {
		child, err := r.startFor(duty)
		if err != nil {
			return s, errors.Join(err, s.stop())
		}
		s = append(s, child)
	}
	return s, nil
}

func (s staff) stop() (err error) {
	for _, child := range s {
		err = errors.Join(err, child.Stop())
	}
	return err
}

// startFor starts a child with a duty.
func (r *round) startFor(duty torture.Duty) (*torture.Process, error) {
	r.children++
	child := torture.Child{Workload: r.workload(fmt.Sprintf("child%d", r.children), 2), Database: r.forStaff(), Book: r.name, Duty: duty, Models: true}
	return child.Start(itself(r.t))
}

// forStaff is the address by which read models are worked on.
func (r *round) forStaff() string { return r.flaw + r.address }

// withStaff strikes while a staff is at work.
func withStaff(duties []torture.Duty, strike func(ctx context.Context, r *round, s staff) error) func(ctx context.Context, r *round) error {
	return func(ctx context.Context, r *round) error {
		s, err := r.staff(duties)
		if err == nil {
			err = strike(ctx, r, s)
		}
		return errors.Join(err, s.stop())
	}
}

// killRunners kills one child of the staff after the other: in the middle of a page, of a
// rebuild or of a switch.
func killRunners(ctx context.Context, r *round) error {
	return withStaff(twoAndABuilder, func(ctx context.Context, r *round, s staff) error {
		return r.repeatedly(ctx, 8, func() error {
			victim := r.rand.IntN(len(s))
			killed := s[victim].Kill()
			child, err := r.startFor(twoAndABuilder[victim])
			if err == nil {
				s[victim] = child
			}
			return errors.Join(killed, err)
		})
	})(ctx, r)
}

// killServers kills sessions, and then the server.
func killServers(ctx context.Context, r *round, _ staff) error {
	kill := func() error {
		pid, err := ask[int](ctx, r.server, `SELECT pid `+session)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // all have just been thrown out
		}
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return r.back(ctx)
	}
	if err := r.repeatedly(ctx, 3, kill); err != nil {
		return err
	}
	return r.repeatedly(ctx, 1, func() error {
		r.Kill()
		r.Restart()
		return nil
	})
}

const (
	// takenOverFor bounds the wait until another runner has taken over from one that was
	// stopped: it takes 3 s, and longer where the machine has much to do.
	takenOverFor = 20 * time.Second
	// stillFor is after how long without an event, while writers are at work, the one that
	// was stopped must hold what they wait for.
	stillFor = 2 * time.Second
)

// stopRunners stops the runner that works until another one has taken over, and lets it
// go on.
func stopRunners(ctx context.Context, r *round) error {
	return withStaff([]torture.Duty{torture.Running, torture.Running}, func(ctx context.Context, r *round, s staff) error {
		reading, err := r.book(r.direct)
		if err != nil {
			return err
		}
		defer reading.close()
		for try := range 10 {
			if err := r.wait(ctx, strikePause); err != nil {
				return err
			}
			victim := s[try%2]
			before, err := runnersOf(ctx, reading.Book)
			if err != nil {
				return err
			}
			if err := victim.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			taken, err := r.takenOver(ctx, reading.Book, before)
			if err := errors.Join(err, victim.Signal(syscall.SIGCONT)); err != nil {
				return err
			}
			if taken { // the one that was stopped finds out what has become of its work
				return r.wait(ctx, 2*strikePause)
			}
		}
		return errors.New("in 10 tries nobody has taken over from a runner that was stopped")
	})(ctx, r)
}

// runnersOf are the projections that are behind and somebody works on, by name.
func runnersOf(ctx context.Context, book *daybook.Book) (map[string]daybook.ProjectionStatus, error) {
	list, err := book.Projections(ctx)
	worked := map[string]daybook.ProjectionStatus{}
	for _, p := range list {
		if p.State == daybook.GenerationLive && p.Kind == daybook.KindBehind && !p.Runner.IsZero() {
			worked[p.Projection] = p
		}
	}
	return worked, err
}

// takenOver waits until somebody else works on what somebody has worked on before. It
// reports false when that is not to be: the one that was stopped had nothing, or holds a lock
// that nobody takes away, as that of a file is.
func (r *round) takenOver(ctx context.Context, book *daybook.Book, before map[string]daybook.ProjectionStatus) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, takenOverFor)
	defer cancel()
	var head int64
	var later map[string]daybook.ProjectionStatus // when all that was under way has ended
	began := time.Now()
	moved := began
	for ctx.Err() == nil {
		now, err := runnersOf(ctx, book)
		if err != nil {
			break
		}
		working := len(later) > 0
		for name, p := range now {
			if was, found := before[name]; found && was.Runner != p.Runner {
				return true, nil
			}
			if at := p.Position + p.Lag; at > head {
				head, moved = at, time.Now()
			}
			working = working && p.Position > later[name].Position
		}
		if working || time.Since(moved) > stillFor {
			break
		}
		if later == nil && time.Since(began) > stillFor/2 {
			later = now
		}
		_ = r.wait(ctx, 40*time.Millisecond)
	}
	return false, context.Cause(r.t.Context())
}

// tables are those of the round's read models, as the database has them.
func (r *round) tables(ctx context.Context) (names []string, err error) {
	prefixes := []string{strings.ReplaceAll(r.name, "-", "_") + "_", r.models.Applied.Name + "_g"}
	var all []string
	if r.server != nil {
		all, err = ask[[]string](ctx, r.server, `SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname IN ('daybook_views', 'public')`)
	} else {
		all, err = tablesOfFile(ctx, r.address)
	}
	for _, name := range all {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			names = append(names, name)
		}
	}
	return names, err
}

func tablesOfFile(ctx context.Context, path string) (names []string, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// late is an engine that writes checkpoints in a transaction behind that of the rows.
type late struct{ daybook.Driver }

func (l late) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	var puts []daybook.Checkpoint
	err := l.Driver.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error {
		puts = nil
		return work(ctx, &lateTx{tx, &puts})
	})
	if err != nil || len(puts) == 0 {
		return err
	}
	time.Sleep(20 * time.Millisecond) // in which it may be killed
	return l.Driver.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error {
		for _, c := range puts {
			if done, err := tx.PutCheckpoint(ctx, c); err != nil || !done {
				return errors.Join(err, daybook.ErrProjectionBusy)
			}
		}
		return nil
	})
}

type lateTx struct {
	daybook.DriverTx
	puts *[]daybook.Checkpoint
}

// PutCheckpoint looks at the revision, and writes nothing yet; what makes or switches
// generations is as it should be.
func (l *lateTx) PutCheckpoint(ctx context.Context, c daybook.Checkpoint) (bool, error) {
	there, err := l.Checkpoints(ctx, c.Projection)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(there, func(other daybook.Checkpoint) bool { return other.Generation == c.Generation })
	if i < 0 || there[i].State != c.State || there[i].Position == c.Position {
		return l.DriverTx.PutCheckpoint(ctx, c)
	}
	if there[i].Revision != c.Revision {
		return false, nil
	}
	*l.puts = append(*l.puts, c)
	return true, nil
}

// careless is an engine that writes a checkpoint over any other.
type careless struct{ daybook.Driver }

func (c careless) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(context.Context, daybook.DriverTx) error) error {
	return c.Driver.Transact(ctx, book, lockHead, func(ctx context.Context, tx daybook.DriverTx) error {
		return work(ctx, carelessTx{tx})
	})
}

type carelessTx struct{ daybook.DriverTx }

func (c carelessTx) PutCheckpoint(ctx context.Context, at daybook.Checkpoint) (bool, error) {
	there, err := c.Checkpoints(ctx, at.Projection)
	if err != nil {
		return false, err
	}
	at.Revision = 0
	for _, other := range there {
		if other.Generation == at.Generation {
			at.Revision = other.Revision
		}
	}
	return c.DriverTx.PutCheckpoint(ctx, at)
}

// flaws are engines that do not do as they should, by what is put before an address.
var flaws = map[string]func(daybook.Driver) daybook.Driver{
	"late:":     func(d daybook.Driver) daybook.Driver { return late{d} },
	"careless:": func(d daybook.Driver) daybook.Driver { return careless{d} },
}

// A runner that writes its checkpoint outside of the transaction of its rows applies events
// twice when it is killed in between.
func TestControlCheckpointOutsideTheTransaction(t *testing.T) {
	t.Parallel()
	mustBreakModels(t, "late:", killRunners)
}

// A runner that does not look at the revision of the checkpoint goes on with what others have
// done meanwhile.
func TestControlCheckpointOverAnyOther(t *testing.T) {
	t.Parallel()
	mustBreakModels(t, "careless:", stopRunners)
}

func mustBreakModels(t *testing.T, flaw string, strike func(context.Context, *round) error) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs time: skipped by -short")
	}
	a := inFile(t)
	mustBreak(t, []string{"I11", "I12"}, func(n int) *torture.Report {
		f := fault{name: "control " + flaw, models: true, writers: 2, strike: strike}
		r := newRound(t, a, f, n)
		r.flaw = flaw
		report, err := r.run(f)
		if err != nil {
			t.Fatal(err)
		}
		return report
	})
}
