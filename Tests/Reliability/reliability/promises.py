"""Whether the database has everything that buyers were told, and nothing else."""

from harness.services import sql

from .shoppers import Crowd


def lost(crowd: Crowd, database_url: str) -> list[str]:
    """What was acknowledged to the crowd and is not there: a line for each kind of which something is lost."""
    kinds = {
        "holds": crowd.holds - recorded("hold", "holds", database_url),
        "orders": crowd.orders - recorded("order", "orders", database_url),
        "payments": crowd.paid - recorded("order", "orders where status = 'paid'", database_url),
    }
    return [f"{len(ids)} {kind} that were acknowledged are not there, such as {min(ids)}"
            for kind, ids in kinds.items() if ids]


def twice(crowd: Crowd, database_url: str) -> list[str]:
    """Whether repeating calls had further effects. To be asked of a crowd that insisted, has ended, and was alone: each
    of its calls was answered in the end, so a hold that nobody was told of is one too many."""
    unclaimed = recorded("hold", "holds", database_url) - crowd.holds
    if len(unclaimed) <= crowd.abandoned:
        return []
    return [f"{len(unclaimed)} holds are nobody's, {crowd.abandoned} calls were abandoned; such as {min(unclaimed)}"]


def recorded(prefix: str, table: str, database_url: str) -> set[str]:
    """The ids in a table, as clients see them."""
    return set(sql(database_url, f"select '{prefix}_' || replace(id::text, '-', '') from {table}").splitlines())
