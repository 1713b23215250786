"""Writes the byte vectors of the end-to-end smuggling tests into a folder, one a file.

export_vectors.py FOLDER; needs what the end-to-end tests need.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "EndToEnd"))
from test_smuggling import BROKEN, CHUNKED, HIDDEN, REFUSED, SERVED  # noqa: E402

vectors = {f"{status} {name}": content + HIDDEN for status, named in REFUSED.items() for name, content in named.items()}
vectors |= {f"chunk, {name}": CHUNKED + content + HIDDEN for name, content in BROKEN.items()}
vectors |= {f"served, {name}": served.content for name, served in SERVED.items()}

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, content in vectors.items():
    (folder / name.replace("/", "-")).write_bytes(content)
