"""What the documents point at is there: links, files, targets of make, commands and their options."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from kit.proxy import REPOSITORY, run_once

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
SOURCES = sorted(
    path for name in ("Sources", "deploy", "examples", "scripts") for path in (REPOSITORY / name).rglob("*")
    if path.suffix in (".swift", ".c", ".h", ".yaml", ".sh", ".py")
) + [REPOSITORY / name for name in ("install.yaml", "Dockerfile", "Makefile")]
FILE = re.compile(r"(?<![\w./<-])(?:docs|Sources|scripts|deploy|Tests|examples|Benchmarks)/[\w./-]*\w\.\w+")

names = lambda path: str(path.relative_to(REPOSITORY))  # noqa: E731
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=names)


def test_the_documents_are_found() -> None:
    assert len(DOCUMENTS) > 20 and len(SOURCES) > 200


def anchors(path: Path) -> set[str]:
    """The names that headings have on GitHub."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading.strip().lower())
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(next(name + end for end in ["", *map("-{}".format, range(1, 99))] if name + end not in found))
    return found


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in re.findall(r"]\(([^)\s]+)\)", document.read_text()):
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (document.parent / file) if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", ["documents", "sources"])
def test_files_that_are_named_are_there(name: str) -> None:
    files = {"documents": DOCUMENTS, "sources": SOURCES}[name]
    named = [(names(file), path) for file in files for path in FILE.findall(file.read_text())]
    assert len(named) > 10
    assert [pair for pair in named if not (REPOSITORY / pair[1]).exists()] == []


def commands(document: Path) -> list[str]:
    """What is set as code: in backticks, or indented."""
    text = document.read_text()
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)


@each_document
def test_targets_of_make_are_there(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    asked = {word for command in commands(document) if (found := re.match(r"make ((?:[a-z-]+ ?)+)", command))
             for word in found[1].split()}
    assert asked <= targets


@pytest.fixture(scope="module")
def help_of(binary):
    @functools.cache
    def read(*command: str) -> str:
        result = run_once(binary, [*command, "--help"], {})
        assert result.returncode == 0, f"sidecar {' '.join(command)}: {result.stderr}"
        return result.stdout

    return read


def subcommands(text: str) -> set[str]:
    _, _, rest = text.partition("SUBCOMMANDS:")
    return set(re.findall(r"^  ([a-z-]+)", rest, re.MULTILINE))


@each_document
def test_commands_and_their_options_are_there(document: Path, help_of) -> None:
    wrong = []
    for text in commands(document):
        for words in re.findall(r"(?:^|[| ])sidecar((?: [a-z0-9-]+)+)", re.sub(r" #.*| \(.*", "", text)):
            path, options, known = [], [], help_of()
            for word in words.split():
                if word.startswith("--"):
                    options.append(word)
                elif not options and (inner := subcommands(known)):
                    if word not in inner:
                        break
                    path.append(word)
                    known = help_of(*path)
            wrong += [f"sidecar {' '.join(path)} {option}" for option in options
                      if option not in known and option.replace("--no-", "--") not in known]
    assert not wrong


@pytest.mark.parametrize("document, command", [("injection.md", "inject"), ("webhook.md", "webhook")])
def test_the_tables_of_options_are_whole(document: str, command: str, help_of) -> None:
    text = (REPOSITORY / "docs" / document).read_text()
    real = set(re.findall(r"--[a-z][a-z-]+", help_of(command))) - {"--help", "--version"}
    told = set(re.findall(r"`(--[a-z-]+)`", "\n".join(re.findall(r"^\| .*`--.*$", text, re.MULTILINE))))
    assert real <= told
