"""Training batches: crops, flips, photometric changes, missing modalities and misalignment.

Every batch is a function of (seed, step) alone, so a resumed run sees the batches of an unbroken one.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .data import Pair
from .losses import Batch


@dataclass(frozen=True)
class Augment:
    """Probabilities (per sample) and ranges."""

    crop: int = 128
    #: One modality replaced by a flat image; the target becomes the other one.
    drop: float = 0.08
    #: Random affine on the infrared input only, supervision on the aligned target (eq. 14).
    misalign: float = 0.2
    #: Largest shift (px) and turn (degrees) of that affine.
    shift: float = 5.0
    turn: float = 2.0
    #: Noise added to the inputs only, so that the student learns to remove a little of it.
    noise: float = 0.1


def crop(p: Pair, size: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The same random crop (edges replicated if the pair is smaller) and flip of vis, ir, mean, std; f32 0..1."""
    h, w = p.vis.shape
    y, x = int(rng.integers(0, max(h - size, 0) + 1)), int(rng.integers(0, max(w - size, 0) + 1))
    flip_x, flip_y = rng.random() < 0.5, rng.random() < 0.1
    out = []
    for a, scale in ((p.vis, 255.0), (p.ir, 255.0), (p.mean, 65535.0), (p.std, 1.0)):
        c = a[y : y + size, x : x + size].astype(np.float32) / scale
        if c.shape != (size, size):
            c = np.pad(c, ((0, size - c.shape[0]), (0, size - c.shape[1])), mode="edge")
        c = c[:, ::-1] if flip_x else c
        out.append(c[::-1] if flip_y else c)
    return tuple(out)


def affine(x: torch.Tensor, dx: float, dy: float, degrees: float) -> torch.Tensor:
    """[1, H, W] moved by (dx, dy) px and turned about its centre; bilinear, edges replicated."""
    _, h, w = x.shape
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # affine_grid works in units of half the image, so the off-diagonal terms carry the aspect ratio
    m = torch.tensor([[c, -s * h / w, -2 * dx / w], [s * w / h, c, -2 * dy / h]]).unsqueeze(0)
    grid = F.affine_grid(m, (1, 1, h, w), align_corners=False)
    return F.grid_sample(x.unsqueeze(0), grid, padding_mode="border", align_corners=False)[0]


def make_batch(pairs: list[Pair], size: int, a: Augment, seed: int, step: int, misalign: bool) -> Batch:
    """The batch of `step`: `size` samples of `a.crop` x `a.crop`."""
    rng = np.random.default_rng([seed, step])
    rows = []
    for _ in range(size):
        v, i, m, s = crop(pairs[int(rng.integers(len(pairs)))], a.crop, rng)
        both = 1.0
        u = rng.random()
        if u < a.drop:  # a missing modality: the other one is the target
            both = 0.0
            if u < a.drop * 0.5:
                i = np.full_like(i, rng.choice([0.0, 0.5, 1.0, rng.random()]))
                m = v
            else:
                v = np.full_like(v, 0.06 * rng.random())
                m = i
            s = np.zeros_like(s)
        v_in, i_in = v, i
        if rng.random() < a.noise:
            sigma = 0.02 * rng.random()
            v_in = np.clip(v + rng.normal(0, sigma, v.shape), 0, 1).astype(np.float32)
            i_in = np.clip(i + rng.normal(0, sigma, i.shape), 0, 1).astype(np.float32)
        t = [torch.from_numpy(np.ascontiguousarray(q, dtype=np.float32))[None] for q in (v_in, i_in, v, i, m, s)]
        if misalign and both and rng.random() < a.misalign:
            dx, dy = rng.uniform(-a.shift, a.shift, 2)
            t[1] = affine(t[1], float(dx), float(dy), float(rng.uniform(-a.turn, a.turn)))
        rows.append((*t, torch.tensor(both)))
    return Batch(*(torch.stack(c) for c in zip(*rows)))
