"""Three PostgreSQL nodes that replace a lost primary by themselves: Patroni, with etcd to agree in.

All of it is on this machine, on ports and in folders of its own, and started from here; nothing is a system service.
"""

import json
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

from harness.processes import HarnessError, answers, free_port, running, wait_until
from harness.services import sql

from .postgres import as_owner, binaries, give_to_owner
from .processes import Child, send, wait_for

# How the cluster behaves, for all nodes. A primary that is not heard of for `ttl` seconds is replaced.
CLUSTER = {
    "ttl": 8,
    "loop_wait": 1,
    "retry_timeout": 3,
    "maximum_lag_on_failover": 64 << 20,
    "postgresql": {
        "use_pg_rewind": True,
        # A new primary makes slots only after a checkpoint. For these two seconds no standby may follow it, so no commit
        # is acknowledged. Kept WAL is enough for standbys that come back soon.
        "use_slots": False,
        "parameters": {
            "wal_keep_size": "512MB",
            "wal_retrieve_retry_interval": "500ms",  # how soon a standby looks for its new primary
            "unix_socket_directories": "",
            "max_connections": 100,
            "track_commit_timestamp": "on",  # the checker reads the changes in the order of commits
        },
    },
}

# The files of a primary are copied, or rewound, and each step waits for the next round of Patroni's loop.
WHOLE_SECONDS_MAX = 120


class Node(Child):
    """A PostgreSQL under a Patroni of its own."""

    def __init__(self, name: str, work: Path, etcd: int, is_synchronous: bool) -> None:
        super().__init__(name, work)
        self.port, self.rest = free_port(), free_port()
        self._folder = work / name
        self._folder.mkdir()
        self._data = self._folder / "data"
        give_to_owner(self._folder)
        replication = {"synchronous_mode": is_synchronous, "synchronous_mode_strict": is_synchronous}
        self._settings = work / f"{name}.yml"
        # JSON is YAML.
        self._settings.write_text(json.dumps({
            "scope": "flashsale",
            "name": name,
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "etcd3": {"hosts": f"127.0.0.1:{etcd}"},
            "bootstrap": {
                "dcs": {**CLUSTER, **replication},
                "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "data-checksums"],
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self._data),
                "bin_dir": str(binaries()),
                "pgpass": str(self._folder / "pgpass"),
                "authentication": {kind: {"username": "postgres"} for kind in ("superuser", "replication", "rewind")},
            },
        }, indent=2))

    def start(self) -> None:
        self.launch(*as_owner(), "patroni", self._settings)

    def has_database(self, name: str) -> bool:
        try:
            return sql(f"postgresql://postgres@127.0.0.1:{self.port}/{name}", "select 1") == "1"
        except HarnessError:
            return False

    def freeze_replication(self) -> None:
        """From now on no WAL reaches its standbys.

        The synchronous standby is cut off last, since it may replace the primary. If another standby had more WAL, it
        would have to be rewound first, and for these ten seconds no commit would be acknowledged.
        """
        query = "select pid from pg_stat_replication order by sync_state = 'async' desc"
        for pid in sql(f"postgresql://postgres@127.0.0.1:{self.port}/postgres", query).split():
            send(int(pid), signal.SIGSTOP)

    def crash(self) -> None:
        """SIGKILL of Patroni and of all processes of its PostgreSQL; returns when nothing is left."""
        self.kill(str(self._data))


class PatroniCluster:
    """Three nodes, one of them the primary, for the length of the block."""

    def __init__(self, work: Path, is_synchronous: bool) -> None:
        for program, package in (("etcd", "etcd-server"), ("patroni", "patroni")):
            if shutil.which(program) is None:
                raise HarnessError(f"{package} is missing: apt-get install {package}")
        self._work = work
        self._is_synchronous = is_synchronous
        self._stack = ExitStack()
        self._etcd = free_port()
        work.chmod(0o755)
        self.nodes = [Node(f"node{number}", work, self._etcd, is_synchronous) for number in (1, 2, 3)]

    def __enter__(self) -> "PatroniCluster":
        with ExitStack() as stack:
            self._start_etcd(stack)
            for node in self.nodes:
                stack.callback(node.end)
                node.start()
            self.wait_until_whole()
            sql(self.url("postgres"), "create database flashsale")
            # libpq stops searching at a standby that does not have the database yet.
            for node in self.nodes:
                wait_for(lambda: node.has_database("flashsale"), WHOLE_SECONDS_MAX, f"{node.name} to have the database")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start_etcd(self, stack: ExitStack) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{free_port()}"
        log = self._work / "etcd.log"
        process = stack.enter_context(running(
            "etcd", "--data-dir", self._work / "etcd",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            log=log))
        wait_until(lambda: answers(self._etcd, "/health"), process, log)

    def url(self, database: str) -> str:
        """For libpq to find the primary by itself, whichever it is."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return (f"postgresql://postgres@{hosts}/{database}"
                "?target_session_attrs=read-write&connect_timeout=1&tcp_user_timeout=2000")

    def primary(self) -> Node | None:
        """The node that has the leader's lock."""
        return next((node for node in self.nodes if answers(node.rest, "/primary", timeout=2)), None)

    def is_whole(self) -> bool:
        """Whether the primary may be lost again: it has two standbys that stream, and with synchronous replication waits
        for one of them."""
        primary = self.primary()
        if primary is None:
            return False
        standbys = [node for node in self.nodes if node is not primary]
        query = "select count(*), count(*) filter (where sync_state in ('sync', 'quorum')) from pg_stat_replication " \
                "where state = 'streaming' and application_name like 'node_'"
        try:
            streaming, synchronous = sql(f"postgresql://postgres@127.0.0.1:{primary.port}/postgres", query).split("|")
        except HarnessError:
            return False
        # Patroni knows the candidate only when it has written it into etcd, after PostgreSQL has it.
        known = not self._is_synchronous or any(answers(node.rest, "/sync", timeout=2) for node in standbys)
        return int(streaming) == 2 and int(synchronous) == int(self._is_synchronous) and known

    def wait_until_whole(self) -> None:
        wait_for(self.is_whole, WHOLE_SECONDS_MAX, "a primary and two standbys")
