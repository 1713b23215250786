"""Contenders under load that take turns, so that what slows the machine down slows all of them down."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field

from contenders import Running
from load import Load
from measure import Sample, cpu_seconds

# Seconds a contender is under load before it is the next one's turn.
TURN = 0.1
# Seconds for the requests that are in flight when a load stops: they are answered before the next turn.
GAP = 0.015
# Seconds before a load that is alone is measured, and after any.
MARGIN = 0.2


@dataclass
class Match:
    """One contender and its load, which waits for its turns."""

    process: Running
    load: Load
    turns: list[tuple[float, float]] = field(default_factory=list)
    # CPU seconds before the first turn and after the last.
    cpu: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float) -> None:
        began = time.time()
        time.sleep(seconds)
        self.turns.append((began, time.time()))

    def read_cpu(self) -> None:
        # h2load says nothing of connections that are lost and not made again.
        if self.process.is_running:
            try:
                self.cpu.append(cpu_seconds(self.process.pid))
            except OSError:
                return  # it ends just now

    def finish(self) -> Sample:
        """What was answered from the first turn to the last; RuntimeError if a request failed, then or ever."""
        answers = self.load.finish()
        if len(self.cpu) < 2:
            raise RuntimeError("the process ended")
        opened, closed = self.turns[0][0], self.turns[-1][1]
        answers = [answer for answer in answers if opened <= answer.ended <= closed]
        if not answers:
            raise RuntimeError("nothing was answered")
        clock = Clock(self.turns)
        latencies = sorted((clock.at(answer.ended) - clock.at(answer.began)) * 1000 for answer in answers)
        return Sample(len(answers), clock.at(closed), self.cpu[1] - self.cpu[0], latencies)


class Clock:
    """One that stands still between turns: a request that is in flight then has not waited for its proxy."""

    def __init__(self, turns: list[tuple[float, float]]):
        self.turns = turns
        self.starts = [began for began, _ in turns]
        self.elapsed = [0.0]
        for began, ended in turns:
            self.elapsed.append(self.elapsed[-1] + ended - began)

    def at(self, moment: float) -> float:
        """Seconds of all turns up to this moment."""
        index = bisect_right(self.starts, moment) - 1
        if index < 0:
            return moment - self.starts[0]
        began, ended = self.turns[index]
        return self.elapsed[index] + min(moment, ended) - began


def alternate(matches: list[Match], end: float) -> None:
    """Has the stopped loads take turns until the given time. They go on together after that."""
    for match in matches:
        match.read_cpu()
    while matches and time.time() < end or not all(match.turns for match in matches):
        for match in matches:
            match.load.go_on()
            match.take_turn(TURN)
            match.load.pause()
            time.sleep(GAP)
    time.sleep(MARGIN)
    for match in matches:
        match.read_cpu()
        match.load.go_on()


def run_alone(match: Match, end: float) -> None:
    """Measures a load that never stops, for it would make up for the pause."""
    time.sleep(MARGIN)
    match.read_cpu()
    match.take_turn(max(TURN, end + MARGIN - time.time()))
    match.read_cpu()
