# Runs a PostgreSQL server for as long as the test binary lives.
#
# Arguments: the server's directory, then the command of the server.
# Standard input: a pipe of which the test binary holds the other end and never
# writes to. The kernel closes it however the binary ends, kill -9 included;
# then the server is stopped and its directory removed.
dir=$1
shift

exec 3<&0
"$@" </dev/null 3<&- &
server=$!

(
	read -r _ <&3
	: >"$dir/orphan"
	# At once and without a checkpoint: nobody will read this data again.
	kill -QUIT "$server"
) &
watcher=$!

wait "$server"
status=$?
kill "$watcher" 2>/dev/null
if [ -e "$dir/orphan" ]; then
	cd / && rm -rf "$dir"
fi
exit "$status"
