package main

import (
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progressWidth is a bar's, in characters.
const progressWidth = 40

// progressBar shows on stderr, where that is a terminal, how much of something is done.
// It is nil where there is none.
type progressBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

// progressBar begins a bar in front of which stands what is being done, and behind it
// the counter.
func (a *app) progressBar(doing string, counter decor.Decorator) *progressBar {
	if !a.hasRoomForBar() {
		return nil
	}
	// The bar has no colours, so NO_COLOR has nothing to switch off.
	bars := mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(progressWidth))
	return &progressBar{bars: bars, bar: bars.AddBar(0,
		mpb.PrependDecorators(decor.Name(doing+" ")), mpb.AppendDecorators(counter, decor.AverageETA(decor.ET_STYLE_GO)))}
}

// hasRoomForBar reports whether stderr is a terminal that can show a bar. One that
// does not tell its width, as in some containers, shows nothing of it.
func (a *app) hasRoomForBar() bool {
	file, ok := a.stderr.(*os.File)
	if !ok || a.getenv("TERM") == "dumb" {
		return false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return err == nil && width > progressWidth
}

// update says how much of how much is done.
func (p *progressBar) update(done, total int64) {
	if p == nil {
		return
	}
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(min(done, total))
}

// end leaves the terminal ready for what is printed next.
func (p *progressBar) end(complete bool) {
	if p == nil {
		return
	}
	if complete {
		p.bar.SetTotal(-1, true) // it ends where it is
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
