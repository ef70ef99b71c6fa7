"""The network between a server and its database, and its faults.

    server ── veth ──┤ router's namespace ├── veth ── database's namespace

Packets are dropped where the router would pass them on, as in a real network: neither end is told of anything. (A link
that is taken down would be noticed by both kernels.) Where namespaces are not to be had, see frozen_proxy.py.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from harness.processes import HarnessError, output_of

from .postgres import postgres
from .frozen_proxy import Drops, Proxy


class Network(Protocol):
    kind: str
    database_url: str  # of the server's PostgreSQL, seen from the server
    direct_url: str  # the same, by a way that is never disturbed

    def freeze(self, drops: Drops) -> None:
        """From here on packets are lost."""

    def forget(self) -> None:
        """Packets of the connections that exist now are lost for good: the firewall's table has lost them."""

    def thaw(self) -> None:
        """Nothing is lost any more."""


class Namespaces:
    """See above."""

    kind = "network namespaces, packets dropped by nftables in a router between them"

    def __init__(self, stack: ExitStack) -> None:
        number = os.getpid()
        self.router, self.database = f"flashsale-{number}-r", f"flashsale-{number}-d"
        net = f"198.18.{number % 256}"  # of the range that is for tests of networks (RFC 2544)
        self.address = f"{net}.6"
        here, there = f"fs{number}a", f"fs{number}b"
        self._remove_leftovers()
        for name in (self.router, self.database):
            self._ip("netns", "add", name)
            stack.callback(self._ip, "netns", "del", name)  # and what is in it
        self._ip("link", "add", here, "type", "veth", "peer", "name", "server", "netns", self.router)
        stack.callback(self._delete_link, here)
        self._ip("-n", self.router, "link", "add", "database", "type", "veth", "peer", "name", there,
                 "netns", self.database)
        self._ip("addr", "add", f"{net}.1/30", "dev", here)
        self._ip("-n", self.router, "addr", "add", f"{net}.2/30", "dev", "server")
        self._ip("-n", self.router, "addr", "add", f"{net}.5/30", "dev", "database")
        self._ip("-n", self.database, "addr", "add", f"{self.address}/30", "dev", there)
        self._ip("link", "set", here, "up")
        for name, link in ((self.router, "server"), (self.router, "database"), (self.database, there)):
            self._ip("-n", name, "link", "set", link, "up")
        self._ip("-n", self.database, "link", "set", "lo", "up")
        output_of(*self.inside(self.router), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self._ip("route", "add", f"{net}.4/30", "via", f"{net}.2")
        self._ip("-n", self.database, "route", "add", "default", "via", f"{net}.5")
        self._pass_except([])
        self.database_url = self.direct_url = ""

    def _remove_leftovers(self) -> None:
        """Namespaces of runs that were killed."""
        for name, owner in re.findall(r"^(flashsale-(\d+)-[rd])\b", output_of("ip", "netns", "list"), re.M):
            if not Path("/proc", owner).exists():
                self._ip("netns", "del", name)

    @staticmethod
    def inside(namespace: str) -> list[str]:
        return ["ip", "netns", "exec", namespace]

    @staticmethod
    def _ip(*words: str) -> None:
        output_of("ip", *words)

    @staticmethod
    def _delete_link(name: str) -> None:
        # Gone already when its other end was.
        subprocess.run(["ip", "link", "del", name], stderr=subprocess.DEVNULL)

    def _pass_except(self, rules: Sequence[str]) -> None:
        """Replaces the router's rules, all at once."""
        lines = ["add table inet faults", "flush table inet faults",
                 "add chain inet faults passing { type filter hook forward priority 0; policy accept; }",
                 *(f"add rule inet faults passing {rule} drop" for rule in rules)]
        subprocess.run(
            [*self.inside(self.router), "nft", "-f", "-"], input="\n".join(lines) + "\n", text=True, check=True)

    def freeze(self, drops: Drops) -> None:
        self._pass_except([f"ip {end} {self.address}" for end in (
            ("saddr", "daddr") if drops is Drops.ALL else ("saddr",))])

    def forget(self) -> None:
        listed = output_of("ss", "-Htn", "state", "established", "dst", self.address)
        ports = sorted(set(re.findall(rf":(\d+)\s+{re.escape(self.address)}:", listed)))
        if not ports:
            raise HarnessError("there is no connection to forget")
        both = f"{{ {', '.join(ports)} }}"
        self._pass_except([f"ip daddr {self.address} tcp sport {both}", f"ip saddr {self.address} tcp dport {both}"])

    def thaw(self) -> None:
        self._pass_except([])


@contextmanager
def network(work: Path, by_proxy: bool = False) -> Iterator[Network]:
    """A PostgreSQL and the network to it."""
    with ExitStack() as stack:
        spaces = None if by_proxy else stack.enter_context(namespaces())
        if spaces is None:
            yield stack.enter_context(Proxy(stack.enter_context(postgres(work / "database")).tcp_url))
            return
        database = stack.enter_context(postgres(work / "database", spaces.address, spaces.inside(spaces.database)))
        spaces.database_url, spaces.direct_url = database.tcp_url, database.socket_url
        stack.callback(spaces.thaw)
        yield spaces


@contextmanager
def namespaces() -> Iterator[Namespaces | None]:
    """None where this machine or this user may not have them."""
    with ExitStack() as stack:
        try:
            spaces = Namespaces(stack)
        except (HarnessError, OSError, subprocess.CalledProcessError) as error:
            stack.close()
            print(f"No network namespaces here: {error}")
            spaces = None
        yield spaces
