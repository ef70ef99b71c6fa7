"""The request of the peers: the same input, checks and response as `POST /api/holds`."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, Field

TIME_TO_LIVE = timedelta(seconds=3600)


class HoldRequest(BaseModel):
    product_id: int = Field(gt=0, lt=2**31)
    quantity: int = Field(gt=0, lt=2**31)


class Hold(BaseModel):
    hold_id: str
    product_id: int
    quantity: int
    status: str = "active"
    expires_at: datetime
    expires_in_seconds: int = int(TIME_TO_LIVE.total_seconds())


def granted(id: UUID, wanted: HoldRequest) -> Hold:
    return Hold(
        hold_id=f"hold_{id.hex}", product_id=wanted.product_id, quantity=wanted.quantity,
        expires_at=datetime.now(UTC) + TIME_TO_LIVE)
