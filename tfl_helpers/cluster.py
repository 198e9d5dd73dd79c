"""Blocks of work, done in this process or by the workers of a Dask cluster.

What is to be done is an object that is called with a block. It is pickled once, travels as the
result of a task, and is unpickled once in each worker process, which keeps it (`_loaded`). So a
worker needs no folder of weights, one that starts later gets it from another, and where all that
held it died Dask makes it anew; data that is scattered would be lost with them, and a plugin would
fail where a worker starts, not where somebody reads why. Dask itself is loaded when it is needed.
"""

import functools
import importlib.metadata
import importlib.util
import logging
import math
import os
import pickle
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import tfl_helpers

AHEAD = 2  # blocks per worker that are under way: while one is worked on the next is on its way
PART = 16  # things that a suspect block is split into, before single ones: few workers die for it
PATIENCE = 60  # seconds without news, after which it is asked whether there are workers at all
ALIKE = ("keras", "numpy", "pillow", "tensorflow")  # of one version, else results differ
FUTILE = 20  # deaths in which nothing at all was done: it is not the files
AGAIN = "Nothing is lost: start it, and give the same command again; it goes on from there"

SETTINGS = {
    # A worker that is slow to come back, or dies again, is not given up
    "distributed.deploy.lost-worker-timeout": "1 d",
    # Memory that Dask has glibc give back at once, and fetch anew, costs TensorFlow 40 %
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1},
}

Done = Iterator[tuple[Any, Any]]


