#!/bin/sh
# Runs every fuzz target of the module for a while: fuzz.sh [TIME], 10s by default.
# "go test -fuzz" takes one target at a time, so they are listed first.
set -eu
cd "$(dirname "$0")/.."

time=${1:-10s}
packages=$(go list ./...)
found=0
for package in $packages; do
	# In a variable and not in a pipe, so that a package that does not compile
	# ends the script.
	listed=$(go test -list '^Fuzz' "$package")
	for target in $(printf '%s\n' "$listed" | grep '^Fuzz' || true); do
		found=1
		echo "+ go test -run '^\$' -fuzz ^$target\$ -fuzztime $time $package"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
if [ "$found" -eq 0 ]; then
	echo "fuzz: the module has no fuzz target" >&2
	exit 1
fi
