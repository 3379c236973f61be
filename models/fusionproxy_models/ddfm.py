"""Posterior samples of a fused frame: an unconditional diffusion prior with a likelihood step after DDFM.

DDFM (Zhao et al., ICCV 2023, arXiv 2303.06840) writes x = f - v and y = i - v for the fused frame f, the visible v
and the infrared i, and models y - x and x as Laplace variables, with a smoothness penalty on x:

    p(y | x) ~ exp(-|y - x| / sqrt(gamma / 2)),   p(x) ~ exp(-|x| / sqrt(gamma / 2)) exp(-psi |grad x|^2 / 2)

A Laplace variable is a Gaussian whose variance (here m and n) is exponentially distributed, so expectation
maximisation alternates closed forms. One round of it corrects the clean estimate of every DDIM step.

Two choices differ from DDFM, made on samples. Both variables share one scale: with a scale each, the modality that
is nearer by chance is trusted ever more, and every sample ends as the infrared frame. With one, any value between
the two sources is as likely as any other, and the prior decides. And distances include the estimate's own
uncertainty, which at the first steps is far larger than any distance: samples begin at the average.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .data import Pair
from .diffusion import Denoiser, clean_estimate, ddim_step, schedule
from .errors import UserError

#: Weight of the smoothness of f - v, and of the split that lets a Fourier transform solve for it.
PSI, ETA = 0.5, 0.1
#: Smallest uncertainty of an estimate, images in -1..1.
FLOOR = 0.1


def expectation(
    x: torch.Tensor, y: torch.Tensor, scale: float, spread: float
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """E[1/m], E[1/n], and the scale gamma that maximises the likelihood given E[m] and E[n].

    1/m follows an inverse Gaussian of mean sqrt(2 / gamma) / |y - x| and shape 2 / gamma, so that
    E[m] = |y - x| sqrt(gamma / 2) + gamma / 2; n likewise, with x. `spread` is the standard deviation of x, and
    the distances are sqrt(distance^2 + spread^2).
    """
    k = (2 / scale) ** 0.5
    m, n = (k / (d.square() + spread**2).sqrt() for d in (y - x, x))
    return m, n, float(((1 / m + 1 / n) / 2 + scale / 2).mean())


def smooth(x: torch.Tensor) -> torch.Tensor:
    """argmin over u of ETA |u - x|^2 + PSI |grad u|^2, circular differences, [N, 1, H, W]."""
    h, w = x.shape[-2:]
    fy = 2 - 2 * torch.cos(2 * torch.pi * torch.arange(h, device=x.device) / h)
    fx = 2 - 2 * torch.cos(2 * torch.pi * torch.arange(w // 2 + 1, device=x.device) / w)
    return torch.fft.irfft2(torch.fft.rfft2(x) * (ETA / (ETA + PSI * (fy[:, None] + fx))), s=(h, w))


def maximisation(x: torch.Tensor, y: torch.Tensor, m: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """argmin over x of m (y - x)^2 + n x^2 + ETA (u - x)^2, where u is the smooth version of the x before."""
    return (m * y + ETA * smooth(x)) / (m + n + ETA)


def likelihood_step(
    f: torch.Tensor, vis: torch.Tensor, ir: torch.Tensor, scale: float, spread: float
) -> tuple[torch.Tensor, float]:
    """One round of expectation maximisation on the estimate `f` of the fused frame, all [N, 1, H, W] in -1..1."""
    x, y = f - vis, ir - vis
    m, n, scale = expectation(x, y, scale, spread)
    return vis + maximisation(x, y, m, n), scale


@torch.no_grad()
def posterior_sample(
    net: Denoiser, vis: torch.Tensor, ir: torch.Tensor, steps: int, generator: torch.Generator, eta: float = 1.0
) -> torch.Tensor:
    """A fused frame [N, 1, H, W] in 0..1 from frames in 0..1; edges are replicated up to the network's stride."""
    h, w = vis.shape[-2:]
    pad = (0, -w % net.stride, 0, -h % net.stride)
    v, i = (F.pad(x, pad, mode="replicate") * 2 - 1 for x in (vis, ir))
    x = torch.randn(v.expand(-1, net.channels, -1, -1).shape, generator=generator).to(v)
    scale, fused = 1.0, v
    for t, share, following in schedule(steps):
        noise = net(x, torch.full((len(x),), t, device=x.device))
        clean = clean_estimate(x, noise, share)
        luma = clean.mean(1, keepdim=True)
        spread = max(FLOOR, ((1 - share) / share) ** 0.5)
        fused, scale = likelihood_step(luma, v, i, scale, spread)
        x = ddim_step(clean + (fused - luma), noise, share, following, eta, generator)
    return ((fused[..., :h, :w] + 1) / 2).clamp(0, 1)


@dataclass(frozen=True)
class DiffusionSource:
    """A teacher that samples here; the seed of a sample depends on the pair's name and its number alone."""

    name: str
    sampler: str
    network: torch.nn.Module
    count: int
    steps: int

    def samples(self, pair: Pair, pairs: Path) -> Iterator[np.ndarray]:
        from .mask_difuser import conditional_sample

        vis, ir = (torch.from_numpy(x).float()[None, None] / 255 for x in (pair.vis, pair.ir))
        draw = posterior_sample if self.sampler == "ddfm" else conditional_sample
        for k in range(self.count):
            seed = int.from_bytes(pair.name.encode()[-6:].rjust(6, b"0")) * 64 + k
            fused = draw(self.network, vis, ir, self.steps, torch.Generator().manual_seed(seed))
            yield (fused[0, 0] * 255).round().byte().numpy()


def sampler_source(table: dict, folder: Path) -> DiffusionSource:
    """The source of a `[[teacher]]` table with a `sampler`."""
    from .denoiser import load_denoiser
    from .guided import load_guided
    from .mask_difuser import load_mask_difuser

    name, weights = str(table["name"]), folder / table["weights"]
    loaders = {
        ("ddfm", "own"): load_denoiser,
        ("ddfm", "guided"): load_guided,
        ("mask-difuser", ""): load_mask_difuser,
    }
    key = (table["sampler"], table.get("network", ""))
    if key not in loaders:
        known = "; ".join(" ".join(k).strip() for k in loaders)
        raise UserError(f"teacher {name!r}: sampler and network {' '.join(key).strip()!r} is none of {known}")
    if not weights.is_file():
        raise UserError(f"{weights}: no weights for teacher {name!r}; put them there or leave the teacher out")
    count, steps = int(table.get("count", 2)), int(table.get("steps", 25))
    if count < 1 or not 1 <= steps <= 1000:
        raise UserError(
            f"teacher {name!r}: count {count}, steps {steps}; use at least 1 sample and 1 to 1000 steps"
        )
    return DiffusionSource(name, table["sampler"], loaders[key](weights), count, steps)
