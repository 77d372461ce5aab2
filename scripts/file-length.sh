#!/bin/sh
# Refuses Go files of more than 500 lines: by then a file holds two ideas.
set -eu
cd "$(dirname "$0")/.."

limit=500
status=0
for file in $(find . -name '*.go' -not -path './.git/*'); do
	lines=$(wc -l <"$file")
	if [ "$lines" -gt "$limit" ]; then
		echo "$file: $lines lines, more than $limit: split it by idea" >&2
		status=1
	fi
done
exit "$status"
