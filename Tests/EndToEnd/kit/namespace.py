"""Work inside a network namespace from this very process: a thread may be in another one than its siblings."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

CLONE_NEWNET = 0x4000_0000
LIBC = ctypes.CDLL(None, use_errno=True)

Value = TypeVar("Value")


def enter(namespace: str) -> None:
    """Moves the calling thread, for good; sockets that it makes belong to the namespace ever after."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot enter network namespace {namespace}: {os.strerror(code)}")
    finally:
        os.close(descriptor)


def inside(namespace: str, work: Callable[[], Value]) -> Value:
    """Runs `work` in the namespace, in a thread made for it, and answers what it answers."""
    outcome: list[Value] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter(namespace)
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
