"""Sessions that keep rows and tables locked, and that end the servers' backends."""

import asyncio
import random

from .checker.conditions import EVERY_ROW, Lock
from .shop import Shop

LOCKED_FOR = (0.1, 1.4)    # seconds; servers wait for 1.5 at most
PAUSE = (0.05, 0.5)
TABLE_LOCKED_FOR = (0.05, 0.5)
TABLE_PAUSE = (1.0, 6.0)
KILLS_EVERY = (0.2, 0.8)
END = "--end--"


class Session:
    """A psql on pipes: its transactions can last as long as the harness likes. Not for several callers at the same time."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "Session":
        self._process = await asyncio.create_subprocess_exec(
            "setpriv", "--pdeathsig", "TERM", "psql", "-qXAt", "-d", self._url, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        await self.ask("set application_name = 'harness'; set search_path = flashsale, public")
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def ask(self, statements: str) -> list[str]:
        """Returns the rows of all statements. A statement that fails has none, and the next ones are still run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{statements};\n\\echo {END}\n".encode())
        rows = []
        while line := await self._process.stdout.readline():
            row = line.decode().rstrip("\n")
            if row == END:
                return rows
            rows.append(row)
        raise ConnectionError("the session with the database has ended")


async def lock_rows(url: str, products: list[int], shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks rows of one kind for a while, again and again."""
    async with Session(url) as session:
        await session.ask("set lock_timeout = '1s'")
        while not shop.is_settling:
            product, table, ids = choose(products, shop, rng)
            if ids:
                column = "idempotency_key" if table == "payment_events" else "id"
                of_product = "" if table == "products" else f"product_id = {product} and "
                names = ", ".join(f"'{id.removeprefix('hold_').removeprefix('order_')}'" for id in ids)
                # In the order in which servers lock them, so that there is no deadlock.
                order = {"holds": "expires_at, id", "orders": "payment_due_at, id"}.get(table, column)
                lock = f"select 'locked' from {table} where {of_product}{column} in ({names}) order by {order} for update"
                await keep_locked(session, lock, rng.uniform(*LOCKED_FOR), product, table, ids, locks)
            await asyncio.sleep(rng.uniform(*PAUSE))


def choose(products: list[int], shop: Shop, rng: random.Random) -> tuple[int, str, tuple[str, ...]]:
    """Up to three rows of a product in a table, by their ids."""
    product = rng.choice(products)
    table = rng.choices(("products", "holds", "orders", "payment_events"), (5, 4, 3, 1))[0]
    ids = {
        "products": [str(product)],
        "holds": [id for of_product, id in shop.holds if of_product == product],
        "orders": [id for of_product, id, _, _ in shop.orders if of_product == product],
        "payment_events": [request["idempotency_key"] for event, request in shop.events if event == product],
    }[table][-8:]
    return product, table, tuple(rng.sample(ids, min(len(ids), rng.randint(1, 3))))


async def lock_tables(url: str, shop: Shop, locks: list[Lock], rng: random.Random) -> None:
    """Locks a whole table for a moment, as a change of the schema does, again and again."""
    async with Session(url) as session:
        await session.ask("set lock_timeout = '200ms'")
        while not shop.is_settling:
            await asyncio.sleep(rng.uniform(*TABLE_PAUSE))
            table = rng.choice(("products", "holds", "orders", "payment_events"))
            lock = f"lock table {table} in access exclusive mode; select 'locked' from pg_stat_activity limit 1"
            await keep_locked(session, lock, rng.uniform(*TABLE_LOCKED_FOR), None, table, (EVERY_ROW,), locks)


async def keep_locked(
    session: Session, lock: str, seconds: float, product: int | None, table: str, ids: tuple[str, ...], locks: list[Lock]
) -> None:
    """Adds the lock to `locks` if it was had."""
    asked, *rows = await session.ask(f"begin; select extract(epoch from clock_timestamp()); {lock}")
    if not rows:
        await session.ask("rollback")
        return
    await asyncio.sleep(seconds)
    released = await session.ask("select extract(epoch from clock_timestamp()); commit")
    if len(released) == 1:
        locks.append(Lock(product, table, ids, float(asked), float(released[0])))


async def end_backends(url: str, shop: Shop, kills: list[float], rng: random.Random) -> None:
    """Ends backends of servers all the time."""
    async with Session(url) as session:
        while not shop.is_settling:
            rows = await session.ask(f"""
                select extract(epoch from clock_timestamp()), pg_terminate_backend(pid)
                from (
                    select pid from pg_stat_activity
                    where application_name = 'flashsale' and backend_type = 'client backend'
                    order by (state = 'active') desc, random() limit {rng.randint(1, 3)}) chosen""")
            kills += [float(row.split("|")[0]) for row in rows]
            await asyncio.sleep(rng.uniform(*KILLS_EVERY))
