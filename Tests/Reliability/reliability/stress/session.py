"""A session with the database that stays open: its transactions can last as long as the harness likes."""

import asyncio
from types import TracebackType

END = "--end--"


class Session:
    """A psql on pipes. Not for use by several at the same time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Session":
        self._process = await asyncio.create_subprocess_exec(
            "setpriv", "--pdeathsig", "TERM", "psql", "-qXAt", "-d", self._url, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        await self.ask("set application_name = 'harness'; set search_path = flashsale, public")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def ask(self, statements: str) -> list[str]:
        """Returns the rows of all statements. A statement that fails has none, and the next ones are still run."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{statements};\n\\echo {END}\n".encode())
        rows = []
        while line := await self._process.stdout.readline():
            row = line.decode().rstrip("\n")
            if row == END:
                return rows
            rows.append(row)
        raise ConnectionError("the session with the database has ended")
