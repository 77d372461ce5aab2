package pgtest

import (
	"testing"
)

// A Server is a private PostgreSQL for one test, to be killed and restarted. Its
// address and its data stay the same through all of that. Call its methods from
// the test's own goroutine, one at a time; other goroutines may use the DSN
// meanwhile.
type Server struct {
	t       testing.TB
	cluster *cluster
}

// Start returns a running server that is stopped and removed when t ends.
// settings are PostgreSQL's, each "name=value" without quotes, and override
// ours (max_connections=200 and no TCP; all others, fsync too, at PostgreSQL's
// defaults). With "listen_addresses=127.0.0.1" the server listens on TCP, too,
// at a free port unless "port=" is given; tests that put a proxy in between need
// that.
//
// It skips t under "go test -short", and ends it as failed where no PostgreSQL
// is installed: it never uses $DAYBOOK_TEST_DATABASE_URL, which is not ours to
// kill.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	skipIfShort(t)
	return start(t, settings, "")
}

func start(t testing.TB, settings []string, clockLibrary string) *Server {
	t.Helper()
	c, err := newCluster(settings, clockLibrary)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return &Server{t: t, cluster: c}
}

// DSN returns the postgres:// address, for a superuser, of the server's one
// database: empty at first. It is on TCP where the server listens there, else on
// a Unix socket.
func (s *Server) DSN() string { return s.cluster.dsn() }

// Kill ends the server and all its processes as kill -9 does: no client is told,
// nothing more is written. It shows what a crash of PostgreSQL loses, not what a
// power cut does: what was written without fsync survives in the system's cache.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.cluster.kill(); err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
}

// Stop ends the server in good order, throwing out its clients. Stopping one
// that does not run is no mistake.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.cluster.stop(); err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
}

// Restart starts a killed or stopped server on the data it left, after stopping
// it where it runs, and returns when it has recovered and answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.cluster.start(); err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
}
