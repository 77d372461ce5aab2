package main

import (
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

const (
	// progressLines and progressPause say how often a line tells of the progress
	// where there is no terminal for a bar: whichever comes first.
	progressLines = 5_000
	progressPause = 5 * time.Second
	// progressWidth is the bar's, in characters.
	progressWidth = 40
)

// importProgress tells on stderr how far an import is, by the bytes read: with a
// bar on a terminal, with a line now and then elsewhere.
type importProgress struct {
	app   *app
	doing string
	total int64
	past  int64 // bytes of the files that are done

	bars *mpb.Progress // nil where there is no terminal
	bar  *mpb.Bar

	saidLines int64
	saidAt    time.Time
}

func (a *app) importProgress(doing string, files []importFile) *importProgress {
	p := &importProgress{app: a, doing: doing, saidAt: time.Now()}
	for _, file := range files {
		p.total += file.info.Size()
	}
	if a.hasRoomForBar() {
		// The bar has no colours, so NO_COLOR has nothing to switch off.
		p.bars = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(progressWidth))
		p.bar = p.bars.AddBar(p.total,
			mpb.PrependDecorators(decor.Name(doing+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
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

// update says how much of the present file has been read, and how many lines of all
// of them are done.
func (p *importProgress) update(bytesRead, lines int64) {
	read := p.past + bytesRead
	if p.bar != nil {
		p.bar.SetCurrent(min(read, p.total))
		return
	}
	if lines-p.saidLines < progressLines && time.Since(p.saidAt) < progressPause {
		return
	}
	p.saidLines, p.saidAt = lines, time.Now()
	p.app.note("%s: %d lines, %d %%", p.doing, lines, percent(read, p.total))
}

// fileDone says that a file of that size has been read.
func (p *importProgress) fileDone(size int64) { p.past += size }

// end leaves the terminal ready for what is printed next.
func (p *importProgress) end(complete bool) {
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

func percent(part, whole int64) int64 {
	if whole == 0 {
		return 100
	}
	return min(100, part*100/whole)
}

// plural is a number with what it counts: "1 line", "2 lines".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
