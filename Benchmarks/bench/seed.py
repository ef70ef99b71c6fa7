"""Adds rows to the database before a measurement. SQL is faster than requests.

The rows keep all invariants, as `flashsale audit` confirms.
"""

import time
from dataclasses import dataclass

from harness.services import sql

# The server's ids within one second are random. These ids are numbers multiplied by an odd constant. So all differ, and
# they are scattered over the index like random ones. wrk/seeded.lua computes the same ids.
SCATTERED = "lpad(to_hex(n::bigint * 10368889 % 4294967296), 8, '0')"


def id_digits(product: int, unix_second: int) -> str:
    """The first 24 of the 32 digits of a product's ids: see `ReservationID`."""
    second = unix_second - unix_second % 16
    return f"{product:08x}{second >> 16:04x}8{second >> 4 & 0xFFF:03x}80000000"


@dataclass
class SeededHolds:
    """Holds of one product to order, or orders of one product to pay."""

    url: str
    product: int
    ordered: bool  # whether the holds have orders
    next: int = 0  # the number of the first unused hold
    count: int = 0  # the number of added holds

    def __post_init__(self) -> None:
        self.digits = id_digits(self.product, int(time.time()))

    def add(self, count: int) -> None:
        numbers = f"generate_series({self.count}, {self.count + count - 1}) as n"
        id, product = f"('{self.digits}' || {SCATTERED})::uuid", self.product
        status, job = ("ordered", "expire_orders") if self.ordered else ("active", "expire_holds")
        later = "clock_timestamp() + interval '1 day'"
        statements = f"""
            begin;
            insert into holds (product_id, id, quantity, status, expires_at)
            select {product}, {id}, 1, '{status}', {later} from {numbers};
            update products set available_stock = available_stock - {count} where id = {product};
            insert into scheduled_jobs (product_id, kind, run_at)
            values ({product}, '{job}', {later}) on conflict do nothing;"""
        if self.ordered:
            statements += f"""
            insert into orders (product_id, id, quantity, amount, currency, payment_due_at, created_at)
            select {product}, {id}, 1, 100, 'USD', {later}, clock_timestamp() from {numbers};
            update ordered_stock set units = units + {count} where product_id = {product};"""
        sql(self.url, statements + "commit")
        self.count += count

    def ensure(self, count: int) -> None:
        """Adds holds until `count` are unused."""
        if self.next + count > self.count:
            self.add(self.next + count - self.count)


def add_past_holds(url: str, product: int, count: int) -> None:
    """Adds holds of the last days: half are expired, half are active for at least three hours."""
    chunk = 1_000_000
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        day_ago = int(time.time()) - 86_400 * (1 + start // chunk % 5)
        digits = id_digits(product, day_ago - start // chunk * 16)
        sql(url, f"""
            begin;
            insert into holds (product_id, id, quantity, status, expires_at)
            select {product}, ('{digits}' || {SCATTERED})::uuid, 1,
                   case when n % 2 = 0 then 'active' else 'expired' end,
                   clock_timestamp() + case when n % 2 = 0 then n * interval '10 ms' + interval '3 hours'
                                            else n * interval '-0.5 s' end
            from generate_series(0, {size - 1}) as n;
            update products set available_stock = available_stock - {(size + 1) // 2} where id = {product};
            insert into scheduled_jobs (product_id, kind, run_at)
            values ({product}, 'expire_holds', clock_timestamp() + interval '3 hours') on conflict do nothing;
            commit""")
    sql(url, "vacuum analyze")


def remove_holds_since(url: str, product: int, unix_second: int) -> None:
    """Deletes holds and returns their units to the stock. None of them may have an order."""
    sql(url, f"""
        with removed as (
            delete from holds
            where product_id = {product} and id >= rpad('{id_digits(product, unix_second)}', 32, '0')::uuid
            returning quantity)
        update products set available_stock = available_stock + (select coalesce(sum(quantity), 0) from removed)
        where id = {product}""")
    sql(url, "vacuum analyze holds, products")
