"""Functions that wait for their transaction, and the threads that run them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from jitgate import metrics
from jitgate.core.errors import Unavailable
from jitgate.store.transaction import Tx

T = TypeVar("T")


class Job(Generic[T]):
    """A function that wants a transaction, and the future of whoever asked for it.

    It runs in the context of who asked, so that what is told of meanwhile has their ids.
    """

    __slots__ = ("_context", "_future", "_loop", "asked", "error", "fn", "result")

    def __init__(
        self, fn: Callable[[Tx], T], future: "Future[T] | asyncio.Future[T]", loop: asyncio.AbstractEventLoop | None
    ) -> None:
        """`loop` is the event loop of an asyncio future; None for a thread that blocks."""
        self.fn = fn
        self.asked = perf_counter()
        self.result: T | None = None
        self.error: BaseException | None = None
        self._context = copy_context()
        self._future = future
        self._loop = loop

    def run(self, tx: Tx) -> bool:
        """Run the function and keep what came of it. Whether it came to its end."""
        try:
            self.result = self._context.run(self.fn, tx)
            tx.finish()
            self.error = None
        except StopIteration as error:  # a future refuses to carry it
            self.error = RuntimeError(f"the function let StopIteration out: {error}")
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who gets it
            self.error = error
        finally:
            tx.end()
        return self.error is None

    def fail(self, error: BaseException) -> None:
        """Nothing came of it, whatever the function returned."""
        self.error = error

    def settle(self) -> None:
        """Give the caller the outcome. In the caller's event loop, if there is one."""
        if self._future.done():  # the caller has gone
            return
        if self.error is not None:
            self._future.set_exception(self.error)
        else:
            self._future.set_result(self.result)  # type: ignore[arg-type]  # without an error it is a T

    def when_settled(self, call: Callable[[], object]) -> None:
        """Have something called when the caller has the outcome, or does not wait for it any more."""
        self._future.add_done_callback(lambda _: call())

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        return self._loop


def _work(worker: "Worker", jobs: Sequence[Job[Any]]) -> None:
    try:
        worker.work(jobs)
    except Exception as error:  # noqa: BLE001 - without its thread, nobody would ever get an answer again
        for job in jobs:
            job.fail(error)
        deliver(jobs)


def deliver(jobs: Iterable[Job[Any]]) -> None:
    """Give every caller the outcome, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in jobs:
        if job.loop is None:
            job.settle()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, settled in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.settle()


def closed() -> Unavailable:
    """What those are told who come after the end."""
    return Unavailable("The store is closed: jitgate is stopping. Try again when it has started.")


class Worker(Protocol):
    """Does jobs, up to `group` of them at once, always in the same thread."""

    group: int

    def work(self, jobs: Sequence[Job[Any]]) -> None:
        """Do the jobs and deliver each. What it raises fails those that are not delivered."""
        ...

    def close(self) -> None: ...


class Crew:
    """A queue of jobs, and a thread for each worker who takes from it."""

    def __init__(self, name: str, workers: Iterable[Worker]) -> None:
        self._door = name
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=f"jitgate-{name}-{number}", daemon=True)
            for number, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, *jobs: Job[Any]) -> None:
        """Queue jobs, which a worker finds together. Raises Unavailable once the store is closed."""
        with self._lock:
            if self._closed:
                raise closed()
            for job in jobs:
                self._queue.put(job)

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, worker: Worker) -> None:
        goes_on = True
        while goes_on:
            first = self._queue.get()
            if first is None:
                break
            jobs, goes_on = self._more(first, worker.group)
            began = perf_counter()
            _work(worker, jobs)
            self._count(jobs, began)
        worker.close()

    def _count(self, jobs: Sequence[Job[Any]], began: float) -> None:
        """Of work that is done: how long it waited for its turn, how long that took, and what the database failed."""
        metrics.DATABASE_SECONDS.labels(self._door).observe(perf_counter() - began)
        for job in jobs:
            metrics.DATABASE_WAIT.labels(self._door).observe(began - job.asked)
            if isinstance(job.error, Unavailable):
                metrics.DATABASE_ERRORS.labels(self._door).inc()

    def _more(self, first: Job[Any], most: int) -> tuple[list[Job[Any]], bool]:
        """The jobs that are queued already, and whether there will be more."""
        jobs = [first]
        with self._lock, contextlib.suppress(Empty):
            while len(jobs) < most:
                job = self._queue.get_nowait()
                if job is None:
                    return jobs, False
                jobs.append(job)
        return jobs, True
