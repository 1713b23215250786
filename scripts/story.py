"""How the demos tell what they do."""

from __future__ import annotations


class Story:
    """Says what happens and keeps count of what held."""

    def __init__(self) -> None:
        self.failures = 0
        self.steps = 0

    def step(self, title: str) -> None:
        self.steps += 1
        print(f"\n{self.steps}. {title}", flush=True)

    def tell(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(f"     {line}", flush=True)

    def check(self, held: bool, claim: str) -> None:
        print(f"   {'✓' if held else '✗'} {claim}", flush=True)
        self.failures += not held


def shown(content: bytes) -> str:
    kinds = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}
    return f"{content[:24].hex(' ')} …   (TLS {kinds.get(content[0], 'none!')})"
