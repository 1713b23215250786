"""Contenders under load that take turns, so that what slows the machine down slows all of them down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from contenders import Running
from load import Answer, Load
from measure import Sample, cpu_seconds

# Seconds a contender is under load before it is the next one's turn.
TURN = 0.1
# Seconds for what is on its way when a load stops.
MARGIN = 0.05


@dataclass
class Match:
    """One contender and its load, which waits for its turns."""

    process: Running
    load: Load
    turns: list[tuple[float, float]] = field(default_factory=list)
    # CPU seconds before the first turn and after the last.
    cpu: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float) -> None:
        self.load.go_on()
        began = time.time()
        time.sleep(seconds)
        self.turns.append((began, time.time()))
        self.load.pause()

    def read_cpu(self) -> None:
        # h2load says nothing of connections that are lost and not made again.
        if self.process.is_running:
            self.cpu.append(cpu_seconds(self.process.pid))

    def finish(self) -> Sample:
        """What was answered from the first turn to the last; RuntimeError if a request failed, then or ever."""
        answers = self.load.finish()
        if len(self.cpu) < 2:
            raise RuntimeError("the process ended")
        opened, closed = self.turns[0][0], self.turns[-1][1]
        answers = [answer for answer in answers if opened <= answer.ended <= closed]
        latencies = sorted(answer.seconds * 1000 for answer in answers if self.within_turn(answer))
        if not latencies:
            raise RuntimeError("nothing was answered within a turn")
        seconds = sum(ended - began for began, ended in self.turns)
        return Sample(len(answers), seconds, self.cpu[1] - self.cpu[0], latencies)

    def within_turn(self, answer: Answer) -> bool:
        """Others were in flight while their load was stopped."""
        return any(began <= answer.began and answer.ended <= ended for began, ended in self.turns)


def alternate(matches: list[Match], end: float) -> None:
    """Has the loads take turns until the given time; one alone has all of it. They go on together after that."""
    for match in matches:
        match.load.pause()
    time.sleep(MARGIN)
    for match in matches:
        match.read_cpu()
    alone = len(matches) == 1
    while matches and time.time() < end or not all(match.turns for match in matches):
        for match in matches:
            match.take_turn(max(TURN, end - time.time()) if alone else TURN)
    time.sleep(MARGIN)
    for match in matches:
        match.read_cpu()
        match.load.go_on()
