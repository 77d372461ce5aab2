package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// clockTick is what /proc counts CPU time in: on Linux a hundredth of a second on
// every architecture that matters here (USER_HZ).
const clockTick = 10 * time.Millisecond

// server is a PostgreSQL whose processes can be seen from here. The zero server
// cannot be seen.
type server struct{ postmaster int }

func (s server) visible() bool { return s.postmaster != 0 }

// findServer looks for the server of pool among the processes of this machine.
func findServer(ctx context.Context, pool *pgxpool.Pool) server {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return server{}
	}
	defer conn.Release()
	network := conn.Conn().PgConn().Conn().RemoteAddr()
	if tcp, ok := network.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return server{}
	}
	var pid int
	var database string
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid(), current_database()").Scan(&pid, &database); err != nil {
		return server{}
	}
	// In a container of its own it has other numbers: then this is nobody, or
	// somebody else.
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasPrefix(string(title), "postgres: ") || !strings.Contains(string(title), " "+database+" ") {
		return server{}
	}
	stat, err := readStat(strconv.Itoa(pid))
	if err != nil {
		return server{}
	}
	return server{postmaster: stat.parent}
}

// cpu returns the CPU time that the server has taken since it was started: the
// postmaster's, its children's, and that of the children it has outlived. It returns
// false where the server cannot be seen.
func (s server) cpu() (time.Duration, bool) {
	if !s.visible() {
		return 0, false
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, false
	}
	var total time.Duration
	found := false
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		stat, err := readStat(pid)
		if err != nil {
			continue // it has ended since
		}
		switch {
		case pid == strconv.Itoa(s.postmaster):
			total += stat.own + stat.reaped
			found = true
		case stat.parent == s.postmaster:
			total += stat.own
		}
	}
	return total, found
}

// procStat is what /proc tells of a process.
type procStat struct {
	parent      int
	own, reaped time.Duration
}

// readStat reads /proc/PID/stat, and the finer clock of /proc/PID/schedstat where
// the kernel keeps it: a server's processes have one thread each.
func readStat(pid string) (procStat, error) {
	content, err := os.ReadFile("/proc/" + pid + "/stat") //nolint:gosec // G304: pid is a number
	if err != nil {
		return procStat{}, err
	}
	// "pid (name) state parent …", and a name may hold spaces and brackets.
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	const state, parent, userTime, reapedTime, enough = 0, 1, 11, 13, 15
	if len(fields) < enough {
		return procStat{}, fmt.Errorf("/proc/%s/stat has %d fields after %q", pid, len(fields), fields[state])
	}
	stat := procStat{own: ticks(fields[userTime:]), reaped: ticks(fields[reapedTime:])}
	if stat.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return procStat{}, err
	}
	if fine, err := os.ReadFile("/proc/" + pid + "/schedstat"); err == nil { //nolint:gosec // G304: pid is a number
		nanoseconds, _, _ := strings.Cut(string(fine), " ")
		if n, err := strconv.ParseInt(nanoseconds, 10, 64); err == nil {
			stat.own = time.Duration(n)
		}
	}
	return stat, nil
}

// ticks adds up the two fields for user and system time.
func ticks(fields []string) time.Duration {
	user, errUser := strconv.ParseInt(fields[0], 10, 64)
	system, errSystem := strconv.ParseInt(fields[1], 10, 64)
	if errors.Join(errUser, errSystem) != nil {
		return 0
	}
	return time.Duration(user+system) * clockTick
}

// peakRSS returns the most memory this process has had resident, in bytes, or 0
// where the system does not tell. It is not getrusage's: that one begins with what
// the parent had.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}
