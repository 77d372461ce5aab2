package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envOrphan tells a copy of this test binary how to end, once its server runs.
const (
	envOrphan   = "DAYBOOK_PGTEST_ORPHAN"
	endingPanic = "panics"
)

// TestOrphanHelper is no test: TestOrphan runs it in a process of its own.
func TestOrphanHelper(t *testing.T) {
	ending := os.Getenv(envOrphan)
	if ending == "" {
		t.Skip("runs only inside TestOrphan")
	}
	s := Start(t)
	pid, err := postmaster(s.cluster.data())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("server %d %s\n", pid, s.cluster.dir)
	if ending == endingPanic {
		go panic("as asked")
	}
	select {}
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	endings := map[string]func(*os.Process) error{
		"is killed with kill -9": (*os.Process).Kill,
		endingPanic:              func(*os.Process) error { return nil },
		// Not os.Interrupt: what a shell starts in the background ignores that one, and
		// hands that down.
		"is terminated": func(p *os.Process) error { return p.Signal(syscall.SIGTERM) },
	}
	for name, end := range endings {
		t.Run("a test binary that "+name+" leaves no server and no files", func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOrphanHelper$", "-test.v")
			cmd.Env = append(os.Environ(), envOrphan+"="+name)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid, dir := readHelper(t, out)
			if !alive(pid) && name != endingPanic { // which it may have done by now
				t.Fatalf("the helper's server %d does not run", pid)
			}
			children, err := childrenOf(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := end(cmd.Process); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the helper ended well")
			}
			for _, p := range append(children, pid) {
				eventually(t, fmt.Sprintf("process %d is gone", p), func() bool { return !alive(p) })
			}
			eventually(t, dir+" is gone", func() bool {
				_, err := os.Stat(dir)
				return errors.Is(err, fs.ErrNotExist)
			})
		})
	}
}

// readHelper waits for the line in which the helper tells of its server.
func readHelper(t *testing.T, out io.Reader) (pid int, dir string) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, err := fmt.Sscanf(lines.Text(), "server %d %s", &pid, &dir); err == nil && n == 2 {
			return pid, dir
		}
	}
	t.Fatalf("the helper ended without a server: %v", lines.Err())
	return 0, ""
}

// alive reports whether a process runs; one that only waits for its parent to
// take notice of its end does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return true // no such files here: the signal has to do
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	line := string(stat)
	return !slices.Contains(strings.Fields(line[strings.LastIndexByte(line, ')')+1:])[:1], "Z")
}

// eventually ends t as failed when the condition does not come true within the
// time that a busy machine needs.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("not true after 30 s: %s", what)
		}
	}
}