def _same(thing: Any) -> Any:
    return thing


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Open a cluster for as long as the context lasts.

    Parameters
    ----------
    address : str, optional
        "local": a worker process per core of this machine; "local:2": two of them; the address of a
        scheduler, such as "tcp://10.0.0.1:8786". Without one there is no cluster.

    Yields
    ------
    distributed.Client or None
        For `sort_folder` and `features.extract`.

    Raises
    ------
    ValueError, OSError
        It is no address, or Dask is not installed; no scheduler answers there.
    """
    if address is None:
        yield None
        return
    if not importlib.util.find_spec("distributed"):
        raise ValueError('for a cluster first: pip install "tfl-helpers[cluster]"')
    import dask
    from distributed import Client, LocalCluster

    kind, _, number = address.partition(":")
    with ExitStack() as stack:
        if kind == "local":
            if number and (not number.isdecimal() or int(number) < 1):
                raise ValueError(f"local:N has a number of workers from 1, not {number!r}")
            workers = int(number or os.cpu_count() or 1)
            stack.enter_context(dask.config.set(SETTINGS))
            address = stack.enter_context(LocalCluster(**_local(workers)))
        try:
            client = stack.enter_context(Client(address, timeout=30, set_as_default=False))
        except (OSError, ValueError) as error:
            raise OSError(
                f"no scheduler answers at {address}: start one there (`dask scheduler`, and "
                "`dask worker ADDRESS --nthreads 1` for each process), or take --cluster local"
            ) from error
        yield client


def _local(workers: int) -> dict[str, Any]:
    """Describe a cluster of processes on this machine, which share its cores."""
    return {
        "n_workers": workers,
        "threads_per_worker": 1,  # TensorFlow has threads of its own
        # Ctrl-C in a terminal is for the client, which lets them go
        "preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,  # a worker that dies is told by what becomes of its files
        # A block that a dead worker had is done anew by itself (`_spread`), not with others again
        "scheduler_kwargs": {"allowed_failures": 0},
    }


@contextmanager
def spread(client: Any, work: Callable[..., Any]) -> Iterator[Callable[..., Done]]:
    """Give a function that has blocks worked on, here or, with a client, by its workers.

    It takes an iterable of blocks and what else each call gets, and yields (block, result) as each
    is done. Of what is asked for by `send` (block to what the call gets) only few are under way.

    On a cluster they come in any order, and a block may come in parts, which are slices of it. The
    result is None for a part of length one that ended each worker which tried it.

    Parameters
    ----------
    client : distributed.Client, optional
        Without one `work` is called in this process, in order.
    work : callable
        Can be pickled; what it loads once stays in a worker until it gets another.

    Examples
    --------
    >>> with spread(None, sum) as run:
    ...     list(run([[1, 2], [3]], start=10))
    [([1, 2], 13), ([3], 13)]
    """
    if client is None:

        def here(blocks: Iterable, send: Callable = _same, **given: Any) -> Done:
            return ((block, work(send(block), **given)) for block in blocks)

        yield here
        return
    with _reached(client):
        held = _submit(client, _same, pickle.dumps(work), key=f"work-{uuid.uuid4().hex}")
    call = functools.partial(_call, _versions(), _threads())
    yield functools.partial(_spread, client, call, held)


def _spread(
    client: Any,
    call: Callable,
    held: Any,
    blocks: Iterable[Sequence],
    send: Callable = _same,
    **given: Any,
) -> Done:
    """Have blocks worked on by workers.

    All that a worker had when it died is suspect, and done anew when the rest is done, one by one:
    what ends a worker that has nothing else is to blame, and is split until it is a single thing.
    A worker that dies while the work itself is on its way to it has not begun.
    """
    from distributed import wait
    from distributed.scheduler import KilledWorker

    waiting, running, suspects = iter(blocks), {}, deque()
    lives = FUTILE  # of workers, before anything is done

    def start(block: Sequence) -> None:
        asked = pickle.dumps((send(block), given))  # Dask would look for futures in each list
        running[_submit(client, call, held, asked, pure=False, retries=0)] = block

    try:
        while True:
            with _reached(client, OSError):
                room = AHEAD * len(client.nthreads()) - len(running)
                for block in islice(waiting, max(room, 0 if running else 1)):
                    start(block)
                if alone := not running and bool(suspects):
                    start(suspects.popleft())
                if not running:
                    return
            with _reached(client):
                done = _some(client, wait, list(running))
            for future in done:
                block = running.pop(future)
                try:
                    with _reached(client):
                        result = pickle.loads(future.result())
                except KilledWorker as error:
                    if held.status == "error":
                        client.retry([held])
                    lives -= alone
                    if not lives:
                        raise OSError(
                            f"{FUTILE} workers ended, whatever they had to do: perhaps the "
                            f"backbone needs more memory than they have. {AGAIN}"
                        ) from error
                    if not alone or error.task == held.key:
                        suspects.append(block)
                        continue
                    if (n := len(block)) > 1:
                        step = PART if n > PART else 1
                        suspects.extend(block[i : i + step] for i in range(0, n, step))
                        continue
                    result = None
                else:
                    lives = math.inf
                yield block, result
    finally:
        if client.status == "running":
            client.cancel(list(running), force=True)


def _some(client: Any, wait: Callable, futures: list) -> Any:
    """Wait until some are done, however slow the workers are, but not where there are none."""
    while True:
        try:
            with client.as_current():
                return wait(futures, timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            if not client.nthreads():
                raise OSError(f"no worker is there. {AGAIN}") from None


@contextmanager
def _reached(client: Any, *lost: type[Exception]) -> Iterator[None]:
    """Say what to do where the scheduler is gone, or lacks what is installed here.

    For a moment the client does not know yet: then errors that are `lost` tell, or a closed line.
    """
    from distributed.comm import CommClosedError

    where = client.scheduler.address if client.scheduler else "its address"
    try:
        yield
    except ImportError as error:
        why = f"the scheduler at {where} and its workers need what is installed here: {error}"
        raise OSError(why) from error
    except Exception as error:
        if client.status == "running" and not isinstance(
            error, (CancelledError, CommClosedError, *lost)
        ):
            raise
        raise OSError(f"the scheduler at {where} cannot be reached. {AGAIN}") from error


def _submit(client: Any, *call: Any, **how: Any) -> Any:
    """Submit a call whose arguments may be large, without a warning: what they are is meant."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "4 GB"}):
        return client.submit(*call, **how)


def _call(versions: dict[str, str], threads: int, work: bytes, asked: bytes) -> bytes:
    """Do one block in a worker's process."""
    if other := {name: v for name, v in _versions().items() if v != versions[name]}:
        wanted = {name: versions[name] for name in other}
        raise ValueError(f"results would differ: a worker has {other}, not {wanted}")
    call = _loaded(work, threads)
    block, given = pickle.loads(asked)
    return pickle.dumps(call(block, **given))


@functools.lru_cache(1)
def _loaded(pickled: bytes, threads: int) -> Callable:
    """Unpickle the work, with as many threads as the client's TensorFlow has.

    In how many parts a sum is added up hangs on them, and so do its last bits.
    """
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise ValueError(
            f"results would differ: TensorFlow runs in a worker, on other than {threads} threads. "
            "Start the workers anew"
        ) from error
    return pickle.loads(pickled)


def _threads() -> int:
    """Count the threads that TensorFlow computes one operation with in this process."""
    import tensorflow as tf

    set_up = tf.config.threading.get_intra_op_parallelism_threads()
    allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return set_up or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(allowed))


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in ALIKE}
    return {"tfl_helpers": tfl_helpers.__version__, **found}
