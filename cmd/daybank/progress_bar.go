package main

import (
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressBar shows on stderr, where that is a terminal, how much of something is done.
type progressBar struct {
	total int64
	bars  *mpb.Progress // nil where there is no terminal
	bar   *mpb.Bar
}

func (a *app) progressBar(doing string, total int64) *progressBar {
	p := &progressBar{total: total}
	if a.hasRoomForBar() {
		// The bar has no colours, so NO_COLOR has nothing to switch off.
		p.bars = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(progressWidth))
		p.bar = p.bars.AddBar(total, mpb.PrependDecorators(decor.Name(doing+" ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
}

// update says how much is done.
func (p *progressBar) update(done int64) {
	if p.bar != nil {
		p.bar.SetCurrent(min(done, p.total))
	}
}

// end leaves the terminal ready for what is printed next.
func (p *progressBar) end(complete bool) {
	if p.bar == nil {
		return
	}
	if complete {
		p.bar.SetTotal(p.total, true)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
