package main

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8/decor"
)

const (
	// progressLines and progressPause say how often a line tells of the progress
	// where there is no terminal for a bar: whichever comes first.
	progressLines = 5_000
	progressPause = 5 * time.Second
)

// importProgress tells on stderr how far an import is, by the bytes read: with a
// bar on a terminal, with a line now and then elsewhere.
type importProgress struct {
	app   *app
	doing string
	total int64
	past  int64 // bytes of the files that are done

	bar *progressBar // nil where there is no terminal

	saidLines int64
	saidAt    time.Time
}

func (a *app) importProgress(doing string, files []importFile) *importProgress {
	p := &importProgress{app: a, doing: doing, saidAt: time.Now()}
	for _, file := range files {
		p.total += file.info.Size()
	}
	p.bar = a.progressBar(doing, decor.CountersKibiByte("% .1f / % .1f "))
	return p
}

// update says how much of the present file has been read, and how many lines of all
// of them are done.
func (p *importProgress) update(bytesRead, lines int64) {
	read := p.past + bytesRead
	if p.bar != nil {
		p.bar.update(read, p.total)
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
func (p *importProgress) end(complete bool) { p.bar.end(complete) }

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
