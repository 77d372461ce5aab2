package pgtest

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed supervise.sh
var supervisor string

// A process is a server under its supervisor, which ends the server when we end
// (supervise.sh). The kernel's own way, Pdeathsig, follows the thread that
// started the child, and Go's threads come and go.
type process struct {
	lifeline io.Closer     // the supervisor waits for this to close
	ended    chan struct{} // closed when server and supervisor have ended
	err      error         // how; to be read after ended
}

// supervise starts a server whose directory is dir, logging to log.
func supervise(as account, dir string, log *os.File, command []string) (*process, error) {
	cmd := as.command(dir, "/bin/sh", append([]string{"-c", supervisor, "pgtest", dir}, command...)...)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Its own group: Ctrl-C is for the test binary, and the end of that ends it.
	cmd.SysProcAttr.Setpgid = true
	// Never our own output: "go test" waits until everybody has closed that.
	cmd.Stdout, cmd.Stderr = log, log
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{lifeline: lifeline, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// abandon gives up a server that we cannot talk to. Where it has not ended by
// itself, the supervisor removes its files.
func (p *process) abandon() error {
	if p.hasEnded() {
		return nil
	}
	return errors.Join(p.lifeline.Close(), p.wait())
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop asks the server of the given data directory for a fast shutdown and waits
// for the end.
func (p *process) stop(data string) error {
	if p.hasEnded() { // the pid may be somebody else's by now
		return nil
	}
	pid, err := postmaster(data)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGINT)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return p.wait() // it is ending by itself: the file goes first, the supervisor last
	}
	if err != nil {
		return fmt.Errorf("stopping the server: %w", errors.Join(err, p.abandon()))
	}
	return p.wait()
}

// kill sends SIGKILL to the postmaster and to all its children.
func (p *process) kill(data string) error {
	if p.hasEnded() {
		return errors.New("killing the server: it has ended by itself")
	}
	pid, err := postmaster(data)
	if err != nil {
		return fmt.Errorf("killing the server: %w", errors.Join(err, p.abandon()))
	}
	// Held still first, lest it start more children after the list is made.
	stopped := syscall.Kill(pid, syscall.SIGSTOP)
	children, err := childrenOf(pid)
	killed := syscall.Kill(pid, syscall.SIGKILL)
	for _, child := range children {
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			killed = errors.Join(killed, err)
		}
	}
	if err := errors.Join(stopped, err, killed); err != nil {
		return fmt.Errorf("killing the server: %w", err)
	}
	return p.wait()
}

func (p *process) wait() error {
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the server did not end within %v", stopTimeout)
	}
}

// pidFile returns the lines of the file that a running server keeps.
func pidFile(data string) ([]string, error) {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	return strings.Split(string(content), "\n"), nil
}

// postmaster returns the process id of the server of a data directory.
func postmaster(data string) (int, error) {
	lines, err := pidFile(data)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(lines[0]))
}

// sharedMemory returns the id of the System V segment that a killed server left
// behind, "" for none.
func sharedMemory(data string) string {
	const line = 6 // "key id"
	lines, err := pidFile(data)
	if err != nil || len(lines) <= line {
		return ""
	}
	fields := strings.Fields(lines[line])
	if len(fields) != 2 {
		return ""
	}
	return fields[1]
}

// childrenOf lists the direct children of a process; a server has no others.
func childrenOf(pid int) ([]int, error) {
	pairs, err := processes()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var children []int
	for _, pair := range pairs {
		if pair.parent == pid {
			children = append(children, pair.pid)
		}
	}
	slices.Sort(children)
	return children, nil
}

type processPair struct{ pid, parent int }

// processes lists all of the system: from /proc, as small containers have no ps,
// and where there is no /proc, from ps.
func processes() ([]processPair, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var pairs []processPair
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// "pid (name) state parent …", and a name may hold spaces and brackets.
		line := string(content)
		fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		pairs = appendPair(pairs, filepath.Base(filepath.Dir(path)), fields[1])
	}
	if len(stats) > 0 {
		return pairs, nil
	}
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 {
			pairs = appendPair(pairs, fields[0], fields[1])
		}
	}
	return pairs, nil
}

// appendPair leaves out what is not two numbers.
func appendPair(pairs []processPair, pid, parent string) []processPair {
	p, errPID := strconv.Atoi(pid)
	pp, errParent := strconv.Atoi(parent)
	if errPID != nil || errParent != nil {
		return pairs
	}
	return append(pairs, processPair{pid: p, parent: pp})
}
