package torture_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// disk is a small file system that can be filled.
type disk struct{ dir string }

// newDisk mounts one, where this user may, and else skips t.
func newDisk(t *testing.T, size string) *disk {
	t.Helper()
	// Not t.TempDir: the server runs as somebody else, who must reach it.
	dir, err := os.MkdirTemp("", "torture-disk-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0777,size="+size, "none", dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: no small disk, because mounting one takes root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return &disk{dir}
}

// fill writes to the disk until there is no room; the file returned takes it.
func (d *disk) fill() (balloon string, err error) {
	balloon = filepath.Join(d.dir, "balloon")
	file, err := os.Create(balloon)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for size := 1 << 20; size >= 1<<12; size /= 2 {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return balloon, err
		}
	}
	return balloon, nil
}

// owned makes a directory on the disk that belongs to whoever owns like.
func (d *disk) owned(name, like string) (string, error) {
	dir := filepath.Join(d.dir, name)
	info, err := os.Stat(like)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("whose is %s?", like)
	}
	return dir, errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(stat.Uid), int(stat.Gid)))
}

func (s *server) dataDirectory(ctx context.Context) (string, error) {
	return ask[string](ctx, s, `SHOW data_directory`)
}

func diskFaults() []fault {
	return []fault{
		{name: "full-data", writers: 8, strike: inTheWay(nil), arena: func(t *testing.T) *arena {
			t.Helper()
			d := newDisk(t, "40m")
			a := onServer("temp_buffers=100")(t)
			a.disk = d
			if err := a.moveTables(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			return a
		}},
		{name: "full-wal", writers: 8, strike: inTheWay(breakLog), arena: func(t *testing.T) *arena {
			t.Helper()
			d := newDisk(t, "160m")
			a := onServer("wal_recycle=off", "wal_init_zero=on", "min_wal_size=32MB", "max_wal_size=48MB")(t)
			a.disk = d
			if err := a.moveLog(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			return a
		}},
		{name: "eio-fdatasync", writers: 8, strike: failSyncs, arena: func(t *testing.T) *arena {
			t.Helper()
			needsStrace(t)
			return onServer("wal_sync_method=fdatasync")(t)
		}},
	}
}

// moveTables puts the events on the small disk.
func (a *arena) moveTables(ctx context.Context, d *disk) error {
	data, err := a.dataDirectory(ctx)
	if err != nil {
		return err
	}
	dir, err := d.owned("tables", data)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, a.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{
		`CREATE TABLESPACE small LOCATION '` + dir + `'`,
		`ALTER TABLE daybook.events SET TABLESPACE small`,
		`ALTER INDEX daybook.events_pkey SET TABLESPACE small`,
		`ALTER INDEX daybook.events_event_id_key SET TABLESPACE small`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// moveLog puts the write-ahead log on the small disk.
func (a *arena) moveLog(ctx context.Context, d *disk) error {
	data, err := a.dataDirectory(ctx)
	if err != nil {
		return err
	}
	dir, err := d.owned("log", data)
	if err != nil {
		return err
	}
	a.Stop()
	log := filepath.Join(data, "pg_wal")
	if out, err := exec.Command("cp", "-a", log+"/.", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := errors.Join(os.RemoveAll(log), os.Symlink(dir, log)); err != nil {
		return err
	}
	a.Restart()
	return nil
}

// inTheWay fills the disk, lets the writers run into that, and makes room again.
func inTheWay(meanwhile func(context.Context, *round) error) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error {
		data, err := r.dataDirectory(ctx)
		if err != nil {
			return err
		}
		return r.repeatedly(ctx, 2, func() error {
			balloon, err := r.disk.fill()
			if err == nil {
				err = r.wait(ctx, 2*strikePause)
			}
			if err == nil && meanwhile != nil {
				err = meanwhile(ctx, r)
			}
			if balloon != "" {
				err = errors.Join(err, os.Remove(balloon))
			}
			if meanwhile != nil && !r.recovers(data) {
				r.Restart()
			}
			return errors.Join(err, r.back(ctx))
		})
	}
}

// breakLog makes the server go on to files of the log for which there is no room: it
// panics, and cannot recover until there is.
func breakLog(ctx context.Context, r *round) error {
	for range 20 {
		conn, err := pgx.Connect(ctx, r.direct)
		if err != nil {
			return r.wait(ctx, strikePause) // it is down
		}
		_, err = conn.Exec(ctx, `SELECT pg_switch_wal(), pg_logical_emit_message(false, 'torture', repeat('x', 100000))`)
		_ = conn.Close(ctx)
		if err != nil {
			return r.wait(ctx, strikePause)
		}
	}
	return errors.New("the server found room on a full disk")
}

// recovers reports whether the server comes back by itself. It has given up, and has
// removed its pid file, where it began to recover before there was room.
func (r *round) recovers(data string) bool {
	ctx := r.t.Context()
	for deadline := time.Now().Add(backFor); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := pgx.Connect(ctx, r.direct); err == nil {
			return conn.Close(ctx) == nil
		}
		if _, err := os.Stat(filepath.Join(data, "postmaster.pid")); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return false
}

func needsStrace(t *testing.T) {
	t.Helper()
	out, err := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO", "true").CombinedOutput()
	if err != nil {
		t.Skipf("skipped: strace cannot be used here: %v: %s", err, out)
	}
}

// failSyncs makes the server's flushes of the log fail: with strace on the
// postmaster and its children, one in so many. PostgreSQL panics and recovers.
func failSyncs(ctx context.Context, r *round) error {
	return r.repeatedly(ctx, 2, func() error {
		data, err := r.dataDirectory(ctx)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
		if err != nil {
			return err
		}
		var postmaster int
		if _, err := fmt.Sscan(string(content), &postmaster); err != nil {
			return err
		}
		every := strconv.Itoa(5 + r.rand.IntN(30))
		args := []string{"-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=" + every + "+" + every, "-p", strconv.Itoa(postmaster)}
		sessions, err := ask[[]int32](ctx, r.server, `SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'daybook'`)
		if err != nil {
			return err
		}
		for _, pid := range sessions {
			args = append(args, "-p", strconv.Itoa(int(pid)))
		}
		strace := exec.Command("strace", args...)
		if err := strace.Start(); err != nil {
			return err
		}
		err = r.wait(ctx, 3*strikePause)
		err = errors.Join(err, strace.Process.Signal(os.Interrupt))
		_ = strace.Wait() // it ends by the signal, or because all whom it watched have
		time.Sleep(10 * time.Millisecond)
		return errors.Join(err, r.back(ctx))
	})
}
