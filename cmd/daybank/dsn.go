package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/postgres"
	"github.com/daybook-go/daybook/sqlite"
)

const (
	// envDB names the environment variable that stands in for --db.
	envDB = "DAYBANK_DB"
	// defaultDSN is used where neither is given.
	defaultDSN = "sqlite:daybank.db"
	dsnForms   = "write sqlite:FILE, or postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	// hidden stands where a password was.
	hidden = "xxxxx"
)

// target is a database: a SQLite file or a PostgreSQL database, never both.
type target struct {
	path string // of the SQLite file
	url  string // of the PostgreSQL database; it may hold a password
}

// target returns the database that the flag, the environment or the default name.
func (a *app) target() (target, error) {
	field, text := "--db", a.db
	if text == "" {
		field, text = "$"+envDB, a.getenv(envDB)
	}
	if text == "" {
		text = defaultDSN
	}
	t, reason := parseDSN(text)
	if reason != "" {
		return t, usage("%s: %s: %s", field, reason, dsnForms)
	}
	return t, nil
}

// parseDSN reads a DSN, or says what is wrong with it. It never repeats the text,
// which may hold a password, beyond its scheme.
func parseDSN(text string) (t target, reason string) {
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case found && scheme == "sqlite":
		if rest == "" {
			return t, "sqlite: names no file"
		}
		if strings.HasPrefix(rest, "//") {
			return t, "a file is named without slashes in front of it, as in sqlite:bank.db or sqlite:/var/lib/bank.db"
		}
		return target{path: rest}, ""
	case found && (scheme == "postgres" || scheme == "postgresql"):
		authority, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		if _, err := url.Parse(text); err != nil || !strings.HasPrefix(rest, "//") || strings.Count(authority, "@") > 1 {
			return t, "the PostgreSQL address cannot be read (is a special character in the password not written as %XX?)"
		}
		return target{url: text}, ""
	case found && isScheme(scheme):
		return t, fmt.Sprintf("%q is no database this program knows", scheme+":")
	}
	return t, "it does not say which database"
}

func isScheme(text string) bool {
	return text != "" && len(text) <= 20 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}

// String names the database without its password.
func (t target) String() string {
	if t.path != "" {
		return "sqlite:" + t.path
	}
	u, err := url.Parse(t.url)
	if err != nil {
		return "postgres://…"
	}
	if _, given := u.User.Password(); given {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	query := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if query.Has(name) {
			query.Set(name, hidden)
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

// migrate makes the tables, and for SQLite the file, or brings them up to date.
func (t target) migrate(ctx context.Context) error {
	if t.path != "" {
		return sqlite.Migrate(ctx, t.path)
	}
	return postgres.Migrate(ctx, t.url)
}

// open opens the database. A SQLite file is migrated where it needs to be, and is
// made where it is missing if create is set; PostgreSQL is left as it is, because
// there migrating takes another role.
func (t target) open(ctx context.Context, create bool) (daybook.Driver, error) {
	if t.path == "" {
		db, err := postgres.Open(ctx, t.url)
		if err != nil {
			return nil, err
		}
		return db, nil
	}
	db, err := sqlite.Open(ctx, t.path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		return db, nil
	case missing && !create:
		return nil, &hintError{
			&subjectError{err, fmt.Sprintf("there is no database %s", t)},
			"the first write makes it (daybank open HANDLE --owner NAME), and so does daybank migrate; --db or $" + envDB + " name another",
		}
	case !missing && !errors.Is(err, daybook.ErrSchema):
		return nil, err
	}
	if err := sqlite.Migrate(ctx, t.path); err != nil {
		return nil, err
	}
	if db, err = sqlite.Open(ctx, t.path); err != nil {
		return nil, err
	}
	return db, nil
}

// redact takes the password out of a message, should one have come along.
func (a *app) redact(message string) string {
	t, err := a.target()
	if err != nil || t.url == "" {
		return message
	}
	message = strings.ReplaceAll(message, t.url, t.String())
	u, err := url.Parse(t.url)
	if err != nil {
		return message
	}
	passwords := []string{u.Query().Get("password"), u.Query().Get("sslpassword")}
	if password, given := u.User.Password(); given {
		passwords = append(passwords, password, url.QueryEscape(password), url.PathEscape(password))
	}
	for _, password := range passwords {
		if password == "" {
			continue
		}
		// Only where it stands as a password: one like "postgres" is a word as well.
		for _, form := range []string{":%s@", "password=%s", "password='%s'", "password=\"%s\""} {
			message = strings.ReplaceAll(message, fmt.Sprintf(form, password), fmt.Sprintf(form, hidden))
		}
	}
	return message
}
