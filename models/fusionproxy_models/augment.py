"""Training batches: windows of pairs, photometric changes, missing modalities and misalignment.

Every batch is a function of (seed, step) alone, so a resumed run sees the batches of an unbroken one.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from . import photometric
from .data import Pair
from .geometry import Window, affine, pick_window
from .losses import Batch

#: Feature variances of a window are given at this stride, as fine as any backbone of a panel.
MAP_STRIDE = 4


@dataclass(frozen=True)
class Augment:
    """Probabilities (per sample) and ranges."""

    crop: int = 128
    #: One modality replaced by a flat image; the target becomes the other one.
    drop: float = 0.08
    #: Random affine of the whole infrared input, supervision on the aligned target (eq. 14).
    misalign: float = 0.2
    #: Largest shift (px) and turn (degrees) of that affine.
    shift: float = 5.0
    turn: float = 2.0
    #: Noise added to the inputs only, so that the student learns to remove a little of it.
    noise: float = 0.1
    #: Other exposure of the visible image, other gain of the infrared one; the target follows.
    exposure: float = 0.15
    gain: float = 0.15
    #: Changes that the teachers were not asked about: such samples carry the unsupervised terms only.
    fog: float = 0.04
    night: float = 0.04
    invert: float = 0.04
    #: Share of samples drawn from synthetic pairs, where there are any; they have no teachers either.
    synthetic: float = 0.06

    def plain(self) -> "Augment":
        """The same without misalignment, synthetic pairs and all changes of the pictures but noise."""
        off = dict.fromkeys(("misalign", "exposure", "gain", "fog", "night", "invert", "synthetic"), 0.0)
        return replace(self, **off)


def make_batch(
    pairs: list[Pair],
    size: int,
    a: Augment,
    seed: int,
    step: int,
    misalign: bool,
    synthetic: list[Pair] | None = None,
) -> Batch:
    """The batch of `step`: `size` samples of `a.crop` x `a.crop`."""
    rng = np.random.default_rng([seed, step])
    rows, maps = [], []
    for _ in range(size):
        pool = synthetic if synthetic and rng.random() < a.synthetic else pairs
        p = pool[int(rng.integers(len(pool)))]
        win = pick_window(p, a.crop, rng)
        planes, both, taught = _sample(p, win, a, rng, misalign)
        rows.append([*(_tensor(x) for x in planes), torch.tensor(both), torch.tensor(taught)])
        cells = a.crop // MAP_STRIDE
        if both and p.variances:
            maps.append([_tensor(win.of_map(x, p.vis.shape, cells)) for x in p.variances])
        else:  # the target is one source, or there are no teachers
            maps.append([torch.zeros(1, cells, cells) for _ in pairs[0].variances])
    return Batch(*(torch.stack(c) for c in zip(*rows)), variances=tuple(torch.stack(c) for c in zip(*maps)))


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[None]


def _sample(
    p: Pair, win: Window, a: Augment, rng: np.random.Generator, misalign: bool
) -> tuple[tuple, float, float]:
    """Input visible and infrared, source visible and infrared, mean, std; both present; teachers' word holds."""
    v, i = (win.of(x).astype(np.float32) / 255 for x in (p.vis, p.ir))
    taught = float(p.mean is not None)
    if taught:
        m, s = win.of(p.mean).astype(np.float32) / 65535, win.of(p.std).astype(np.float32)
    else:
        m, s = v, np.zeros_like(v)
    if rng.random() < a.drop:
        if rng.random() < 0.5:
            i = np.full_like(i, rng.choice([0.0, 0.5, 1.0, rng.random()]))
            m = v
        else:
            v = np.full_like(v, 0.06 * rng.random())
            m = i
        return (*_noisy(v, i, a, rng), v, i, m, np.zeros_like(s)), 0.0, 1.0

    i_in = _moved(p.ir, win, a, rng) if misalign and rng.random() < a.misalign else i
    kinds = ("exposure", "gain", "fog", "night", "invert")
    drawn = {k for k in kinds if rng.random() < getattr(a, k)}
    v2, i2, i2_in = v, i, i_in
    if "exposure" in drawn:
        v2 = photometric.exposure(v2, rng)
    if "gain" in drawn:
        state = rng.bit_generator.state  # the moved image and the aligned one get the same gain
        i2 = photometric.gain(i2, rng)
        rng.bit_generator.state = state
        i2_in = photometric.gain(i2_in, rng)
    if drawn & {"exposure", "gain"} and taught:
        m = photometric.follow(v, i, m, v2, i2)
    if "fog" in drawn:
        v2 = photometric.fog(v2, rng)
    if "night" in drawn:
        v2 = photometric.night(v2, rng)
    if "invert" in drawn:
        i2, i2_in = photometric.inverted(i2), photometric.inverted(i2_in)
    if drawn & {"fog", "night", "invert"}:
        taught = 0.0
    v2_in = photometric.shot_noise(v2, rng) if "night" in drawn else v2
    return (*_noisy(v2_in, i2_in, a, rng), v2, i2, m, s), 1.0, taught


def _noisy(v: np.ndarray, i: np.ndarray, a: Augment, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if rng.random() >= a.noise:
        return v, i
    sigma = 0.02 * rng.random()
    return photometric.noise(v, sigma, rng), photometric.noise(i, sigma, rng)


def _moved(ir: np.ndarray, win: Window, a: Augment, rng: np.random.Generator) -> np.ndarray:
    """The window of the infrared image after the whole of it was moved and turned at random, f32 0..1."""
    dx, dy = rng.uniform(-a.shift, a.shift, 2)
    x = torch.from_numpy(ir).float()[None] / 255
    place = (win.y, win.x, win.size, win.size)
    moved = affine(x, float(dx), float(dy), float(rng.uniform(-a.turn, a.turn)), place)[0].numpy()
    return win.turned(moved)
