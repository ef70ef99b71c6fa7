/// The shell script of the supervisor. A shell exists wherever PostgreSQL is installed.
///
/// Arguments:
/// 1. the server's directory;
/// 2. the socket directory;
/// 3. the user and group of the server, `uid:gid`, or empty;
/// 4. not empty if the server's directory is removed at the end;
/// 5. and following: the server's options.
///
/// Descriptors:
/// - 0: the stop pipe. At its end, the script stops the server.
/// - 1: a pipe that the server's processes keep open until they end.
/// - 2: the directory's lock, held until the script ends. The script moves it to 4, and directs 2 to the log.
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

  # The server inherits the data directory as an open descriptor, and reaches it by /proc/self/fd. So the directory may
  # be below one that only root can enter, such as /root.
  # Each process of the server keeps the lock on this descriptor. The lock is free when all of them have ended.

  if ! [ -d "$data" ]; then
    # The cluster is renamed to its final name after initdb has completed. Files of an interrupted initdb are removed.
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

  # Only the end of the stop pipe stops this script. The trap follows the start of the server, which would inherit it.
  trap '' HUP INT TERM
  read -r _ <&3

  # Another process may reuse the number of an ended process. Its parent is not this script.
  signal() {
    read -r _ _ _ parent _ 2>/dev/null <"/proc/$server/stat" && [ "$parent" = "$$" ] && kill -s "$1" "$server"
  }
  signal INT
  (
    exec 3<&- 4>&-
    trap 'exit' USR1
    # Repeated, because a server that has just started may ignore the signal.
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

  # Ends the subshell above and its sleep. This script leads a session, so the process group contains no other process.
  trap '' USR1
  kill -s USR1 0
  wait 2>/dev/null
  finish "$status"
  """#
