"""Whether a register that is taken from, given back to and looked at could have answered as it did.

Each operation took effect at one moment between its bounds. The search goes through the bounds in the order of time and
keeps every state that the register may be in ("just-in-time linearization": Lowe, "Testing for linearizability", 2017):
a value, the open changes that have taken effect, and the open looks that have seen what they say. An operation has to
have taken effect when its interval closes.

Four reductions keep the states few, none of which loses an explanation:
- a look changes nothing, so it sees what it says as soon as that is so;
- a change that neither lets an open look see what it says, nor makes an operation possible that has to be done now, can
  as well happen later;
- of changes by the same amount with nothing else to tell them apart, the one that must be done first is done first;
- of states with the same changes done, one whose looks have all been served serves for those with fewer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf

# More states at one moment than any history has that is not made to be hard.
STATES_MAX = 100_000

_numbers = count()


@dataclass(slots=True, eq=False)
class Change:
    """Adds `amount` to the register, which never gets below zero."""

    amount: int
    begin: float
    end: float = inf
    label: str = ""
    after: "Change | None" = None  # which has to be done before
    # A change whose effect ends by itself with its interval: when it was not done by then, it never is.
    is_undone_at_end: bool = False
    # It may also be undone earlier.
    is_passing: bool = False
    slot: int = -1
    is_required: bool = False      # by another one's `after`
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(slots=True, eq=False)
class Look:
    """Saw exactly `value`, or less than `below`, or both."""

    begin: float
    end: float
    value: int | None = None
    below: int | None = None
    label: str = ""
    slot: int = -1

    def sees(self, value: int) -> bool:
        return (self.value is None or self.value == value) and (self.below is None or value < self.below)


@dataclass
class Contradiction:
    """The shortest beginning of the history that cannot be explained ends with `operation`."""

    operation: Change | Look
    values: list[int]                 # that the register may have had just before
    around: list[Change | Look]       # what went on at the same time, and shortly before
    is_undecided: bool = False

    def __str__(self) -> str:
        zero = min(operation.begin for operation in self.around)

        def line(operation: Change | Look) -> str:
            if isinstance(operation, Change):
                what = f"{operation.amount:+}"
            else:
                what = " and ".join(
                    ([f"= {operation.value}"] if operation.value is not None else [])
                    + ([f"< {operation.below}"] if operation.below is not None else []))
            until = f"{operation.end - zero:9.4f}" if operation.end < inf else "     open"
            mark = " <-- no order explains this" if operation is self.operation else ""
            return f"    {operation.begin - zero:9.4f} .. {until}  {what:>12}  {operation.label}{mark}"

        values = ", ".join(map(str, self.values[:20]))
        head = "too many states to decide" if self.is_undecided else "cannot be linearized"
        return "\n".join([f"{head}; before, there may have been: {values} (seconds after {zero:.4f})",
                          *(line(operation) for operation in sorted(self.around, key=lambda o: (o.end, o.begin)))])


# Value, changes done, looks served: of the open ones, as bits.
State = tuple[int, int, int]


class _Undecided(Exception):
    pass


class Search:
    def __init__(self, value: int) -> None:
        self.states: set[State] = {(value, 0, 0)}
        self.changes: dict[int, Change] = {}  # the open ones, by slot
        self.looks: dict[int, Look] = {}
        self._free: list[int] = []
        self._slots = 0

    def open(self, operation: Change | Look) -> None:
        if self._free:
            operation.slot = self._free.pop()
        else:
            operation.slot, self._slots = self._slots, self._slots + 1
        if isinstance(operation, Change):
            self.changes[operation.slot] = operation
        else:
            self.looks[operation.slot] = operation
            bit = 1 << operation.slot
            self.states = {(value, done, served | bit if operation.sees(value) else served)
                           for value, done, served in self.states}

    def close(self, operation: Change | Look) -> bool:
        """False when no state is left."""
        bit = 1 << operation.slot
        ended: set[State] = set()
        if isinstance(operation, Look):
            for state in self.states:
                ended |= {state} if state[2] & bit else self._reach(state, operation)
            del self.looks[operation.slot]
            ended = {(value, done, served & ~bit) for value, done, served in ended}
        else:
            for state in self.states:
                if state[1] & bit and not operation.is_undone_at_end:
                    ended.add(state)
                elif operation.is_undone_at_end:
                    ended |= {undone for other in self._variants(state) if (undone := self._undo(other, operation))}
                else:
                    ended |= self._reach(state, operation)
            del self.changes[operation.slot]
            ended = {(value, done & ~bit, served) for value, done, served in ended}
        self._free.append(operation.slot)
        operation.slot = -1
        if ended:
            self.states = self._without_dominated(ended)
        return bool(ended)

    def _serve(self, value: int, served: int) -> int:
        for slot, look in self.looks.items():
            if not served >> slot & 1 and look.sees(value):
                served |= 1 << slot
        return served

    def _undo(self, state: State, operation: Change) -> State | None:
        value, done, served = state
        if not done >> operation.slot & 1:
            return state
        value -= operation.amount
        return (value, done, self._serve(value, served)) if value >= 0 else None

    def _candidates(self, done: int) -> list[Change]:
        """The open changes that may be done next: of those alike only the most urgent."""
        urgent: dict[int, Change] = {}
        single = []
        for change in self.changes.values():
            if done >> change.slot & 1:
                if change.is_passing:
                    single.append(change)
                continue
            if change.after is not None and change.after.slot >= 0 and not done >> change.after.slot & 1:
                continue
            if change.is_undone_at_end or change.is_required:
                single.append(change)
            elif change.amount not in urgent or change.end < urgent[change.amount].end:
                urgent[change.amount] = change
        return [*urgent.values(), *single]

    def _reach(self, start: State, target: Change | Look) -> set[State]:
        """The states in which the target has been done or served, each reached without needless steps."""
        found: set[State] = set()
        wanted = target if isinstance(target, Change) else None
        if wanted and not self._has_unserved(start[2]):
            direct = self._step(start, wanted)  # nothing that another order could serve
            if direct is not None:
                return {direct}
        # With each state: whether the target could have been done at the last state whose step served a look, from
        # which on steps have to be needed; and whether it is that state.
        first = (start, wanted is not None and self._step(start, wanted) is not None, True)
        stack, visited = [first], {first}
        while stack:
            state, was_possible, is_purposeful = stack.pop()
            for change in self._candidates(state[1]):
                following = self._step(state, change)
                if following is None:
                    continue
                serves = following[2] != state[2]
                if change is wanted:
                    if serves or is_purposeful or not was_possible:
                        found.add(following)
                    continue
                if wanted is None and following[2] >> target.slot & 1:
                    found.add(following)
                    continue
                is_possible = was_possible
                if serves:
                    is_possible = wanted is not None and self._step(following, wanted) is not None
                entry = (following, is_possible, serves)
                if entry not in visited:
                    visited.add(entry)
                    stack.append(entry)
                    if len(visited) > STATES_MAX:
                        raise _Undecided
        return found

    def _variants(self, start: State) -> set[State]:
        """The states that can be had by serving looks, and the one in which nothing is done."""
        variants = {start}
        if not self._has_unserved(start[2]):
            return variants
        stack, visited = [start], {start}
        while stack:
            state = stack.pop()
            for change in self._candidates(state[1]):
                following = self._step(state, change)
                if following is None or following in visited:
                    continue
                visited.add(following)
                stack.append(following)
                if following[2] != state[2]:
                    variants.add(following)
                if len(visited) > STATES_MAX:
                    raise _Undecided
        return variants

    def _has_unserved(self, served: int) -> bool:
        return any(not served >> slot & 1 for slot in self.looks)

    def _step(self, state: State, change: Change) -> State | None:
        value, done, served = state
        if change.after is not None and change.after.slot >= 0 and not done >> change.after.slot & 1:
            return None
        bit = 1 << change.slot
        value += -change.amount if done & bit else change.amount
        return (value, done ^ bit, self._serve(value, served)) if value >= 0 else None

    @staticmethod
    def _without_dominated(states: set[State]) -> set[State]:
        if len(states) < 2:
            return states
        alike: dict[tuple[int, int], list[int]] = {}
        for value, done, served in states:
            alike.setdefault((value, done), []).append(served)
        return {(value, done, one) for (value, done), all_served in alike.items() for one in all_served
                if not any(one != other and one & other == one for other in all_served)}


def find_contradiction(value: int, operations: Iterable[Change | Look]) -> Contradiction | None:
    """None when there is an order that explains everything."""
    operations = list(operations)
    for operation in operations:
        if isinstance(operation, Change) and operation.after is not None:
            operation.after.is_required = True
    # At the same moment opening comes first: bounds are inclusive.
    bounds: list[tuple[float, int, int, Change | Look]] = []
    for number, operation in enumerate(operations):
        bounds.append((operation.begin, 0, number, operation))
        if operation.end < inf:
            bounds.append((max(operation.begin, operation.end), 1, number, operation))
    bounds.sort(key=lambda bound: bound[:3])
    search = Search(value)
    for at, (_, is_end, _, operation) in enumerate(bounds):
        if not is_end:
            search.open(operation)
            continue
        before = sorted({state[0] for state in search.states})
        is_undecided = False
        try:
            if search.close(operation):
                continue
        except _Undecided:
            is_undecided = True
        around = {id(other): other for other in (*search.changes.values(), *search.looks.values(), operation)
                  if other.begin <= operation.end}
        earlier = [other for _, was_end, _, other in bounds[max(0, at - 40):at] if was_end][-8:]
        around |= {id(other): other for other in earlier}
        return Contradiction(operation, before, list(around.values()), is_undecided)
    return None
