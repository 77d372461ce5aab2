package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// finish runs a process to its end.
func finish(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// processes is how many run at the same time in atOnce.
const processes = 8

// atOnce runs processes at the same time and counts their exit codes.
func atOnce(t *testing.T, db string, args func(i int) []string) (codes map[int]int, outcomes []outcome) {
	t.Helper()
	outcomes = make([]outcome, processes)
	var wait sync.WaitGroup
	for i := range processes {
		cmd := command(t, db, args(i)...)
		wait.Go(func() { outcomes[i] = finish(t, cmd) })
	}
	wait.Wait()
	codes = map[int]int{}
	for _, o := range outcomes {
		codes[o.code]++
	}
	return codes, outcomes
}

func TestProcessesAtOnce(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			// On SQLite all of them find that there is no file.
			codes, outcomes := atOnce(t, db, func(int) []string { return []string{"open", "alice", "--owner", "Alice"} })
			if diff := cmp.Diff(map[int]int{exitOK: 1, exitRefused: processes - 1}, codes); diff != "" {
				t.Fatalf("opening one account at once: exit codes (-want +got):\n%s%v", diff, outcomes)
			}
			codes, outcomes = atOnce(t, db, func(int) []string {
				return []string{"open", "bob", "--owner", "Bob", "--key", "k", "-o", "json"}
			})
			if diff := cmp.Diff(map[int]int{exitOK: processes}, codes); diff != "" {
				t.Fatalf("opening one account with one key: exit codes (-want +got):\n%s%v", diff, outcomes)
			}
			for _, o := range outcomes {
				if o.stdout != outcomes[0].stdout {
					t.Errorf("a repetition with the same key gives\n%s\nand the first one\n%s", o.stdout, outcomes[0].stdout)
				}
			}
			codes, outcomes = atOnce(t, db, func(int) []string { return []string{"deposit", "alice", "1"} })
			if diff := cmp.Diff(map[int]int{exitOK: processes}, codes); diff != "" {
				t.Fatalf("depositing at once: exit codes (-want +got):\n%s%v", diff, outcomes)
			}
			// Each within the balance, together beyond it.
			codes, outcomes = atOnce(t, db, func(int) []string { return []string{"withdraw", "alice", "3"} })
			if diff := cmp.Diff(map[int]int{exitOK: 2, exitRefused: processes - 2}, codes); diff != "" {
				t.Fatalf("withdrawing at once: exit codes (-want +got):\n%s%v", diff, outcomes)
			}
			codes, outcomes = atOnce(t, db, func(i int) []string {
				return []string{"deposit", "bob", strconv.Itoa(i + 1), "--expect", "1"}
			})
			if diff := cmp.Diff(map[int]int{exitOK: 1, exitConflict: processes - 1}, codes); diff != "" {
				t.Fatalf("all expecting the same number: exit codes (-want +got):\n%s%v", diff, outcomes)
			}
			if got := balanceOf(t, db, "alice"); got != fmt.Sprintf("2.00 at %d", 1+processes+2) {
				t.Errorf("alice is %s", got)
			}
		})
	}
}

func TestInterruptingAFollower(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := empty(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			cmd := command(t, db, "events", "--follow", "-o", "json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			for position := 1; position <= 3; position++ {
				if !lines.Scan() {
					t.Fatalf("the follower ended: %v\n%s", lines.Err(), &stderr)
				}
				if got := decode[eventRow](t, lines.Text()); got.Position != int64(position) {
					t.Fatalf("position %d, want %d", got.Position, position)
				}
				must(t, db, "deposit", "alice", "1") // by another process: this one
			}
			if !lines.Scan() { // the last deposit
				t.Fatal("the follower ended")
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if lines.Scan() {
				t.Errorf("after Ctrl-C: %s", lines.Text())
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("after Ctrl-C: %v, want exit code %d", err, exitInterrupted)
			}
			for _, part := range []string{"interrupted", "daybank events --follow --after 4"} {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("stderr %q does not say %q", stderr.String(), part)
				}
			}
		})
	}
}

// A writer that waits for the file's lock gives up on Ctrl-C, and nothing is written.
func TestInterruptingAWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := inFile(t, dir)
	must(t, db, "open", "alice", "--owner", "Alice")
	unlock := lockFile(t, filepath.Join(dir, "bank.db"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // as a signal ends it
	defer cancel()
	got := cliContext(ctx, db, "deposit", "alice", "1")
	if got.code != exitInterrupted || got.stdout != "" || !strings.Contains(got.stderr, "interrupted") {
		t.Errorf("exit code %d, stdout %q, stderr %q, want exit code %d", got.code, got.stdout, got.stderr, exitInterrupted)
	}
	unlock()
	if got := balanceOf(t, db, "alice"); got != "0.00 at 1" {
		t.Errorf("alice is %s, want nothing written", got)
	}
}

func TestAReaderThatGoesAwayIsNoError(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "alice", "--owner", "Alice")
	for _, args := range [][]string{{"events"}, {"events", "-o", "json", "--follow"}, {"deposit", "alice", "1"}, {"--help"}, {"completion", "zsh"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := command(t, db, args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: %v, stderr %q, want a quiet end", args, err, stderr.String())
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := balanceOf(t, db, "alice"); got != "1.00 at 2" {
		t.Errorf("alice is %s", got)
	}
}

func TestAResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	defer full.Close()
	db := inFile(t, t.TempDir())
	cmd := command(t, db, "open", "alice", "--owner", "Alice")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = full, &stderr
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "the result could not be written") {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
	if got := balanceOf(t, db, "alice"); got != "0.00 at 1" {
		t.Errorf("alice is %s, want her opened all the same", got)
	}
}

// Permissions mean nothing to root, so where the tests run as root the program
// runs as somebody else.
func TestFilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "daybank") //nolint:usetesting // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "bank.db")
	must(t, "sqlite:"+path, "open", "alice", "--owner", "Alice")
	for name, mode := range map[string]os.FileMode{path: 0o444, dir: 0o555} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for db, args := range map[string][]string{
		"sqlite:" + path: {"deposit", "alice", "1"},
		"sqlite:" + filepath.Join(dir, "other.db"): {"open", "alice", "--owner", "Alice"},
	} {
		got := finish(t, asSomebodyElse(t, command(t, db, args...)))
		if got.code != exitError || got.stdout != "" || strings.Count(got.stderr, "\n") > 2 {
			t.Errorf("%v on %s: exit code %d, stdout %q, stderr %q, want one clear error", args, db, got.code, got.stdout, got.stderr)
		}
		t.Log(got.stderr)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the file was written to")
	}
}

// asSomebodyElse makes cmd run as a user without privileges where we are root.
func asSomebodyElse(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		return cmd
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("needs a user named nobody to run as")
	}
	uid, errUID := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(nobody.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		t.Fatal(err)
	}
	// The program lies in a directory that is closed to others.
	dir, err := os.MkdirTemp("", "daybank") //nolint:usetesting // and so is t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "daybank")
	if err := errors.Join(copyFile(cmd.Path, program), os.Chmod(dir, 0o777)); err != nil { //nolint:gosec // to be run by others
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = program, dir
	cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir) // with go test -cover it writes there
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// copyFile copies a program. A process that another test starts at the same time would
// inherit the open file for a moment, and who runs a program that somebody has open
// for writing is refused ("text file busy"): so nobody may start one meanwhile.
func copyFile(from, to string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755) //nolint:gosec // a program, to be run by others
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
