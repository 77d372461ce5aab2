package bench

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// envChild is set for a process that Run has started.
const envChild = "DAYBOOK_BENCH_CHILD"

// Child does the work of a process that [Run] has started, and reports then that it
// is done: the caller must exit, with an error's message where there is one. In any
// other process it returns false at once. Call it first thing in main, or in
// TestMain: before flags are parsed, as these are not the child's, and before
// anything is written to stdout, which is how the child answers.
func Child(ctx context.Context) (done bool, err error) {
	if os.Getenv(envChild) == "" {
		return false, nil
	}
	return true, serve(ctx, os.Stdin, os.Stdout)
}

// What a worker can be asked for.
const (
	doOpen   = "open"   // get ready to append
	doAppend = "append" // for a while
	doRead   = "read"   // the whole book
	doVerify = "verify" // the whole book
	doFollow = "follow" // from a position on, from now on
	doSeen   = "seen"   // wait for a position, and say what was seen until then

	doRebuild   = "rebuild"   // a read model of the whole book
	doProject   = "project"   // run a view behind the book, from now on
	doProjected = "projected" // wait until it is at a position, and say what it has done until then
)

// request is what a worker is asked for.
type request struct {
	Do        string
	Contender string
	Target    target
	Callers   int
	For       time.Duration
	Position  int64
}

// reply is its answer.
type reply struct {
	Err     string
	Sample  sample
	Written written
}

// serve answers requests until there are no more.
func serve(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	hand := &hand{}
	defer func() {
		cancel()
		err = errors.Join(err, hand.close())
	}()
	requests, replies := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var asked request
		if err := requests.Decode(&asked); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		answer, err := hand.do(ctx, asked)
		if err != nil {
			answer.Err = err.Error()
		}
		if err := replies.Encode(answer); err != nil {
			return err
		}
	}
}

// hand is what a worker keeps from one request to the next.
type hand struct {
	callers    *callers
	follower   *follower
	projecting *projecting
	closers    []func() error
}

func (h *hand) close() error {
	if h.follower != nil {
		<-h.follower.ended
	}
	var errs []error
	for _, f := range h.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (h *hand) do(ctx context.Context, asked request) (answer reply, err error) {
	switch asked.Do {
	case doOpen:
		write, err := h.open(ctx, asked)
		if err == nil {
			h.callers = newCallers(asked.Callers, write)
		}
		return reply{}, err
	case doAppend:
		answer.Sample, err = h.callers.run(ctx, asked.For)
		answer.Written = h.callers.written()
		return answer, err
	case doRead:
		answer.Sample, err = readBook(ctx, asked)
		return answer, err
	case doVerify:
		answer.Sample, err = verifyBook(ctx, asked)
		return answer, err
	case doFollow:
		return reply{}, h.follow(ctx, asked)
	case doRebuild:
		answer.Sample, err = rebuild(ctx, asked)
		return answer, err
	case doProject:
		return reply{}, h.project(ctx, asked)
	case doProjected:
		answer.Sample, err = h.projecting.projected(ctx, asked.Position)
		return answer, err
	case doSeen:
		answer.Sample, err = h.follower.seen(ctx, asked.Position)
		return answer, err
	}
	return reply{}, fmt.Errorf("%q is no request", asked.Do)
}

// open returns the contender's way to append.
func (h *hand) open(ctx context.Context, asked request) (appender, error) {
	if asked.Contender != nameDaybook {
		pool, err := openPool(ctx, asked.Target.DSN, asked.Callers)
		if err != nil {
			return nil, err
		}
		h.closers = append(h.closers, func() error {
			pool.Close()
			return nil
		})
		return kind(asked.Contender).appender(pool, asked.Target), nil
	}
	book, closeBook, err := openBook(ctx, asked.Target)
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, closeBook)
	return appendTo(book), nil
}

// worker is a process that was started for the benchmark, seen from the outside.
type worker struct {
	command  *exec.Cmd
	stdin    io.Closer
	requests *gob.Encoder
	replies  *gob.Decoder
	stderr   bytes.Buffer
}

// startWorker starts this program once more, until the stage is closed. It ends by
// itself should we end without that: it reads from us.
func (s *stage) startWorker(ctx context.Context) (*worker, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &worker{command: exec.CommandContext(ctx, program)} //nolint:gosec // G204: it is this very program
	w.command.Env = append(os.Environ(), envChild+"=1")
	w.command.Stderr = &w.stderr
	stdin, err := w.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := w.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.stdin, w.requests, w.replies = stdin, gob.NewEncoder(stdin), gob.NewDecoder(stdout)
	if err := w.command.Start(); err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return w.close() })
	return w, nil
}

// ask has the worker do something and returns when it has.
func (w *worker) ask(r request) (reply, error) {
	if err := w.requests.Encode(r); err != nil {
		return reply{}, w.failed(err)
	}
	var answer reply
	if err := w.replies.Decode(&answer); err != nil {
		return reply{}, w.failed(err)
	}
	if answer.Err != "" {
		return reply{}, errors.New("in another process: " + answer.Err)
	}
	return answer, nil
}

// failed explains why a worker does not answer: most often, because the program
// does not call Child.
func (w *worker) failed(err error) error {
	return fmt.Errorf("another process of this program does not answer, as bench.Child would: %w", errors.Join(err, w.close(), errors.New(w.stderr.String())))
}

// close ends the worker. Doing it again does nothing.
func (w *worker) close() error {
	if w.command.ProcessState != nil {
		return nil
	}
	return errors.Join(w.stdin.Close(), w.command.Wait())
}

// atOnce calls f for 0 … n-1 at the same time and returns when all are done.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
