"""Synthetic pairs and a two-teacher ensemble, made afresh for each test session."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusionproxy_models.teach import teach

torch.set_num_threads(1)


def scene(seed: int, h: int = 72, w: int = 88) -> tuple[np.ndarray, np.ndarray]:
    """A textured visible image and a dark infrared one with a warm rectangle, u8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    vis = 120 + 60 * np.sin(x / (3 + seed)) * np.cos(y / 5) + rng.normal(0, 5, (h, w))
    ir = 40 + rng.normal(0, 3, (h, w))
    top, left = rng.integers(8, h // 2), rng.integers(8, w // 2)
    ir[top : top + 24, left : left + 10] = 220
    return tuple(np.clip(a, 0, 255).astype(np.uint8) for a in (vis, ir))


def write_pairs(root: Path, n: int = 3) -> Path:
    """`root/pairs` with n pairs and `root/teachers.toml` with an average and a maximum as its samples."""
    pairs = root / "pairs"
    for d in (pairs / "vis", pairs / "ir", root / "avg", root / "max"):
        d.mkdir(parents=True)
    for k in range(n):
        vis, ir = scene(k)
        rgb = np.stack([vis] * 3, -1)
        Image.fromarray(rgb).save(pairs / "vis" / f"s{k}.png")
        Image.fromarray(ir).save(pairs / "ir" / f"s{k}.png")
        Image.fromarray(((vis.astype(int) + ir) // 2).astype(np.uint8)).save(root / "avg" / f"s{k}.png")
        Image.fromarray(np.maximum(vis, ir)).save(root / "max" / f"s{k}.png")
    (root / "teachers.toml").write_text(
        '[[teacher]]\nname = "average"\nsamples = ["avg/{name}.png"]\n'
        '[[teacher]]\nname = "maximum"\nsamples = ["{pairs}/../max/{name}.png"]\n'
    )
    return pairs


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> tuple[Path, Path]:
    """(pairs, cache), read-only."""
    root = tmp_path_factory.mktemp("data")
    pairs = write_pairs(root)
    teach(pairs, root / "teachers.toml", root / "cache")
    return pairs, root / "cache"


@pytest.fixture
def real_val() -> Path:
    """The real validation pairs; the test is skipped, by name, where they are absent."""
    root = Path(os.environ.get("FUSIONPROXY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "val"
    if not root.is_dir():
        pytest.skip(f"real pairs absent: no {root} (set FUSIONPROXY_DATA)")
    return root
