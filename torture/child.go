package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// EnvChild is the environment variable that makes a program a child of the suite: it
// holds a [Child] as JSON. A program that can be one looks for it first.
const EnvChild = "DAYBOOK_TORTURE_CHILD"

// Child is a process of its own, to be killed, with one duty.
type Child struct {
	Workload Workload `json:"workload"`
	// Database is the address as the program's own open function takes it. It may
	// hold a password: it is passed in the environment, and never shown.
	Database string `json:"database"`
	Book     string `json:"book"`
	// Duty is what the child does.
	Duty Duty `json:"duty,omitzero"`
	// Models says that the book has the inline read model of [NewReadModels].
	Models bool `json:"models,omitzero"`
}

// Duty is what a child does.
type Duty string

const (
	// Writing is the workload.
	Writing Duty = ""
	// Running runs the read models that are behind.
	Running Duty = "running"
	// Rebuilding rebuilds one read model after the other.
	Rebuilding Duty = "rebuilding"
)

// ParseChild reads the value of [EnvChild].
func ParseChild(text string) (Child, error) {
	var c Child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("$%s: %w", EnvChild, err)
	}
	return c, nil
}

// Run is the whole life of the child: it works until ctx or lifeline ends, which may
// be before it has begun. Its parent holds the other end of lifeline, so that no
// child outlives its parent.
func (c Child) Run(ctx context.Context, lifeline io.Reader, open func(context.Context, string) (daybook.Driver, error)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, lifeline) // how it ends does not matter
	}()
	driver, book, err := c.begin(ctx, open)
	switch {
	case err != nil && ctx.Err() != nil && !hopeless(err):
		return nil // told to end before it could begin
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	switch models := NewReadModels(c.Book); c.Duty {
	case Running:
		err = book.Run(ctx, models.Behind()...)
	case Rebuilding:
		err = models.rebuild(ctx, book)
	default:
		err = c.Workload.Run(ctx, book)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return err
}

// begin opens the database and the book. The faults go on while a child begins: its
// sessions are ended, or the server is. So it tries again for as long as a call of a
// writer's would, unless the error is one that stays.
func (c Child) begin(ctx context.Context, open func(context.Context, string) (daybook.Driver, error)) (daybook.Driver, *daybook.Book, error) {
	trying, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		driver, book, err := c.open(ctx, open)
		if err == nil || hopeless(err) || trying.Err() != nil {
			return driver, book, err
		}
		breathe(trying)
	}
}

func (c Child) open(ctx context.Context, open func(context.Context, string) (daybook.Driver, error)) (daybook.Driver, *daybook.Book, error) {
	driver, err := open(ctx, c.Database)
	if err != nil {
		return nil, nil, err
	}
	var options []daybook.OpenOption
	if c.Models {
		options = append(options, daybook.Inline{NewReadModels(c.Book).Inline})
	}
	book, err := daybook.Open(ctx, driver, c.Book, Registry(), options...)
	if err != nil {
		return nil, nil, errors.Join(err, driver.Close())
	}
	return driver, book, nil
}

// hopeless reports whether an error of opening would be the same at the next try.
func hopeless(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, daybook.ErrSchema) || errors.Is(err, daybook.ErrInvalid)
}

// Process is a child at work.
type Process struct {
	cmd      *exec.Cmd
	lifeline io.Closer
	stderr   strings.Builder
}

// Start starts cmd, a program that looks for [EnvChild], as the child. Who starts it
// ends it, with Kill or Stop.
func (c Child) Start(cmd *exec.Cmd) (*Process, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd}
	cmd.Env = append(cmd.Environ(), EnvChild+"="+string(text))
	cmd.Stderr = &p.stderr
	if p.lifeline, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, cmd.Start()
}

// Signal sends the child a signal.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the child as kill -9 does, and waits for that. A child that has ended by
// itself, though nobody asked it to, is an error.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	ended := p.cmd.Wait()
	if p.cmd.ProcessState.Exited() {
		return fmt.Errorf("the child ended by itself: %w: %s", errors.Join(ended, err), p.stderr.String())
	}
	return err
}

// Stop lets the child finish the calls under way.
func (p *Process) Stop() error {
	err := p.lifeline.Close()
	if ended := p.cmd.Wait(); ended != nil {
		return fmt.Errorf("the child: %w: %s", errors.Join(ended, err), p.stderr.String())
	}
	return err
}
