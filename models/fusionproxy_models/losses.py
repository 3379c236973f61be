"""The distillation loss, term by term; images are [N, 1, H, W] in 0..1, every term is a mean over the batch.

The copy of FusionProxy (arXiv 2605.06010) at hand does not print its weights, so `Weights` are our choice,
made on the validation pairs.
"""

import math
from dataclasses import dataclass

import torch

#: Constants of SSIM for images in 0..1 (Wang et al. 2004: K1 = 0.01, K2 = 0.03).
C1, C2 = 0.01**2, 0.03**2
#: Constants of Qabf (Xydeas and Petrovic 2000): amplitude, slope and centre for magnitude and orientation.
G_GAMMA, G_KAPPA, G_SIGMA = 0.9994, -15.0, 0.5
A_GAMMA, A_KAPPA, A_SIGMA = 0.9879, -22.0, 0.8
#: Keeps square roots and quotients of gradients differentiable at zero (full range = 1).
EPS = 1e-4


def uncertainty_weight(std: torch.Tensor, mean_variance: float, tau: float = 1.0) -> torch.Tensor:
    """exp(-variance / (tau * mean_variance)): 1 where the teachers agree, small where they do not (eq. 7)."""
    return torch.exp(-std.square() / (tau * mean_variance))


def pixel_term(fused: torch.Tensor, mean: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean absolute distance to the ensemble mean: sum(w |f - m|) / sum(w) (eq. 7)."""
    return (weight * (fused - mean).abs()).sum() / weight.sum().clamp(min=EPS)


def gaussian_window(size: int = 11, sigma: float = 1.5) -> torch.Tensor:
    """The normalised 1-D Gaussian of SSIM's separable window."""
    x = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    g = torch.exp(-x.square() / (2 * sigma**2))
    return g / g.sum()


def _band(length: int, window: torch.Tensor) -> torch.Tensor:
    """The matrix [length - K + 1, length] whose product is the valid correlation with `window` [K]."""
    out = length - len(window) + 1
    m = window.new_zeros(out, length)
    for k, g in enumerate(window):
        m.diagonal(k)[:out] = g
    return m


def _blur(x: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    # two small matrix products are several times faster on a CPU than one-channel convolutions
    h, w = x.shape[-2:]
    return _band(h, window) @ x @ _band(w, window).T


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """SSIM of `x` [N, 1, H, W] to each image of `y` [N, K, H, W]: [N, K]; 11x11 Gaussian, sigma 1.5, valid part."""
    k = y.shape[1]
    b = _blur(torch.cat([x, x * x, y, y * y, x * y], 1), gaussian_window().to(x))
    mx, xx, my, yy, xy = torch.split(b, [1, 1, k, k, k], 1)
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    s = ((2 * mx * my + C1) * (2 * cov + C2)) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    return s.mean((2, 3))


def sobel(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal and vertical 3x3 Sobel responses of [N, K, H, W], valid part."""
    row = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    col = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return row[..., 2:] - row[..., :-2], col[..., 2:, :] - col[..., :-2, :]


def intensity_term(fused: torch.Tensor, vis: torch.Tensor, ir: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Mean |f - max(vis, ir)| over the samples that `keep` ([N], 0 or 1) selects."""
    return kept((fused - torch.maximum(vis, ir)).abs().mean((1, 2, 3)), keep)


def kept(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Mean of `x` [N] over the samples that `keep` ([N], 0 or 1) selects; 0 where it selects none."""
    return (x * keep).sum() / keep.sum().clamp(min=1)


def gradient_term(gf: tuple, gv: tuple, gi: tuple) -> torch.Tensor:
    """L1 distance of the fused Sobel vector to the stronger of the two sources' vectors, per component, / 4."""
    stronger = (gv[0].square() + gv[1].square()) >= (gi[0].square() + gi[1].square())
    return sum((f - torch.where(stronger, v, i)).abs().mean() for f, v, i in zip(gf, gv, gi)) / 4


def edge_preservation(gf: tuple, gs: tuple) -> torch.Tensor:
    """Q of Xydeas and Petrovic per pixel: how far the source's edge (magnitude, orientation) is in the fused.

    Orientations are compared modulo pi by atan2(|cross|, |dot|) of the gradient vectors, which equals the
    difference of arctangents folded into 0..pi/2 and has a finite derivative.
    """
    mf = (gf[0].square() + gf[1].square() + EPS**2).sqrt()
    ms = (gs[0].square() + gs[1].square() + EPS**2).sqrt()
    ratio = torch.minimum(mf, ms) / torch.maximum(mf, ms)
    cross = (gf[0] * gs[1] - gf[1] * gs[0]).abs()
    dot = (gf[0] * gs[0] + gf[1] * gs[1]).abs()
    angle = 1 - torch.atan2(cross, dot + EPS**2) / (math.pi / 2)
    q_magnitude = G_GAMMA * torch.sigmoid(-G_KAPPA * (ratio - G_SIGMA))
    q_angle = A_GAMMA * torch.sigmoid(-A_KAPPA * (angle - A_SIGMA))
    return q_magnitude * q_angle


def edge_term(gf: tuple, gv: tuple, gi: tuple) -> torch.Tensor:
    """1 - Qabf, weighted by the sources' gradient magnitudes: the differentiable form of the metric."""
    wv = (gv[0].square() + gv[1].square()).sqrt()
    wi = (gi[0].square() + gi[1].square()).sqrt()
    q = edge_preservation(gf, gv) * wv + edge_preservation(gf, gi) * wi
    # per image as the metric does, so that a flat crop does not vanish beside a busy one
    return 1 - (q.sum((1, 2, 3)) / (wv + wi + EPS).sum((1, 2, 3))).mean()


@dataclass(frozen=True)
class Weights:
    """Weight of each term in the total (eq. 12)."""

    pixel: float = 6.0
    ssim: float = 5.0
    sources: float = 0.5
    intensity: float = 0.5
    gradient: float = 2.0
    edge: float = 3.0
    #: With a foundation panel only (`alignment.py`).
    alignment: float = 0.2
    #: Each encoder's own image from its own features (`branches.py`).
    branches: float = 0.2


@dataclass(frozen=True)
class Batch:
    """A training batch: what the student sees and what it is held against."""

    #: The student's inputs, augmented.
    vis_in: torch.Tensor
    ir_in: torch.Tensor
    #: The aligned sources, after the augmentations that the target must follow.
    vis: torch.Tensor
    ir: torch.Tensor
    #: The target and the ensemble's standard deviation.
    mean: torch.Tensor
    std: torch.Tensor
    #: 1 where both modalities are present, [N].
    both: torch.Tensor
    #: 1 where `mean` is what the teachers would say, [N].
    taught: torch.Tensor
    #: Feature variance of the ensemble, [N, 1, h, w], one per backbone of the panel.
    variances: tuple[torch.Tensor, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`."""
        moved = {k: v.to(device) for k, v in vars(self).items() if k != "variances"}
        return Batch(**moved, variances=tuple(v.to(device) for v in self.variances))


def distillation_loss(
    fused: torch.Tensor,
    b: Batch,
    mean_variance: float,
    w: Weights,
    more: dict[str, torch.Tensor] | None = None,
    tau: float = 1.0,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weighted total (eq. 12) and its unweighted terms (detached); `more` are terms that need a network."""
    s = ssim(fused, torch.cat([b.mean, b.vis, b.ir], 1))
    gf, gv, gi = sobel(fused), sobel(b.vis), sobel(b.ir)
    weight = uncertainty_weight(b.std, mean_variance, tau) * b.taught[:, None, None, None]
    terms = {
        "pixel": pixel_term(fused, b.mean, weight),
        "ssim": kept(1 - s[:, 0], b.taught),
        "sources": (2 - s[:, 1] - s[:, 2]).mean(),
        "intensity": intensity_term(fused, b.vis, b.ir, b.both),
        "gradient": gradient_term(gf, gv, gi),
        "edge": edge_term(gf, gv, gi),
        **(more or {}),
    }
    total = sum(getattr(w, k) * v for k, v in terms.items())
    return total, {k: v.detach() for k, v in terms.items()}
