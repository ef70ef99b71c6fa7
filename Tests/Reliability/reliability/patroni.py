"""Three PostgreSQL nodes that replace a lost primary by themselves: Patroni, with etcd to agree in.

All of it runs on this machine, on ports and in folders of its own. Nothing is a system service.
"""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.processes import HarnessError, answers, free_port, running, wait_until
from harness.services import sql

from .postgres import as_owner, binaries, give_to_owner
from .processes import Child, send, wait_for

SETTINGS = Path(__file__).with_suffix(".yml")
# The files of a primary are copied, or rewound, and each step waits for the next round of Patroni's loop.
WHOLE_SECONDS_MAX = 120


class Node(Child):
    """A PostgreSQL under a Patroni of its own."""

    def __init__(self, name: str, work: Path, **values: object) -> None:
        super().__init__(name, work)
        self.port, self.rest = free_port(), free_port()
        folder = work / name
        folder.mkdir()
        give_to_owner(folder)
        self.data, self._settings = folder / "data", work / f"{name}.yml"
        values |= {"name": name, "port": self.port, "rest": self.rest, "folder": folder, "binaries": binaries()}
        self._settings.write_text(re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), SETTINGS.read_text()))

    def start(self) -> None:
        self.launch(*as_owner(), "patroni", self._settings)

    def ask(self, query: str, database: str = "postgres") -> str:
        """Returns the rows; empty if the node does not respond."""
        try:
            return sql(f"postgresql://postgres@127.0.0.1:{self.port}/{database}", query)
        except HarnessError:
            return ""

    def is_at(self, path: str) -> bool:
        """Whether Patroni's REST interface says so."""
        return answers(self.rest, path, timeout=2)

    def freeze_replication(self) -> None:
        """From now on no WAL reaches its standbys.

        The synchronous standby is cut off last, since it may replace the primary. If another standby had more WAL, it
        would have to be rewound first, and for these ten seconds no commit would be acknowledged.
        """
        for pid in self.ask("select pid from pg_stat_replication order by sync_state = 'async' desc").split():
            send(int(pid), signal.SIGSTOP)


class Cluster:
    def __init__(self, work: Path, etcd: int, is_synchronous: bool) -> None:
        self.is_synchronous = is_synchronous
        self.nodes = [Node(f"node{number}", work, etcd=etcd, is_synchronous=str(is_synchronous).lower())
                      for number in (1, 2, 3)]

    def url(self, database: str = "flashsale") -> str:
        """For libpq to find the primary by itself, whichever it is."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return (f"postgresql://postgres@{hosts}/{database}"
                "?target_session_attrs=read-write&connect_timeout=1&tcp_user_timeout=2000")

    def primary(self) -> Node | None:
        """The node that has the leader's lock."""
        return next((node for node in self.nodes if node.is_at("/primary")), None)

    def is_whole(self) -> bool:
        """Whether the primary may be lost again: it has two standbys that stream, and with synchronous replication
        waits for one of them."""
        primary = self.primary()
        counts = primary and primary.ask(
            "select count(*), count(*) filter (where sync_state in ('sync', 'quorum')) from pg_stat_replication "
            "where state = 'streaming' and application_name like 'node_'")
        # Patroni knows the candidate only when it has written it into etcd, after PostgreSQL has it.
        return counts == f"2|{int(self.is_synchronous)}" and (
            not self.is_synchronous or any(node.is_at("/sync") for node in self.nodes if node is not primary))

    def wait_until_whole(self) -> None:
        wait_for(self.is_whole, WHOLE_SECONDS_MAX, "a primary and two standbys")


@contextmanager
def clustered(work: Path, is_synchronous: bool) -> Iterator[Cluster]:
    """Three nodes with the database flashsale, one of them the primary, for the length of the block."""
    for program, package in (("etcd", "etcd-server"), ("patroni", "patroni")):
        if shutil.which(program) is None:
            raise HarnessError(f"{package} is missing: apt-get install {package}")
    work.chmod(0o755)
    etcd, log = free_port(), work / "etcd.log"
    client, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        process = stack.enter_context(running(
            "etcd", "--data-dir", work / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            log=log))
        wait_until(lambda: answers(etcd, "/health"), process, log)
        cluster = Cluster(work, etcd, is_synchronous)
        for node in cluster.nodes:
            stack.callback(node.end)
            node.start()
        cluster.wait_until_whole()
        sql(cluster.url("postgres"), "create database flashsale")
        # libpq stops searching at a standby that does not have the database yet.
        for node in cluster.nodes:
            wait_for(lambda: node.ask("select 1", "flashsale"), WHOLE_SECONDS_MAX, f"{node.name} to have the database")
        yield cluster
