package main

import (
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// verifyProgress shows on a terminal how far a verification is, by events. Elsewhere
// it is silent.
type verifyProgress struct {
	bars *mpb.Progress // nil where there is no terminal
	bar  *mpb.Bar
}

func (a *app) verifyProgress() *verifyProgress {
	p := &verifyProgress{}
	if a.hasRoomForBar() {
		p.bars = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(progressWidth))
		p.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Name("verifying ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d events "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
}

func (p *verifyProgress) update(done, total int64) {
	if p.bar != nil {
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	}
}

// end leaves the terminal ready for what is printed next.
func (p *verifyProgress) end(complete bool) {
	if p.bar == nil {
		return
	}
	if complete {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
