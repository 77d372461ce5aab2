package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds one start, recovery after a crash included.
	startTimeout = 60 * time.Second
	// stopTimeout bounds a fast shutdown, which writes a last checkpoint.
	stopTimeout = 60 * time.Second
	// pollInterval is the time between two looks at whether a server is ready.
	pollInterval = 20 * time.Millisecond
	// maxStarts bounds the attempts at a start that failed for a reason which
	// passes: memory of killed processes still in use, a port just taken.
	maxStarts = 50
	// restDelay is the time between two of them.
	restDelay = 200 * time.Millisecond
	// maxLogTail is how much of the server's log an error shows, in bytes.
	maxLogTail = 4 << 10
	// socketPort is part of the name of the socket in the cluster's own directory,
	// so it cannot clash with another server's.
	socketPort = 5432
)

// baseSettings are the server's settings where a test names no others. Nothing
// here weakens durability: tests are about that.
var baseSettings = []string{
	"max_connections=200",
	"listen_addresses=",
	// In the data directory, which is removed; in /dev/shm a kill -9 would leave
	// a file behind each time.
	"dynamic_shared_memory_type=mmap",
}

// A cluster is a private server with its data: one directory holds everything.
// Its methods must not be called at the same time.
type cluster struct {
	in       installation
	as       account
	dir      string
	settings []string
	port     int    // for connections over TCP; 0 is the socket only
	pickPort bool   // the port was our choice
	password string // for connections over TCP; the socket needs none
	running  *process

	clockLibrary string // loaded into the server; "" where its clock is the machine's
}

// newCluster makes and starts a server. settings ("name=value") come after ours
// and so win. With a clockLibrary its clock can be set.
func newCluster(settings []string, clockLibrary string) (*cluster, error) {
	in, err := findInstallation()
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	cache, err := as.cacheDir()
	if err != nil {
		return nil, err
	}
	template, err := initialized(in, as, cache)
	if err != nil {
		return nil, err
	}
	dir, err := as.mkdirTemp(as.tempDir(), "daybook-pg-*")
	if err != nil {
		return nil, err
	}
	c := &cluster{in: in, as: as, dir: dir, settings: settings, clockLibrary: clockLibrary}
	if err := c.prepare(template); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cluster) prepare(template string) error {
	if err := copyCluster(c.as, template, c.data()); err != nil {
		return err
	}
	if out, err := c.as.command(c.dir, "mkdir", c.socketDir()).CombinedOutput(); err != nil {
		return fmt.Errorf("making the socket's directory: %w\n%s", err, out)
	}
	listen, port := setting(c.settings, "listen_addresses"), setting(c.settings, "port")
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("setting port=%s: must be a number", port)
		}
		c.port = n
	}
	c.pickPort = listen != "" && port == ""
	if c.clockLibrary != "" {
		if err := c.setClock(0); err != nil {
			return err
		}
	}
	if err := c.start(); err != nil {
		return err
	}
	if listen == "" {
		return nil
	}
	c.password = rand.Text()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	return runSQL(ctx, c.socketDSN(), fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", superuser, c.password))
}

func (c *cluster) data() string      { return filepath.Join(c.dir, "data") }
func (c *cluster) socketDir() string { return filepath.Join(c.dir, "s") }
func (c *cluster) logPath() string   { return filepath.Join(c.dir, "log") }

// dsn returns the address of the maintenance database: over TCP where the
// server listens, as that is why it does, else on the socket.
func (c *cluster) dsn() string {
	if setting(c.settings, "listen_addresses") == "" {
		return c.socketDSN()
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, c.password), Path: "/postgres", RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
	}
	return u.String()
}

func (c *cluster) socketDSN() string {
	port := socketPort
	if c.port != 0 {
		port = c.port
	}
	query := url.Values{"host": {c.socketDir()}, "port": {strconv.Itoa(port)}, "user": {superuser}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode()
}

// setting returns the last value given to name, "" for none.
func setting(settings []string, name string) string {
	var last string
	for _, s := range settings {
		if key, value, _ := strings.Cut(s, "="); key == name {
			last = value
		}
	}
	return last
}

// start runs the server and returns when it answers.
func (c *cluster) start() error {
	var err error
	for range maxStarts {
		if c.pickPort && c.password == "" { // nobody has been told a port yet
			if c.port, err = freePort(); err != nil {
				return err
			}
		}
		var tail string
		if tail, err = c.startOnce(); err == nil {
			return nil
		}
		err = fmt.Errorf("starting PostgreSQL %s of %s: %w\n%s", c.in.version, c.in.dir, err, tail)
		// After kill -9 the server's children take a moment to die.
		passes := strings.Contains(tail, "shared memory block") || strings.Contains(tail, "is already in use") ||
			c.pickPort && strings.Contains(tail, "Address already in use")
		if !passes {
			return err
		}
		time.Sleep(restDelay)
	}
	return err
}

// startOnce also returns what the server logged meanwhile.
func (c *cluster) startOnce() (tail string, err error) {
	log, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	p, err := supervise(c.as, c.dir, log, c.serverCommand())
	if err != nil {
		return "", err
	}
	if err := c.waitReady(p); err != nil {
		tail = c.logTail(before) // before the files may go
		return tail, errors.Join(err, p.abandon())
	}
	c.running = p
	return "", nil
}

func (c *cluster) serverCommand() []string {
	command := []string{c.in.binary("postgres"), "-D", c.data(), "-k", c.socketDir()}
	port := socketPort
	if c.port != 0 {
		port = c.port
	}
	for _, s := range append(append([]string{"port=" + strconv.Itoa(port)}, baseSettings...), c.settings...) {
		command = append(command, "-c", s)
	}
	return c.underClock(command)
}

// waitReady returns when the server answers a query, or with an error when it
// ended or took too long.
func (c *cluster) waitReady(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.socketDSN())
		if err == nil {
			closeConn(ctx, conn)
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server ended: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not answer within %v: %w", startTimeout, err)
		case <-time.After(pollInterval):
		}
	}
}

// logTail returns the end of what was logged after the byte at from. It is for
// messages: what cannot be read is said in its place.
func (c *cluster) logTail(from int64) string {
	all, err := os.ReadFile(c.logPath())
	if err != nil {
		return err.Error()
	}
	all = all[min(from, int64(len(all))):]
	return string(all[max(0, len(all)-maxLogTail):])
}

// stop ends the server in good order and keeps its data. Of one that does not
// run it does nothing.
func (c *cluster) stop() error {
	if c.running == nil {
		return nil
	}
	p := c.running
	c.running = nil
	return p.stop(c.data())
}

// kill ends every process of the server with SIGKILL and keeps its data.
func (c *cluster) kill() error {
	if c.running == nil {
		return errors.New("killing the server: it does not run")
	}
	p := c.running
	c.running = nil
	return p.kill(c.data())
}

// remove stops the server and removes all its files.
func (c *cluster) remove() error {
	err := c.stop()
	if shared := sharedMemory(c.data()); shared != "" {
		// Left by a kill: nobody else will release it before the next boot. It is
		// a few bytes, so to fail is no reason to fail a test.
		_ = exec.Command("ipcrm", "-m", shared).Run()
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// freePort returns a TCP port that nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(fmt.Errorf("finding a free port: got %v", l.Addr()), l.Close())
	}
	return addr.Port, l.Close()
}
