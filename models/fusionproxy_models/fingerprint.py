"""What a run learns from, as digests: a resumed run has to find the same."""

import hashlib
import json
from pathlib import Path

from .data import pair_files, read_cache_info
from .panel import read_panel


def fingerprints(pairs: Path, cache: Path, synthetic: Path | None, panel: Path | None) -> dict[str, str]:
    """A SHA-256 for each of the folders and files that `train` is given, by option; empty where there is none.

    Of pairs the names and sizes in bytes, which changes of a picture seldom leave alone and which cost no reading;
    of a cache its `cache.json`; of a panel its layers and their files of weights.
    """
    return {
        "pairs": _pairs(pairs),
        "cache": _text(json.dumps(read_cache_info(cache), sort_keys=True)),
        "synthetic": _pairs(synthetic) if synthetic else "",
        "panel": _panel(panel) if panel else "",
    }


def _text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _pairs(root: Path) -> str:
    return _text(repr([(name, v.stat().st_size, i.stat().st_size) for name, v, i in pair_files(root)]))


def _panel(path: Path) -> str:
    parts = []
    for e in read_panel(path):
        with open(e.weights, "rb") as f:
            parts.append((e.name, e.source, e.model, e.layer, hashlib.file_digest(f, "sha256").hexdigest()))
    return _text(repr(parts))
