"""Clients of a served model, spread over processes of their own.

Python lets the threads of a process work one at a time, so many clients in one
process measure the clients.
"""

import concurrent.futures
import contextlib
import multiprocessing
import time
from collections.abc import Callable
from collections.abc import Iterator

from kerasrnn_serving.client import Client

from benchmarks.serving import serving_peer

# Takes a number of clients, the rows of a call, and seconds.
Turn = Callable[[int, int, float], tuple[list[float], float]]


def served_turn(client: Client) -> Turn:
    """Returns turns in which each call continues where the last one ended."""

    def turn(clients, rows, seconds):
        def one_call(seed, state):
            results = client.generate(
                [""] * rows,
                length=serving_peer.LENGTH,
                seed=range(seed, seed + rows),
                state_bytes=state or b"",
            )
            return [result.state_bytes for result in results]

        return serving_peer.calls_in_turn(one_call, clients, seconds)

    return turn


@contextlib.contextmanager
def turns_from(
    processes: int, connect: Callable[..., dict[str, Turn]], connection: tuple
) -> Iterator[Callable[[str, int, int, float], tuple[list[float], float]]]:
    """Yields turns whose clients are spread over processes.

    Args:
        processes: How many.
        connect: Called in each process with `*connection`; returns its turns,
            by side. A function of a module.
        connection: Addresses, and what else it needs.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        processes, context, initializer=_start, initargs=(connect, connection)
    ) as pool:
        # All of them have started, and imported what they need.
        list(pool.map(time.sleep, [0.5] * processes))

        def turn(side, clients, rows, seconds):
            shares = [
                len(range(index, clients, processes))
                for index in range(min(clients, processes))
            ]
            parts = [
                pool.submit(_turn_in_process, side, share, rows, seconds)
                for share in shares
            ]
            results = [part.result() for part in parts]
            times = [call for own, _ in results for call in own]
            return times, max(seconds for _, seconds in results)

        yield turn


def _start(connect, connection):
    global _turns_of_process
    _turns_of_process = connect(*connection)


def _turn_in_process(side, clients, rows, seconds):
    return _turns_of_process[side](clients, rows, seconds)
