"""`--planted`: bugs that are planted on purpose, one at a time. The checker must catch each of them."""

import argparse
import asyncio
import contextlib
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.mutants import Mutant
from harness.processes import HarnessError

from .checker.judge import some_of_each_kind
from .client import Client
from .history import Call
from .processes import beside
from .scene import ORDER_TTL, staged
from .shop import Shop
from .stress import stress
from .trial import Trial, repeat

SECONDS = 15.0
STRESS_SECONDS = 40.0


@dataclass(frozen=True)
class Bug(Mutant):
    """At least one violation says each of `caught_by`."""

    also: tuple[str, ...] = ()        # statements to be run once, each by itself
    again_and_again: str = ""         # statements to be run all along
    is_cached: bool = False           # reads of a product come from a cache
    crashes: int = 0                  # of the database, at the end
    is_stressed: bool = False         # by the load and the judge of --stress
    has_events: bool = False          # endpoints get all events

    def sabotage(self) -> list[str]:
        return [*([self.sql()] if self.function else []), *self.also]


# Without a bug nothing may be found.
#
# When little stock is left, reserve_holds locks the row before it decides. When two servers both read that there is
# enough, only the condition of the update protects, and a constraint behind it. pg_sleep gives them the time for that.
# Once some units were given back, no audit notices any more that they were sold twice.
BUGS = [
    Bug("nothing is planted", has_events=True),
    Bug("the condition of the update that takes stock is gone", "reserve_holds", (
        ("    v_available := v_product.available_stock;\n",
         "    v_available := v_product.available_stock;\n    perform pg_sleep(0.1);\n"),
        ("where p.id = p_product_id and p.available_stock >= v_taken", "where p.id = p_product_id")),
        also=("alter table products drop constraint products_available_stock_in_range",),
        caught_by=("is not conserved",)),
    Bug("reads of a product are answered from a cache", is_cached=True,
        caught_by=("product was answered 200: it was never so",)),
    Bug("a failed payment restores the stock twice", "decide_payment_events", (
        ("set available_stock = p.available_stock + v_given_back where",
         "set available_stock = p.available_stock + v_given_back + greatest(v_given_back, 0) where"),),
        caught_by=("is not conserved", "stock_is_conserved")),
    Bug("acknowledged holds vanish, and their units are on sale again", again_and_again="""
        with gone as (
            delete from holds where (product_id, id) in (
                select product_id, id from holds
                where status = 'active' and expires_at > clock_timestamp() + interval '1 s'
                limit 1)
            returning product_id, quantity)
        update products p set available_stock = available_stock + gone.quantity
        from gone where p.id = gone.product_id""",
        caught_by=("an acknowledged hold is not in the database", "is gone")),
    Bug("what is acknowledged is not on disk yet when PostgreSQL crashes", crashes=4, also=(
        "alter system set wal_writer_delay = '10s'", "alter system set wal_writer_flush_after = '1GB'",
        "select pg_reload_conf()",
        # Overrides the command line of PostgreSQL, for sessions that begin after it.
        "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$",
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"),
        # Anything from the last ten seconds may be lost.
        caught_by=("an acknowledged", "is not in the database")),
    Bug("lapsed holds count only when a worker has released them", "lapsed_units", (
        ("and expires_at <= p_at", "and false"),), caught_by=("it was never so",)),
    Bug("an idempotency key is not remembered", "reserve_holds", (
        ("where asked.key is not null and asked.outcome = 'held'", "where false"),),
        caught_by=("stands for 2 things", "at most 1 requests may have made them")),
    Bug("money that came twice is kept", "decide_payment_events", (
        ("verdicts[i] := 'refund_due';  -- paid twice", "verdicts[i] := 'ignored';"),),
        caught_by=("that is paid, is ignored",)),
    Bug("holds are ordered after their time", "place_orders", (
        ("if v_locked.statuses[i] <> 'active' then", "if v_locked.statuses[i] not in ('active', 'expired') then"),
        ("elsif v_locked.expiries[i] <= v_now then", "elsif false then")),
        caught_by=("after its hold's time",)),
    Bug("nothing is planted, under stress", is_stressed=True),
    Bug("a late payment does not count for the customer's limit", "decide_payment_events", (
        ("if v_left[v_customer] + v_returned[v_customer] < v_quantities[v_at] then", "if false then"),),
        is_stressed=True, caught_by=("through a late payment, above the limit",)),
    Bug("a hold's time begins before the wait for the product's row", "reserve_holds", (
        ("elsif v_taken_at > least(v_now + clock_tolerance(p_ttl_us), held_until) then", "elsif false then"),),
        is_stressed=True, caught_by=("s from its commit, not for",)),
    Bug("the end of the sale is read before the wait for the product's row", "reserve_holds", (
        ("elsif v_taken_at >= ends_at then", "elsif false then"),),
        is_stressed=True, caught_by=("after the sale had ended",)),
    Bug("limits are read before the wait for the product's row", "reserve_holds", ((
        """          and (p.starts_at, p.ends_at, p.is_paused, p.max_quantity_per_hold, p.max_per_customer) is not distinct from
              (v_product.starts_at, v_product.ends_at, v_product.is_paused, v_product.max_quantity_per_hold,
               v_product.max_per_customer)
""", ""),), is_stressed=True, caught_by=("above the limit",)),
    Bug("a parked payment vanishes", is_stressed=True, again_and_again="""
        delete from payment_events where (product_id, idempotency_key) in (
            select product_id, idempotency_key from payment_events
            where verdict = 'parked' and status = 'success'
            limit 1)""",
        caught_by=("is gone: a success that was parked",)),
    Bug("events of a batch are not written", "add_event_batch", ((
        """    insert into event_batches (product_id, type, created_at, versions, object_ids)
    values (p_product_id, p_type, clock_timestamp(), p_versions, p_object_ids);
""", "    null;\n"),), has_events=True,
        caught_by=("orders_have_their_events", "in the log, and None in the table of events", "never came to")),
    Bug("a delivery that failed counts as delivered", "record_deliveries", (
        ("coalesce(r.status_code between 200 and 299, false) as is_success", "true as is_success"),), has_events=True,
        caught_by=("never came to",)),
    Bug("a refund of a part returns the units", "record_refund", (
        ("p_refund.is_restock and not o.is_restocked and o.refunded_amount + p_refund.amount = o.amount",
         "p_refund.is_restock"),), caught_by=("and its units are restocked", "refunded_orders_have_no_money_left")),
    Bug("unpaid orders are never expired", "expire_orders", (
        ("o.payment_due_at <= v_now", "false"),), caught_by=("stuck",)),
]


class Cached(Client):
    """Answers reads of a product from memory for a while."""

    SECONDS = 0.3
    _memory: ClassVar[dict[int, tuple[float, dict[str, Any]]]] = {}

    async def _exchange(self, call: Call) -> None:
        until, answer = self._memory.get(call.product, (0.0, {}))
        if call.operation == "product" and time.monotonic() < until:
            call.answered(200, answer, is_replay=False)
            return
        await super()._exchange(call)
        if call.operation == "product" and call.status == 200:
            self._memory[call.product] = time.monotonic() + self.SECONDS, call.answer


async def run(options: argparse.Namespace, work: Path) -> list[str]:
    """Returns the bugs that were not caught, and false alarms."""
    chosen = [bug for bug in BUGS if options.bug in bug.name]
    if not chosen:
        raise HarnessError(f"no bug has {options.bug} in its description")
    missed = []
    for number, bug in enumerate(chosen):
        folder = work / str(number)
        folder.mkdir()
        with contextlib.redirect_stdout(io.StringIO()):
            violations = await live_with(bug, folder, options.seed)
        not_seen = [words for words in bug.caught_by if not any(words in violation for violation in violations)]
        missed += [f"{bug.name}: nothing says '{words}'" for words in not_seen]
        if not bug.caught_by:
            missed += [f"{bug.name}, and yet: {violation}" for violation in violations]
        verdict = ("MISSED" if not_seen else "caught") if bug.caught_by else "FOUND" if violations else "clean"
        print(f"{verdict:6}  {bug.name}")
        for violation in some_of_each_kind(violations, most=1)[:6]:
            print(f"          {violation.splitlines()[0][:150]}")
    return missed


async def live_with(bug: Bug, work: Path, seed: int) -> list[str]:
    if bug.is_stressed:
        return await stress(work, seed, STRESS_SECONDS, sabotage=bug.sabotage(), again_and_again=bug.again_and_again)
    async with staged(work) as scene:
        products = scene.add_products(3, 2000, last_stock=40)
        for statement in bug.sabotage():
            scene.sql(statement)
        trial = Trial(scene, Shop(products, 300, ORDER_TTL, too_many=2001, payable={products[-1]: 20}))
        kind = Cached if bug.is_cached else Client
        async with (trial.listening(seed) if bug.has_events else contextlib.nullcontext(),
                    trial.run(20, seed, kind, audit_period=0.5)):
            async with beside(repeat(scene.database.url(), bug.again_and_again)):
                await asyncio.sleep(SECONDS)
            for _ in range(bug.crashes):
                await asyncio.to_thread(scene.database.kill)
                await asyncio.to_thread(scene.database.start)
                await asyncio.sleep(SECONDS / 4)
    return trial.violations
