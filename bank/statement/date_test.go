package statement

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"pgregory.net/rapid"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := loadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return location
}

func TestDateLayout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ layout, zone, text, want string }{
		{"YYMMDD", "UTC", "930101", "1993-01-01T00:00:00Z"},
		{"YYMMDD", "", "981231", "1998-12-31T00:00:00Z"},
		{"YYMMDD", "UTC", "690101", "1969-01-01T00:00:00Z"},
		{"YYMMDD", "UTC", "681231", "2068-12-31T00:00:00Z"},
		{"YYMMDD", "UTC", "000229", "2000-02-29T00:00:00Z"},
		{"DD.MM.YYYY", "UTC", "29.02.2024", "2024-02-29T00:00:00Z"},
		{"MM/DD/YYYY", "UTC", "12/31/1999", "1999-12-31T00:00:00Z"},
		{"YYYY-MM-DDThh:mm:ss", "UTC", "2024-02-29T23:59:59", "2024-02-29T23:59:59Z"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-07-01 00:30", "2024-06-30T22:30:00Z"},
		{"YYYY-MM-DD", "Europe/Prague", "2024-01-01", "2023-12-31T23:00:00Z"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-03-31 01:59", "2024-03-31T00:59:00Z"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-03-31 03:00", "2024-03-31T01:00:00Z"},
		// Clocks showed 02:30 twice that night; the first was still summer time.
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-10-27 02:30", "2024-10-27T00:30:00Z"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-10-27 03:00", "2024-10-27T02:00:00Z"},
		{"YYYY-MM-DD hh:mm", "America/New_York", "2024-11-03 01:30", "2024-11-03T05:30:00Z"},
		{"YYYY-MM-DD hh:mm", "Australia/Lord_Howe", "2024-04-07 01:45", "2024-04-06T14:45:00Z"},
		{"YYYY-MM-DD", "UTC", "1000-01-01", "1000-01-01T00:00:00Z"},
		{"YYYY-MM-DD", "UTC", "8999-12-31", "8999-12-31T00:00:00Z"},
	} {
		layout, err := parseDateLayout(test.layout)
		if err != nil {
			t.Fatal(err)
		}
		got, err := layout.parse(test.text, zone(t, test.zone))
		if err != nil || got.Format(time.RFC3339) != test.want || got.Location() != time.UTC {
			t.Errorf("%s %q in %s = %s, %v, want %s", test.layout, test.text, test.zone, got, err, test.want)
		}
	}
}

func TestDateLayoutRefusesDates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ layout, zone, text, reason string }{
		{"YYMMDD", "UTC", "", "form YYMMDD"},
		{"YYMMDD", "UTC", "93010", "form YYMMDD"},
		{"YYMMDD", "UTC", "9301011", "form YYMMDD"},
		{"YYMMDD", "UTC", " 30101", "form YYMMDD"},
		{"YYMMDD", "UTC", "-10101", "form YYMMDD"},
		{"YYMMDD", "UTC", "9\uff1101", "form YYMMDD"},
		{"YYMMDD", "UTC", "19930101", "form YYMMDD"},
		{"YYMMDD", "UTC", "931301", "calendar"},
		{"YYMMDD", "UTC", "930001", "calendar"},
		{"YYMMDD", "UTC", "930100", "calendar"},
		{"YYMMDD", "UTC", "930431", "calendar"},
		{"YYMMDD", "UTC", "930229", "calendar"},
		{"YYYY-MM-DD", "UTC", "1900-02-29", "calendar"},
		{"YYYY-MM-DD", "UTC", "0000-01-01", "out of range"},
		{"YYYY-MM-DD", "UTC", "0001-01-01", "out of range"},
		{"YYYY-MM-DD", "UTC", "9999-12-31", "out of range"},
		{"YYYY-MM-DD", "Asia/Tokyo", "1000-01-01", "in UTC"},
		{"YYYY-MM-DD", "UTC", "2024/01/01", "form YYYY-MM-DD"},
		{"YYYY-MM-DD", "UTC", "2024-01-01T00:00:00Z", "form YYYY-MM-DD"},
		{"YYYY-MM-DD", "UTC", "infinity", "form YYYY-MM-DD"},
		{"YYYY-MM-DD hh:mm:ss", "UTC", "2024-01-01 24:00:00", "calendar"},
		{"YYYY-MM-DD hh:mm:ss", "UTC", "2024-01-01 23:60:00", "calendar"},
		{"YYYY-MM-DD hh:mm:ss", "UTC", "2016-12-31 23:59:60", "calendar"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-03-31 02:00", "put forward"},
		{"YYYY-MM-DD hh:mm", "Europe/Prague", "2024-03-31 02:59", "put forward"},
		{"YYYY-MM-DD", "America/Sao_Paulo", "2018-11-04", "put forward"},
	} {
		layout, err := parseDateLayout(test.layout)
		if err != nil {
			t.Fatal(err)
		}
		got, err := layout.parse(test.text, zone(t, test.zone))
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s %q in %s = %s, %v, want an error with %q", test.layout, test.text, test.zone, got, err, test.reason)
		}
	}
}

func TestParseDateLayoutRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "YYYY", "YYYYMM", "MMDD", "YYYYYYMMDD", "YYMMDDYYYY", "YYYYMMDDMM", "yyyymmdd", "YYYYMMDDmm", "YYYYMMDDhhss",
		"YYYY-M-D", "YYYY-MM-DDZ", "YYYY年MM月DD", "%Y-%m-%d", "YYYY-MM-DD\n", "2006-01-02",
	} {
		if layout, err := parseDateLayout(text); err == nil {
			t.Errorf("parseDateLayout(%q) = %q, want it refused", text, layout)
		}
	}
}

func TestDateReadsWhatTheLayoutWrites(t *testing.T) {
	t.Parallel()
	layout, err := parseDateLayout("DD.MM.YYYY hh:mm:ss")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"UTC", "Europe/Prague", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"}
	rapid.Check(t, func(r *rapid.T) {
		location := zone(t, rapid.SampledFrom(names).Draw(r, "zone"))
		moment := time.Unix(rapid.Int64Range(-2_000_000_000, 4_000_000_000).Draw(r, "unix"), 0).In(location)
		text := moment.Format("02.01.2006 15:04:05")
		got, err := layout.parse(text, location)
		if err != nil || got.After(moment) || got.In(location).Format("02.01.2006 15:04:05") != text {
			r.Fatalf("%q in %s = %s, %v, want %s or an earlier moment that clocks show the same", text, location, got, err, moment)
		}
	})
}
