"""The teacher ensemble: pointwise mean and standard deviation of its samples, cached once per pair.

FusionProxy (arXiv 2605.06010), eqs. 3-4: any number of teachers and samples per teacher. A teacher here is
a set of fused images on disk, one file per sample and pair, from whatever network or sampler wrote them.
"""

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .data import load_pair, pair_files, read_luma
from .errors import UserError
from .files import write_atomic


@dataclass(frozen=True)
class Teacher:
    """A named teacher and the path templates of its samples.

    Templates may use `{pairs}` (the folder of pairs), `{split}` (that folder's name) and `{name}` (the
    pair); a relative path is relative to the configuration file.
    """

    name: str
    samples: tuple[str, ...]


def read_config(path: Path) -> list[Teacher]:
    """Reads `[[teacher]]` tables (name, samples) from a TOML file."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such teacher configuration; models/teachers.toml is an example") from e
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{path}: not valid TOML ({e})") from e
    teachers = []
    for n, t in enumerate(table.get("teacher", [])):
        try:
            teachers.append(Teacher(str(t["name"]), tuple(str(s) for s in t["samples"])))
        except (KeyError, TypeError) as e:
            raise UserError(f"{path}: teacher {n + 1} needs `name` and a list `samples` ({e})") from e
    if not any(t.samples for t in teachers):
        raise UserError(f"{path}: no samples; add a [[teacher]] table with `name` and `samples`")
    return teachers


def statistics(samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise mean and population standard deviation of u8 samples [H, W], both f32 in 0..1."""
    stack = np.stack(samples).astype(np.float32) / 255.0
    return stack.mean(0), stack.std(0)


def teach(pairs: Path, config: Path, out: Path) -> dict:
    """Writes `out/NAME.npz` (mean u16, std f16) for every pair and `out/cache.json`; returns the latter."""
    teachers = read_config(config)
    files = pair_files(pairs)
    variance = 0.0
    for n, (name, vis, ir) in enumerate(files):
        shape = load_pair(name, vis, ir).vis.shape
        samples = []
        for t in teachers:
            for template in t.samples:
                try:
                    text = template.format(pairs=pairs.resolve(), split=pairs.resolve().name, name=name)
                except (KeyError, ValueError, IndexError) as e:
                    raise UserError(f"{config}: sample {template!r}: no field {e}; use pairs, split, name") from e
                s = read_luma(config.parent / text)
                if s.shape != shape:
                    raise UserError(f"{text}: {s.shape[1]}x{s.shape[0]}, but the pair is {shape[1]}x{shape[0]}")
                samples.append(s)
        mean, std = statistics(samples)
        variance += float((std**2).mean())
        arrays = {"mean": np.rint(mean * 65535).astype(np.uint16), "std": std.astype(np.float16)}
        write_atomic(out / f"{name}.npz", lambda f, arrays=arrays: np.savez(f, **arrays))
        print(f"\r{n + 1}/{len(files)} {name:40.40s}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    info = {
        "pairs": len(files),
        "teachers": [{"name": t.name, "samples": len(t.samples)} for t in teachers],
        "mean_variance": variance / len(files),
    }
    write_atomic(out / "cache.json", lambda f: f.write(json.dumps(info, indent=1).encode()))
    return info
