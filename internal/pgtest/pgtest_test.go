package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

// connect ends t as failed where it cannot.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(t.Context(), conn) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask returns the one text that a query answers.
func ask(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	var answer string
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func TestDSN(t *testing.T) {
	t.Parallel()
	var names [2]string
	t.Run("two tests at once", func(t *testing.T) {
		for i := range names {
			t.Run("get a database each", func(t *testing.T) {
				t.Parallel()
				conn := connect(t, DSN(t))
				execute(t, conn, "CREATE TABLE note (text text)") // would fail if they shared one
				names[i] = ask(t, conn, "SELECT current_database()")
			})
		}
	})
	t.Run("the databases are gone when their tests have ended, leaked connections or not", func(t *testing.T) {
		if testing.Short() {
			t.Skip("needs PostgreSQL: skipped by -short")
		}
		conn := connect(t, adminDSN(t))
		query := "SELECT count(*)::text FROM pg_database WHERE datname IN ('" + names[0] + "', '" + names[1] + "')"
		if got := ask(t, conn, query); got != "0" {
			t.Errorf("%s of the databases %v are left", got, names)
		}
	})
}

func TestPrivateServerKeepsItsPromises(t *testing.T) {
	t.Parallel()
	conn := connect(t, Start(t).DSN())
	want := map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"max_connections": "200", "listen_addresses": "", "server_encoding": "UTF8", "is_superuser": "on",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = ask(t, conn, "SELECT current_setting('"+name+"')")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	var prepared atomic.Int64
	template := &Template{Prepare: func(dsn string) error {
		prepared.Add(1)
		return runSQL(t.Context(), dsn, "CREATE TABLE note AS SELECT 'from the template' AS text")
	}}
	t.Run("tests at once", func(t *testing.T) {
		for range 3 {
			t.Run("get a prepared copy each", func(t *testing.T) {
				t.Parallel()
				conn := connect(t, template.DSN(t))
				if got := ask(t, conn, "SELECT text FROM note"); got != "from the template" {
					t.Errorf("text is %q", got)
				}
				execute(t, conn, "UPDATE note SET text = 'changed'")
			})
		}
	})
	t.Run("it was prepared once", func(t *testing.T) {
		if got := prepared.Load(); !testing.Short() && got != 1 {
			t.Errorf("Prepare ran %d times", got)
		}
	})
	t.Run("a failing Prepare is told", func(t *testing.T) {
		failure := errors.New("no such migration")
		broken := &Template{Prepare: func(string) error { return failure }}
		if _, err := broken.make(adminDSN(t)); !errors.Is(err, failure) {
			t.Errorf("error is %v, want %v", err, failure)
		}
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	endings := map[string]func(*Server){
		"kill -9":            (*Server).Kill,
		"an orderly stop":    (*Server).Stop,
		"neither, a restart": func(*Server) {},
	}
	for name, end := range endings {
		t.Run("what was committed is there after "+name, func(t *testing.T) {
			t.Parallel()
			s := Start(t)
			conn := connect(t, s.DSN())
			execute(t, conn, "CREATE TABLE note AS SELECT 'kept' AS text")
			execute(t, conn, "BEGIN")
			execute(t, conn, "UPDATE note SET text = 'never committed'")
			end(s)
			s.Restart()
			if err := conn.Ping(t.Context()); err == nil {
				t.Error("a connection outlived its server")
			}
			if got := ask(t, connect(t, s.DSN()), "SELECT text FROM note"); got != "kept" {
				t.Errorf("text is %q", got)
			}
		})
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	t.Run("kill -9 leaves no process and nobody answers", func(t *testing.T) {
		t.Parallel()
		s := Start(t)
		pid, err := postmaster(s.cluster.data())
		if err != nil {
			t.Fatal(err)
		}
		if children, err := childrenOf(pid); err != nil || len(children) == 0 {
			t.Fatalf("the running server has the children %v, error %v", children, err)
		}
		s.Kill()
		eventually(t, "the server's process is gone", func() bool { return !alive(pid) })
		if conn, err := pgx.Connect(t.Context(), s.DSN()); err == nil {
			closeConn(t.Context(), conn)
			t.Error("a killed server answers")
		}
	})
	t.Run("over TCP the address and the password survive a crash", func(t *testing.T) {
		t.Parallel()
		s := Start(t, "listen_addresses=127.0.0.1", "fsync=off")
		before := s.DSN()
		conn := connect(t, before)
		if got := ask(t, conn, "SELECT host(inet_client_addr())"); got != "127.0.0.1" {
			t.Errorf("the client's address is %s", got)
		}
		if got := ask(t, conn, "SELECT current_setting('fsync')"); got != "off" {
			t.Errorf("fsync is %s although the test asked for off", got)
		}
		s.Kill()
		s.Restart()
		if s.DSN() != before {
			t.Errorf("DSN changed from %s to %s", before, s.DSN())
		}
		connect(t, before)
		wrong := strings.Replace(before, s.cluster.password, "guess", 1)
		if _, err := pgx.Connect(t.Context(), wrong); err == nil {
			t.Error("the server lets anybody in over TCP")
		}
	})
	t.Run("a start that fails shows the server's log and leaves no files", func(t *testing.T) {
		t.Parallel()
		skipIfShort(t)
		c, err := newCluster([]string{"shared_buffers=nonsense"}, "")
		if err == nil {
			t.Fatal("it started", c.remove())
		}
		if !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
			t.Errorf("error does not say why: %v", err)
		}
	})
}

// A server that ends by itself removes its pid file some time before its supervisor has
// ended.
func TestStopMeetsAServerThatIsEnding(t *testing.T) {
	t.Parallel()
	s := Start(t)
	pid, err := postmaster(s.cluster.data())
	if err != nil {
		t.Fatal(err)
	}
	supervisor := parentOf(t, pid)
	signal := func(pid int, signal syscall.Signal) {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Error(err)
		}
	}
	signal(supervisor, syscall.SIGSTOP)
	signal(pid, syscall.SIGINT)
	eventually(t, "the pid file is gone", func() bool {
		_, err := pidFile(s.cluster.data())
		return errors.Is(err, fs.ErrNotExist)
	})
	stopped := make(chan error, 1)
	go func() { stopped <- s.cluster.stop() }()
	select {
	case err := <-stopped:
		t.Errorf("stop did not wait: %v", err)
		stopped <- nil
	case <-time.After(100 * time.Millisecond):
	}
	signal(supervisor, syscall.SIGCONT)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	pairs, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(pairs, func(pair processPair) bool { return pair.pid == pid })
	if i < 0 {
		t.Fatalf("there is no process %d", pid)
	}
	return pairs[i].parent
}

func TestInitializedOnce(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	in, err := findInstallation()
	if err != nil {
		t.Fatal(err)
	}
	as, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := as.mkdirTemp(as.tempDir(), "daybook-pgtest-cache-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(cache); err != nil {
			t.Error(err)
		}
	})
	t.Run("callers at once", func(t *testing.T) {
		for range 3 {
			t.Run("get the same directory", func(t *testing.T) {
				t.Parallel()
				got, err := initialized(in, as, cache)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(filepath.Join(got, "PG_VERSION")); err != nil {
					t.Error(err)
				}
			})
		}
	})
	t.Run("and nothing else is left in the cache", func(t *testing.T) {
		entries, err := os.ReadDir(cache)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 2 { // the cluster and the lock
			t.Errorf("the cache holds %v", entries)
		}
	})
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]installation{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": {version: "15.18", major: 15},
		"postgres (PostgreSQL) 18beta1\n":                        {version: "18beta1", major: 18},
		"postgres (PostgreSQL) 9.6.24\n":                         {version: "9.6.24", major: 9},
		"postgres 1\n":                                           {},
		"":                                                       {},
	} {
		t.Run("of "+line, func(t *testing.T) {
			t.Parallel()
			version, major := parseVersion(line)
			if version != want.version || major != want.major {
				t.Errorf("version %q major %d, want %q %d", version, major, want.version, want.major)
			}
		})
	}
}
