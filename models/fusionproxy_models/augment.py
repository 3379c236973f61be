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


@dataclass(frozen=True)
class Window:
    """A square of a pair, mirrored or not."""

    y: int
    x: int
    size: int
    flip_x: bool
    flip_y: bool

    def of(self, a: np.ndarray) -> np.ndarray:
        """The window of `a` [H, W], edges replicated where `a` is smaller."""
        c = a[self.y : self.y + self.size, self.x : self.x + self.size]
        if c.shape != (self.size, self.size):
            c = np.pad(c, ((0, self.size - c.shape[0]), (0, self.size - c.shape[1])), mode="edge")
        return self.turned(c)

    def turned(self, c: np.ndarray) -> np.ndarray:
        """`c`, mirrored as the window is."""
        return c[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


def pick_window(p: Pair, size: int, rng: np.random.Generator) -> Window:
    """A random window of the pair."""
    h, w = p.vis.shape
    y, x = int(rng.integers(0, max(h - size, 0) + 1)), int(rng.integers(0, max(w - size, 0) + 1))
    return Window(y, x, size, rng.random() < 0.5, rng.random() < 0.1)


def affine(
    x: torch.Tensor, dx: float, dy: float, degrees: float, window: tuple[int, int, int, int] | None = None
) -> torch.Tensor:
    """[1, H, W] moved by (dx, dy) px and turned about its centre; bilinear, edges replicated.

    With `window` (top, left, height, width), only that part of the moved image.
    """
    _, h, w = x.shape
    top, left, rows, columns = window or (0, 0, h, w)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    v = (torch.arange(rows) + (top + 0.5 - h / 2 - dy))[:, None]
    u = (torch.arange(columns) + (left + 0.5 - w / 2 - dx))[None]
    # grid_sample counts in halves of the image
    grid = torch.stack([(c * u - s * v) * (2 / w), (s * u + c * v) * (2 / h)], -1)
    return F.grid_sample(x.unsqueeze(0), grid.unsqueeze(0), padding_mode="border", align_corners=False)[0]


def make_batch(pairs: list[Pair], size: int, a: Augment, seed: int, step: int, misalign: bool) -> Batch:
    """The batch of `step`: `size` samples of `a.crop` x `a.crop`."""
    rng = np.random.default_rng([seed, step])
    rows = []
    for _ in range(size):
        p = pairs[int(rng.integers(len(pairs)))]
        win = pick_window(p, a.crop, rng)
        planes = ((p.vis, 255.0), (p.ir, 255.0), (p.mean, 65535.0), (p.std, 1.0))
        v, i, m, s = (win.of(x).astype(np.float32) / scale for x, scale in planes)
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
        if misalign and both and rng.random() < a.misalign:
            i_in = moved(p.ir, win, a, rng)
        if rng.random() < a.noise:
            sigma = 0.02 * rng.random()
            v_in = np.clip(v_in + rng.normal(0, sigma, v.shape), 0, 1)
            i_in = np.clip(i_in + rng.normal(0, sigma, i.shape), 0, 1)
        planes = (v_in, i_in, v, i, m, s)
        rows.append([torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[None] for x in planes])
        rows[-1].append(torch.tensor(both))
    return Batch(*(torch.stack(c) for c in zip(*rows)))


def moved(ir: np.ndarray, win: Window, a: Augment, rng: np.random.Generator) -> np.ndarray:
    """The window of the infrared image after the whole of it was moved and turned at random, f32 0..1."""
    dx, dy = rng.uniform(-a.shift, a.shift, 2)
    x = torch.from_numpy(ir).float()[None] / 255
    place = (win.y, win.x, win.size, win.size)
    return win.turned(affine(x, float(dx), float(dy), float(rng.uniform(-a.turn, a.turn)), place)[0].numpy())
