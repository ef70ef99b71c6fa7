"""Holds with FastAPI and asyncpg, in flashsale's tables. Each hold is a transaction with a conditional update."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from fastapi import FastAPI, HTTPException
from hold import TIME_TO_LIVE, Hold, HoldRequest, granted


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=int(os.environ["DB_CONNECTIONS"])
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/holds", status_code=201)
async def hold(wanted: HoldRequest) -> Hold:
    id = uuid4()
    async with app.state.pool.acquire() as connection, connection.transaction():
        taken = await connection.fetchval(
            """update flashsale.products set available_stock = available_stock - $2
               where id = $1 and available_stock >= $2 returning id""",
            wanted.product_id, wanted.quantity)
        if taken is None:
            raise HTTPException(409, "Not enough stock")
        await connection.execute(
            """insert into flashsale.holds (product_id, id, quantity, expires_at)
               values ($1, $2, $3, date_trunc('milliseconds', clock_timestamp() + $4))""",
            wanted.product_id, id, wanted.quantity, TIME_TO_LIVE)
    return granted(id, wanted)
