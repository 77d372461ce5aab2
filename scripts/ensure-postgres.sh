#!/bin/sh
# Makes sure that the tests find a PostgreSQL, and says what to do where it cannot.
#
# The tests start servers of their own (internal/pgtest): all they need is the
# binaries. On Debian and Ubuntu, as root or with sudo that asks for no password,
# missing ones are installed, without the database cluster and the service that
# the packages would set up.
#
# With them, or asked for it by --with-clock, comes libfaketime, with which the
# torture sets the clock of such a server. Where it cannot be had, that is said, and
# that fault is skipped: nothing else needs it.
set -eu

minimum=15

# major prints the major version of a server binary, 0 where it tells none.
major() {
	version=$("$1" --version 2>/dev/null | sed -n 's/^.*(PostgreSQL) \([0-9][0-9]*\).*$/\1/p')
	echo "${version:-0}"
}

# good says whether a directory holds a server that is new enough.
good() {
	[ -x "$1/postgres" ] && [ "$(major "$1/postgres")" -ge "$minimum" ] || return 1
	# A link on PATH stands for the installation it leads to.
	if [ -x "$1/initdb" ]; then
		return 0
	fi
	linked=$(readlink "$1/postgres" 2>/dev/null) && [ -x "$(dirname "$linked")/initdb" ]
}

# find_server looks where internal/pgtest looks.
find_server() {
	server=$(command -v postgres || true)
	if [ -n "$server" ] && good "$(dirname "$server")"; then
		return 0
	fi
	for dir in \
		/usr/lib/postgresql/*/bin \
		/usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql*/bin \
		/usr/local/opt/postgresql*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin \
		"$(pg_config --bindir 2>/dev/null || true)"; do
		if good "$dir"; then
			return 0
		fi
	done
	return 1
}

give_up() {
	cat >&2 <<EOF
ensure-postgres: no PostgreSQL server $minimum or newer was found, and $1.
Install the server binaries; no running server is needed:
    Debian, Ubuntu   apt-get install postgresql
                     (where that is older than $minimum: see https://wiki.postgresql.org/wiki/Apt)
    Fedora, RHEL     dnf install postgresql-server
    macOS            brew install postgresql@17
or set \$DAYBOOK_TEST_DATABASE_URL to the postgres:// address of a server on which
tests may create databases. "make test/short" runs the tests that need none.
EOF
	exit 1
}

# apt prints what it runs, and asks nothing.
apt() {
	echo "+ ${sudo:+$sudo }apt-get $*" >&2
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >&2
}

# newest_package prints the newest server package that apt can install, nothing
# where all are too old.
newest_package() {
	apt-cache pkgnames postgresql- | sed -n 's/^postgresql-\([0-9][0-9]*\)$/\1/p' | sort -rn | while read -r number; do
		if [ "$number" -ge "$minimum" ] &&
			apt-cache policy "postgresql-$number" | grep -q 'Candidate: [0-9]'; then
			echo "postgresql-$number"
			break
		fi
	done
}

# The setting that keeps the server package from creating and starting a cluster.
# It is there during the installation only: the owner of the machine may well want
# a cluster from the next one.
dropin=/etc/postgresql-common/createcluster.d/daybook-tests.conf

install_debian() {
	apt update || echo "ensure-postgres: going on with the package lists that are there" >&2
	package=$(newest_package)
	[ -n "$package" ] || give_up "apt offers none"
	apt install --no-install-recommends postgresql-common || give_up "installing postgresql-common failed"
	trap '$sudo rm -f "$dropin"' EXIT
	$sudo mkdir -p "$(dirname "$dropin")"
	echo 'create_main_cluster = false' | $sudo tee "$dropin" >/dev/null
	apt install --no-install-recommends "$package" || give_up "installing $package failed"
}

# may_install sets sudo to what installing needs in front, or fails.
may_install() {
	command -v apt-get >/dev/null || return 1
	if [ "$(id -u)" -eq 0 ]; then
		sudo=
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo="sudo -n"
	else
		return 1
	fi
}

# ensure_clock looks where internal/pgtest looks.
ensure_clock() {
	for file in \
		/usr/lib/*/faketime/libfaketime.so.1 \
		/usr/lib64/faketime/libfaketime.so.1 \
		/usr/lib/faketime/libfaketime.so.1 \
		/usr/local/lib/faketime/libfaketime.so.1; do
		if [ -e "$file" ]; then
			return 0
		fi
	done
	if may_install && { apt install --no-install-recommends libfaketime ||
		{ apt update && apt install --no-install-recommends libfaketime; }; }; then
		return 0
	fi
	echo "ensure-postgres: no libfaketime: the torture will not set the server's clock" >&2
}

if [ -n "${DAYBOOK_TEST_DATABASE_URL:-}" ] || find_server; then
	if [ "${1:-}" = --with-clock ]; then
		ensure_clock
	fi
	exit 0
fi
command -v apt-get >/dev/null || give_up "it can be installed for you only on Debian and Ubuntu"
may_install || give_up "installing it needs root, or sudo without a password"
install_debian
ensure_clock
find_server || give_up "the installed package brought none"
