package statement

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// pivotYear divides two-digit years as POSIX does: 69 to 99 are 1969 to 1999, and
// 00 to 68 are 2000 to 2068.
const pivotYear = 69

// A book records years of four digits, with room at both ends for time zones.
const (
	minYear = 1000
	maxYear = 8999
)

// dateTokens are the parts of a date layout; every other letter is refused.
var dateTokens = []string{"YYYY", "YY", "MM", "DD", "hh", "mm", "ss"}

// dateLayout is a date layout in its parts: tokens, and single characters that
// stand for themselves.
type dateLayout []string

func parseDateLayout(text string) (dateLayout, error) {
	var layout dateLayout
	seen := map[string]bool{}
	for rest := text; rest != ""; {
		part := rest[:1]
		for _, token := range dateTokens {
			if strings.HasPrefix(rest, token) {
				part = token
				break
			}
		}
		if len(part) == 1 && !strings.Contains(" -./:,T", part) {
			return nil, fmt.Errorf("%q is not a date layout: use YYYY or YY, MM, DD, hh, mm, ss, and between them only spaces and - . / : , T", text)
		}
		if len(part) > 1 && seen[part] {
			return nil, fmt.Errorf("%q has %s twice", text, part)
		}
		seen[part] = true
		layout = append(layout, part)
		rest = rest[len(part):]
	}
	switch {
	case seen["YYYY"] == seen["YY"], !seen["MM"], !seen["DD"]:
		return nil, fmt.Errorf("%q is not a date layout: it needs YYYY or YY, MM and DD", text)
	case seen["mm"] && !seen["hh"], seen["ss"] && !seen["mm"]:
		return nil, fmt.Errorf("%q is not a date layout: mm needs hh, and ss needs mm", text)
	}
	return layout, nil
}

// String is the layout as the mapping writes it.
func (l dateLayout) String() string { return strings.Join(l, "") }

// parse reads a date in a zone. Every number has exactly the digits of its token.
// A time that the zone's clocks skipped is refused; of one that they showed twice
// the first is meant.
func (l dateLayout) parse(text string, zone *time.Location) (time.Time, error) {
	numbers := map[string]int{}
	rest := text
	for _, part := range l {
		if len(rest) < len(part) {
			return time.Time{}, l.misfit()
		}
		given := rest[:len(part)]
		rest = rest[len(part):]
		if len(part) == 1 {
			if given != part {
				return time.Time{}, l.misfit()
			}
			continue
		}
		if !isDigits(given) {
			return time.Time{}, l.misfit()
		}
		numbers[part], _ = strconv.Atoi(given)
	}
	if rest != "" {
		return time.Time{}, l.misfit()
	}
	year, full := numbers["YYYY"]
	if !full {
		year = numbers["YY"] + 2000
		if numbers["YY"] >= pivotYear {
			year -= 100
		}
	}
	if year < minYear || year > maxYear {
		return time.Time{}, fmt.Errorf("the year %d is out of range: use %d to %d", year, minYear, maxYear)
	}
	wall := time.Date(year, time.Month(numbers["MM"]), numbers["DD"], numbers["hh"], numbers["mm"], numbers["ss"], 0, time.UTC)
	// time.Date carries 31 April over to 1 May. A value that came back as it was
	// given is a date of the calendar.
	if wall.Year() != year || int(wall.Month()) != numbers["MM"] || wall.Day() != numbers["DD"] ||
		wall.Hour() != numbers["hh"] || wall.Minute() != numbers["mm"] || wall.Second() != numbers["ss"] {
		return time.Time{}, fmt.Errorf("there is no such day or time in the calendar: write it as %s", l)
	}
	return inZone(wall, zone)
}

func (l dateLayout) misfit() error { return fmt.Errorf("it is not a date in the form %s", l) }

// inZone is the moment at which clocks in a zone show what wall shows in UTC.
func inZone(wall time.Time, zone *time.Location) (time.Time, error) {
	year, month, day := wall.Date()
	hour, minute, second := wall.Clock()
	moment := time.Date(year, month, day, hour, minute, second, 0, zone)
	shown := moment.Format(time.DateTime)
	if shown != wall.Format(time.DateTime) {
		return time.Time{}, fmt.Errorf("there was no such time in %s, its clocks were put forward: put a time_zone without such a change into the mapping, such as UTC", zone)
	}
	// time.Date does not promise which of two it returns. Try the offset that held
	// before the last change of the clocks.
	if start, _ := moment.ZoneBounds(); !start.IsZero() {
		_, before := start.Add(-time.Nanosecond).Zone()
		_, now := moment.Zone()
		if earlier := moment.Add(time.Duration(now-before) * time.Second); earlier.Before(start) && earlier.Format(time.DateTime) == shown {
			moment = earlier
		}
	}
	moment = moment.UTC()
	if moment.Year() < minYear || moment.Year() > maxYear {
		return time.Time{}, fmt.Errorf("in UTC the year %d is out of range: use %d to %d", moment.Year(), minYear, maxYear)
	}
	return moment, nil
}
