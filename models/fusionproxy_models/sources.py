"""Where a teacher's samples come from: files, or a diffusion sampler that runs here.

    [[teacher]]                          # fused images on disk, from whatever network wrote them
    name = "sage"
    samples = ["{pairs}/../teachers/{split}/sage/{name}.1.0.jpg"]

    [[teacher]]                          # posterior samples
    name = "ours"
    sampler = "ddfm"                     # ddfm with an unconditional denoiser, or mask-difuser
    network = "own"                      # for ddfm: own (`fusionproxy-models denoiser`) or guided (OpenAI's)
    weights = "denoiser.pt"              # relative to the TOML file
    count = 2                            # samples a pair
    steps = 25                           # DDIM steps a sample

File templates may use `{pairs}` (the folder of pairs), `{split}` (that folder's name) and `{name}` (the pair); a
relative path is relative to the TOML file.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from .data import Pair, read_luma
from .errors import UserError


class Source(Protocol):
    """A named teacher."""

    name: str
    count: int

    def samples(self, pair: Pair, pairs: Path) -> Iterator[np.ndarray]:
        """`count` fused lumas of the pair, u8 [H, W]; `pairs` is the folder it came from."""


@dataclass(frozen=True)
class FileSource:
    """Fused images on disk, one file per sample and pair."""

    name: str
    templates: tuple[str, ...]
    config: Path

    @property
    def count(self) -> int:
        return len(self.templates)

    def samples(self, pair: Pair, pairs: Path) -> Iterator[np.ndarray]:
        for template in self.templates:
            try:
                text = template.format(pairs=pairs.resolve(), split=pairs.resolve().name, name=pair.name)
            except (KeyError, ValueError, IndexError) as e:
                raise UserError(f"{self.config}: sample {template!r}: no field {e}; use pairs, split, name") from e
            s = read_luma(self.config.parent / text)
            if s.shape != pair.vis.shape:
                h, w = pair.vis.shape
                raise UserError(f"{text}: {s.shape[1]}x{s.shape[0]}, but the pair is {w}x{h}")
            yield s


def read_config(path: Path) -> list[Source]:
    """The `[[teacher]]` tables of a TOML file."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such teacher configuration; models/teachers.toml is an example") from e
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{path}: not valid TOML ({e})") from e
    sources: list[Source] = []
    for n, t in enumerate(table.get("teacher", [])):
        try:
            if "sampler" in t:
                from .ddfm import sampler_source

                sources.append(sampler_source(t, path.parent))
            else:
                sources.append(FileSource(str(t["name"]), tuple(str(s) for s in t["samples"]), path))
        except (KeyError, TypeError, ValueError) as e:
            raise UserError(
                f"{path}: teacher {n + 1} needs `name` and `samples`, or `name`, `sampler` and `weights` ({e})"
            ) from e
    if not any(s.count for s in sources):
        raise UserError(f"{path}: no samples; add a [[teacher]] table with `name` and `samples`")
    return sources
