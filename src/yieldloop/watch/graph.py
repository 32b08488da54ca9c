"""The wait-for graph: circles of tasks that wait for each other.

What lives here: finding them. What may not: tasks; here they are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def cycles_of(needs: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """The circles in "number waits for numbers": of each knot of tasks that all wait for each other, one way round it.

    Each begins with its smallest number. Cost: in proportion to the edges.
    """
    return sorted(_one_way_round(knot, needs) for knot in _knots(needs))


def _knots(needs: Mapping[int, Sequence[int]]) -> list[set[int]]:
    """Strongly connected components with an edge inside (Tarjan 1972, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    knots = []
    for start in needs:
        if start in order:
            continue
        work = [(start, iter(needs[start]))]
        order[start] = low[start] = len(order)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in needs:
                    continue
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(needs[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    knot = set()
                    while node not in knot:
                        knot.add(stack.pop())
                    on_stack -= knot
                    if len(knot) > 1 or node in needs[node]:
                        knots.append(knot)
    return knots


def _one_way_round(knot: set[int], needs: Mapping[int, Sequence[int]]) -> list[int]:
    """A shortest circle through the smallest number of *knot*."""
    start = min(knot)
    came_from: dict[int, int] = {}
    line = [start]
    for node in line:
        for other in needs[node]:
            if other == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if other in knot and other not in came_from:
                came_from[other] = node
                line.append(other)
    return [start]
