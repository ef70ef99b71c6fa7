/// What the supervisor does, in the one language that is there wherever PostgreSQL is.
///
/// Arguments: the server's directory; the socket's directory; the user and group to run as, or nothing; whether the
/// server's directory is to be removed afterwards; the server's options.
///
/// Descriptors: 0 ends when the server is to stop; 1 ends, for whoever reads it, with the server; 2 is the directory's
/// lock, held until we are done.
///
/// Standard error cannot carry the lock and messages, so the first thing is to point it to the log.
let supervisorScript = #"""
  unset SUPERVISOR
  directory=$1 sockets=$2 owner=$3 remove=$4
  shift 4
  data=$directory/data
  umask 077
  exec 3<&0 4>&2 </dev/null 2>>"$directory/postgres.log"

  finish() {
    rm -rf -- "$sockets"
    if [ "$remove" ]; then rm -rf -- "$directory"; fi
    exit "$1"
  }

  as_owner=${owner:+setpriv --reuid=${owner%:*} --regid=${owner#*:} --clear-groups --}

  # The data directory is handed over as an open descriptor, which the server finds below /proc/self/fd. So it works
  # below directories that only root may enter, such as /root, without giving the server any right to do so.
  # The lock on the descriptor is kept by each process that has inherited it: it tells whether one is left.

  if ! [ -d "$data" ]; then
    # A cluster gets its name only when it is complete and on disk; what an interrupted initdb left is dropped.
    rm -rf -- "$data.new" &&
      mkdir -- "$data.new" &&
      if [ "$owner" ]; then chown -- "$owner" "$data.new"; fi &&
      $as_owner initdb --username=flashsale --encoding=UTF8 --locale=C --auth-local=trust --auth-host=reject \
        --no-instructions --pgdata=/proc/self/fd/5 5<"$data.new" >&2 3<&- 4>&- &&
      mv -- "$data.new" "$data" &&
      sync -- "$directory" || finish 1
  fi

  exec 5<"$data"
  flock -n 5 || { echo "error: other processes use $data" >&2; finish 1; }
  $as_owner postgres -D /proc/self/fd/5 "$@" 6>&1 >&2 3<&- 4>&- &
  server=$!
  exec >/dev/null 5<&-

  # Only the end of the pipe stops us. (Set after the server was started, which would inherit it.)
  trap '' HUP INT TERM
  read -r _ <&3

  # A number may be another's once its process has ended, but then it is not one of our child.
  signal() {
    read -r _ _ _ parent _ 2>/dev/null <"/proc/$server/stat" && [ "$parent" = "$$" ] && kill -s "$1" "$server"
  }
  signal INT
  (
    exec 3<&- 4>&-
    trap 'exit' USR1
    # Repeated, because a server that has only just been started ignores it.
    for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
      sleep 1
      signal INT
    done
    signal QUIT
    sleep 10
    signal KILL
  ) 2>/dev/null &

  wait "$server"
  status=$?

  # Ends the impatient one above, and the sleep that it may be in. We lead a session, so the group is ours alone.
  trap '' USR1
  kill -s USR1 0
  wait 2>/dev/null
  finish "$status"
  """#
