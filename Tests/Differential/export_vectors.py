"""Writes the byte vectors of the end-to-end smuggling tests into a folder, one a file.

export_vectors.py FOLDER; needs what the end-to-end tests need.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "EndToEnd"))
from test_smuggling import BAD_CHUNKS, CHUNKED, REFUSED  # noqa: E402

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, content in REFUSED.items():
    (folder / name.replace("/", "-")).write_bytes(content)
for name, content in BAD_CHUNKS.items():
    (folder / f"chunk, {name}").write_bytes(CHUNKED + content)
