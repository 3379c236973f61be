"""Spatially adaptive alignment with the foundation panel (FusionProxy, arXiv 2605.06010, eqs. 5-6 and 8-10).

For backbone k with features phi_k [C, h, w], per-channel scales s_k and the teachers' samples x_1 .. x_M:

    v_k(p) = mean over c of var over m of phi_k(x_m)(c, p) / s_k(c)^2     how far the teachers disagree at p
    d_k(p) = mean over c of ((phi_k(f) - phi_k(m))(c, p) / s_k(c))^2      how far the student is from their mean
    u_k(p) = exp(-v_k(p) / (tau mean v_k))                                where to listen to backbone k
    r_k    = softmax over k of -mean_p(v_k(p)) / (tau mean v_k)           which backbone, for this image
    L      = sum over k of r_k sum_p(u_k d_k) / sum_p(u_k)

`mean v_k` is the mean over the training pairs. The copy of the paper at hand leaves the exact normalisations
open; these make every backbone's share independent of its scale.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .losses import kept
from .panel import Panel


def channel_scale(features: list[torch.Tensor]) -> torch.Tensor:
    """Standard deviation of every channel over all positions of all [1, C, h, w]: [C], never below 1e-3."""
    return torch.cat([f.flatten(2)[0] for f in features], 1).std(1).clamp(min=1e-3)


def feature_variance(samples: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """v_k of the samples' features [M, C, h, w] with scales [C]: [h, w], population variance."""
    return (samples.var(0, correction=0) / scale.square()[:, None, None]).mean(0)


@dataclass(frozen=True)
class Backbone:
    """What the cache knows of one backbone: its channels' scales [C] and the mean of v_k over the pairs."""

    scale: torch.Tensor
    mean_variance: float


def alignment_term(
    fused: list[torch.Tensor],
    mean: list[torch.Tensor],
    variance: list[torch.Tensor],
    backbones: list[Backbone],
    keep: torch.Tensor,
    tau: float = 1.0,
) -> torch.Tensor:
    """L over the samples that `keep` [N] selects; features [N, C, h, w] and v_k [N, 1, h', w'], one per backbone.

    v_k is resampled to the features' size.
    """
    losses, routes = [], []
    for f, m, v, b in zip(fused, mean, variance, backbones, strict=True):
        relative = F.interpolate(v, f.shape[-2:], mode="bilinear", align_corners=False)[:, 0] / b.mean_variance
        d = ((f - m) / b.scale.to(f)[:, None, None]).square().mean(1)
        u = torch.exp(-relative / tau)
        losses.append((u * d).sum((1, 2)) / u.sum((1, 2)))
        routes.append(-relative.mean((1, 2)) / tau)
    route = torch.softmax(torch.stack(routes, 1), 1)
    return kept((route * torch.stack(losses, 1)).sum(1), keep)


class Aligner:
    """The term for a training batch."""

    def __init__(self, panel: Panel, backbones: list[Backbone], tau: float = 1.0):
        self.panel, self.backbones, self.tau = panel, backbones, tau

    def __call__(
        self, fused: torch.Tensor, mean: torch.Tensor, variance: list[torch.Tensor], keep: torch.Tensor
    ) -> torch.Tensor:
        """`fused` and `mean` [N, 1, H, W]; gradients flow to `fused` only."""
        with torch.no_grad():
            target = [x.float() for x in self.panel.features(mean)]
        got = [x.float() for x in self.panel.features(fused)]
        return alignment_term(got, target, variance, self.backbones, keep, self.tau)
