"""Keeping both encoders alive: a supervision of their own, and a record of their gradients.

Fused training starves the weaker branch: what the other modality already explains sends no gradient to it
(RSC-MD, arXiv 2511.15433). Each encoder therefore also has to explain its own image, alone, at every scale.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from .students import Student


class BranchHeads(nn.Module):
    """One 1x1 convolution per scale and encoder: features to 4 values, the luma of the 2x2 cells of a feature.

    Used in training only; nothing of it is exported.
    """

    def __init__(self, net: Student):
        super().__init__()
        self.vis = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in net.enc_vis.channels)
        self.ir = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in net.enc_ir.channels)

    def forward(
        self, features: tuple[list[torch.Tensor], list[torch.Tensor]], vis: torch.Tensor, ir: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The auxiliary term of the visible and of the infrared encoder."""
        return branch_term(self.vis, features[0], vis), branch_term(self.ir, features[1], ir)


def branch_term(heads: nn.ModuleList, features: list[torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """Mean over the scales of the L1 distance to the encoder's own image [N, 1, H, W], averaged over areas.

    A feature of stride s is held against the four cells of side s / 2 that it covers.
    """
    total = image.new_zeros(())
    for head, f in zip(heads, features, strict=True):
        stride = image.shape[-1] // f.shape[-1]
        cells = F.pixel_unshuffle(F.avg_pool2d(image, stride // 2), 2)
        total = total + (head(f) - cells).abs().mean()
    return total / len(features)


def gradient_norm(net: nn.Module) -> float:
    """L2 norm of a branch's gradients."""
    return float(nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
