"""Holds with FastAPI and Redis. A script decrements a counter and sets a hold with an expiry."""

import os
from uuid import uuid4

import redis.asyncio
from fastapi import FastAPI, HTTPException
from hold import TIME_TO_LIVE, Hold, HoldRequest, granted

app = FastAPI()
database = redis.asyncio.Redis(port=int(os.environ["REDIS_PORT"]), decode_responses=True)
take = database.register_script(os.environ["REDIS_SCRIPT"])


@app.post("/api/holds", status_code=201)
async def hold(wanted: HoldRequest) -> Hold:
    id = uuid4()
    taken = await take(
        keys=["stock", f"hold:{id.hex}"], args=[wanted.quantity, int(TIME_TO_LIVE.total_seconds())])
    if not taken:
        raise HTTPException(409, "Not enough stock")
    return granted(id, wanted)
