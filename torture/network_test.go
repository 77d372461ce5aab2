package torture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// toxiproxy is the program of tools/toxiproxy, built once, or why it could not be.
var toxiproxy struct {
	once sync.Once
	path string
	err  error
}

// proxy is a toxiproxy between writers and server. It ends with the test.
type proxy struct{ api string }

// startProxy starts one and returns the address of what dsn names, through it.
func startProxy(t *testing.T, dsn string) (p *proxy, address string) {
	t.Helper()
	toxiproxy.once.Do(func() {
		// This builds it, into Go's own cache, and says where it is.
		var said bytes.Buffer
		cmd := exec.Command("go", "-C", "../tools/toxiproxy", "tool", "-n", "server")
		cmd.Stderr = &said
		out, err := cmd.Output()
		toxiproxy.path = strings.TrimSpace(string(out))
		if err != nil {
			toxiproxy.err = fmt.Errorf("%w: %s", err, &said)
		}
	})
	if toxiproxy.err != nil {
		t.Skipf("skipped: toxiproxy cannot be built here: %v", toxiproxy.err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for range proxyStarts {
		p = runProxy(t)
		if u.Host, err = p.forward(t.Context(), u.Host); err == nil {
			return p, u.String()
		}
	}
	t.Fatalf("toxiproxy does not answer: %v", err)
	return nil, ""
}

// proxyStarts bounds how often a proxy is started: its port may just have been taken.
const proxyStarts = 3

// runProxy runs one until the test ends. Whether it does is for forward to find out.
func runProxy(t *testing.T) *proxy {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	// The shell ends it when its own input ends, however this test binary does.
	cmd := exec.Command("/bin/sh", "-c", `"$@" </dev/null >/dev/null 2>&1 & p=$!; cat >/dev/null; kill -9 $p`, "sh", toxiproxy.path, "-host", "127.0.0.1", "-port", port)
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = lifeline.Close(), cmd.Wait() })
	return &proxy{api: "http://127.0.0.1:" + port}
}

// forward makes the proxy listen for whoever wants to connect to upstream, and returns
// where.
func (p *proxy) forward(ctx context.Context, upstream string) (listen string, err error) {
	var made struct {
		Listen string `json:"listen"`
	}
	body := map[string]any{"name": "server", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		said, err := p.do(ctx, http.MethodPost, "/proxies", body)
		if err == nil {
			err = json.Unmarshal(said, &made)
			return made.Listen, err
		}
		if time.Now().After(deadline) {
			return "", err
		}
	}
}

// freeAddress is one on which nobody listened a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *proxy) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, p.api+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if response.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, said)
	}
	return said, err
}

// toxic is what the proxy does to what goes through it.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream: to the server; downstream: from it
	Attributes map[string]any `json:"attributes"`
}

// poison puts toxics in, waits, and takes them out.
func (r *round) poison(ctx context.Context, toxics ...toxic) error {
	for i, tox := range toxics {
		tox.Name = fmt.Sprint("toxic", i)
		if _, err := r.proxy.do(ctx, http.MethodPost, "/proxies/server/toxics", tox); err != nil {
			return err
		}
	}
	err := r.wait(ctx, strikePause)
	for i := range toxics {
		_, removed := r.proxy.do(ctx, http.MethodDelete, fmt.Sprint("/proxies/server/toxics/toxic", i), nil)
		err = errors.Join(err, removed)
	}
	return err
}

// anything strikes in one of several ways, and does not wait for what it struck to
// come to rest before the next.
func (r *round) anything(ctx context.Context) error {
	switch r.rand.IntN(4) {
	case 0:
		r.Kill()
		r.Restart()
		return nil
	case 1:
		_, err := ask[int](ctx, r.server, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daybook') AS ended`)
		return err
	case 2:
		return r.poison(ctx, toxic{Type: "limit_data", Stream: down, Attributes: map[string]any{"bytes": 500 + r.rand.IntN(5000)}})
	default:
		return r.poison(ctx, toxic{Type: "reset_peer", Stream: down, Attributes: map[string]any{"timeout": r.rand.IntN(30)}})
	}
}

const (
	up   = "upstream"
	down = "downstream"
)

// networkFaults are what can happen to the connection of a client.
func networkFaults() []fault {
	throughProxy := func(t *testing.T) *arena {
		t.Helper()
		s := startServer(t, "listen_addresses=127.0.0.1")
		p, address := startProxy(t, s.DSN())
		return &arena{server: s, address: address, direct: s.DSN(), proxy: p}
	}
	network := func(name string, toxics func(chance *rand.Rand) []toxic) fault {
		return fault{name: name, arena: throughProxy, writers: 12, crowds: true, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 4, func() error { return r.poison(ctx, toxics(r.rand)...) })
		}}
	}
	// A connection is used for a while before it has carried so much.
	some := func(chance *rand.Rand) map[string]any { return map[string]any{"bytes": 500 + chance.IntN(20_000)} }
	return []fault{
		{name: "storm", arena: throughProxy, writers: 12, crowds: true, strike: func(ctx context.Context, r *round) error {
			return r.repeatedly(ctx, 8, func() error { return r.anything(ctx) })
		}},
		network("net-reset", func(chance *rand.Rand) []toxic {
			return []toxic{{Type: "reset_peer", Stream: down, Attributes: map[string]any{"timeout": chance.IntN(30)}}}
		}),
		network("net-cut-up", func(chance *rand.Rand) []toxic {
			return []toxic{{Type: "limit_data", Stream: up, Attributes: some(chance)}}
		}),
		network("net-cut-down", func(chance *rand.Rand) []toxic {
			return []toxic{{Type: "limit_data", Stream: down, Attributes: some(chance)}}
		}),
		network("net-slices", func(*rand.Rand) []toxic {
			slices := map[string]any{"average_size": 50, "size_variation": 40, "delay": 50}
			return []toxic{{Type: "slicer", Stream: up, Attributes: slices}, {Type: "slicer", Stream: down, Attributes: slices}}
		}),
		network("net-latency", func(chance *rand.Rand) []toxic {
			late := map[string]any{"latency": chance.IntN(30), "jitter": 20}
			return []toxic{{Type: "latency", Stream: up, Attributes: late}, {Type: "latency", Stream: down, Attributes: late}}
		}),
		network("net-black-hole", func(chance *rand.Rand) []toxic {
			direction := []string{up, down}[chance.IntN(2)]
			return []toxic{{Type: "timeout", Stream: direction, Attributes: map[string]any{"timeout": 0}}}
		}),
		network("net-timeout", func(chance *rand.Rand) []toxic {
			direction := []string{up, down}[chance.IntN(2)]
			return []toxic{{Type: "timeout", Stream: direction, Attributes: map[string]any{"timeout": 1 + chance.IntN(200)}}}
		}),
	}
}
