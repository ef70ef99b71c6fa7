"""Readers of a stream of events who read: watchers.py HOST PORT PRODUCT COUNT. Prints what they saw as JSON when it is
told to end (SIGTERM)."""

import json
import selectors
import signal
import socket
import sys
import time


class Stopped(Exception):
    """SIGTERM came."""


def stop(*_: object) -> None:
    raise Stopped


def main() -> None:
    host, port, product, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    request = f"GET /api/products/{product}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    seen = {"events": 0, "ended": 0}
    selector = selectors.DefaultSelector()
    signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            while len(selector.get_map()) < count:
                try:
                    connection = socket.create_connection((host, port), 10)
                    connection.sendall(request)
                except OSError:
                    seen["ended"] += 1
                    time.sleep(0.1)
                    continue
                selector.register(connection, selectors.EVENT_READ)
            for key, _ in selector.select():
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                seen["events"] += data.count(b"event: stock")
                if not data:
                    seen["ended"] += 1
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    except Stopped:
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
