"""A TCP proxy before a database, which can stop forwarding: the network's fault where packets cannot be dropped."""

import selectors
import socket
import threading
from enum import Enum
from urllib.parse import urlsplit


class Drops(Enum):
    """What is lost on the way."""

    ALL = "both ways"
    REPLIES = "from the database to the server"


class Pair:
    """One connection, and its continuation to the target: None for one that leads nowhere."""

    def __init__(self, client: socket.socket, target: socket.socket | None) -> None:
        self.client, self.target = client, target
        self.is_forgotten = False


class Proxy:
    """Forwards, in a thread of its own, until it is closed. What it reads while frozen waits in the kernel."""

    kind = "a TCP proxy that stops forwarding"
    _MOST = 1 << 16  # bytes at a time

    def __init__(self, url: str | None) -> None:
        """`url` is of what it stands before; None for a proxy that accepts, and forwards nothing."""
        self._target = None if url is None else (str(urlsplit(url).hostname), int(urlsplit(url).port or 5432))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        port = self._listener.getsockname()[1]
        self.direct_url = url or ""
        self.database_url = f"postgresql://flashsale@127.0.0.1:{port}"
        self._frozen: tuple[bool, bool] = (False, False)  # towards the target, towards the client
        self._pairs: list[Pair] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_closed = True
        self._thread.join()

    def freeze(self, drops: Drops) -> None:
        self._frozen = (drops is Drops.ALL, True)

    def forget(self) -> None:
        with self._lock:
            for pair in self._pairs:
                pair.is_forgotten = True

    def thaw(self) -> None:
        self._frozen = (False, False)
        with self._lock:
            for pair in self._pairs:
                pair.is_forgotten = False

    def _run(self) -> None:
        with self._listener:
            while not self._is_closed:
                self._turn()
        for pair in self._pairs:
            self._close(pair)

    def _turn(self) -> None:
        """Waits for what may be forwarded now; looks again after 20 ms, since that may change meanwhile."""
        with selectors.DefaultSelector() as selector:
            if self._frozen != (True, True):
                selector.register(self._listener, selectors.EVENT_READ, None)
            for pair in self._pairs:
                if pair.is_forgotten or pair.target is None:
                    continue
                if not self._frozen[0]:
                    selector.register(pair.client, selectors.EVENT_READ, (pair, pair.target))
                if not self._frozen[1]:
                    selector.register(pair.target, selectors.EVENT_READ, (pair, pair.client))
            for key, _ in selector.select(0.02):
                if key.data is None:
                    self._accept()
                else:
                    self._forward(key.fileobj, *key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        target = None if self._target is None else socket.create_connection(self._target)
        for end in (client, target):
            if end is not None:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.append(Pair(client, target))

    def _forward(self, source: socket.socket, pair: Pair, to: socket.socket) -> None:
        if pair not in self._pairs:
            return
        try:
            data = source.recv(self._MOST)
            if data:
                to.sendall(data)
                return
        except OSError:
            pass
        with self._lock:
            self._pairs.remove(pair)
        self._close(pair)

    @staticmethod
    def _close(pair: Pair) -> None:
        pair.client.close()
        if pair.target is not None:
            pair.target.close()
