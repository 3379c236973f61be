"""Rigid registration of an infrared frame to its visible one, by the directions of their edges.

A student has no operator that moves pixels: shown a misplaced infrared frame it can only fall back on the visible
one. Where a rig drifts, the frame has to be moved before it is fused. Brightness says nothing across modalities,
edge directions do: normalised gradient fields (Haber and Modersitzki 2006), maximised over shift and turn.
"""

import torch
import torch.nn.functional as F

from .geometry import rigid_grid

#: Searched shifts (px) and turns (degrees), both ways, and the steps of the first, coarse search.
SHIFT, SHIFT_STEP, TURN, TURN_STEP = 12.0, 2.0, 4.0, 1.0
#: Degrees that move the frame's edge about as far as one pixel of shift.
DEGREES_PER_PIXEL = 0.3
#: (area averaging, first step in pixels, steps) of the refinements.
LEVELS = ((4, 0.3, 20), (2, 0.1, 20))
#: A frame is left alone unless its edges then agree better by this factor.
GAIN = 1.01
#: A strip that is not compared: there the moved frame shows replicated edges.
MARGIN = 6


def gradient_field(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences along x and y of [K, 1, H, W], divided by their length plus its mean over the frame."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    gx, gy = p[..., 1:-1, 2:] - p[..., 1:-1, :-2], p[..., 2:, 1:-1] - p[..., :-2, 1:-1]
    power = gx.square() + gy.square()
    mean = power.detach().sqrt().mean((1, 2, 3), keepdim=True)
    length = (power + mean.square() + 1e-12).sqrt()
    return gx / length, gy / length


def level(x: torch.Tensor, scale: int) -> torch.Tensor:
    """[1, H, W] shrunk by area averaging and smoothed: [1, 1, H / scale, W / scale].

    Moving a frame by half a pixel smooths it, and noise that is smoothed agrees better: without smoothing first,
    half pixels would win.
    """
    y = F.avg_pool2d(x[None], scale)
    for _ in range(2):  # twice 1 2 1, along both axes
        y = F.avg_pool2d(F.avg_pool2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)
    return y


def agreement(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Mean squared cosine of the angle between two gradient fields, [K]; polarity does not matter."""
    dot = (a[0] * b[0] + a[1] * b[1])[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return dot.square().mean((1, 2, 3))


def rigid(x: torch.Tensor, motions: torch.Tensor, scale: float) -> torch.Tensor:
    """[1, 1, h, w], a frame shrunk by `scale`, moved by each of [K, 3] (dx, dy in px of the frame, degrees)."""
    grid = rigid_grid(motions, *x.shape[-2:], scale)
    return F.grid_sample(x.expand(len(motions), -1, -1, -1), grid, padding_mode="border", align_corners=False)


def register(vis: torch.Tensor, ir: torch.Tensor) -> tuple[float, float, float]:
    """(dx px, dy px, degrees) by which `geometry.affine` moves `ir` onto `vis`, both [1, H, W] in 0..1.

    Frames under 64 px have too few edges: they are left where they are.
    """
    if min(vis.shape[-2:]) < 64:
        return 0.0, 0.0, 0.0
    v, i = level(vis, 4), level(ir, 4)
    shifts = torch.arange(-SHIFT, SHIFT + SHIFT_STEP / 2, SHIFT_STEP, device=v.device)
    turns = torch.arange(-TURN, TURN + TURN_STEP / 2, TURN_STEP, device=v.device)
    candidates = torch.cartesian_prod(shifts, shifts, turns)
    target = gradient_field(v)
    scores = [agreement(target, gradient_field(rigid(i, c, 4))) for c in candidates.split(64)]
    unit = torch.tensor([1.0, 1.0, DEGREES_PER_PIXEL], device=v.device)
    best = candidates[torch.cat(scores).topk(3).indices] / unit
    for scale, first, steps in LEVELS:
        target, moving = gradient_field(level(vis, scale)), level(ir, scale)
        best = _climb(target, moving, scale, torch.cat([best, torch.zeros_like(best[:1])]), unit, first, steps)
    moved, still = (agreement(target, gradient_field(rigid(moving, m, scale))) for m in (best * unit, 0 * best))
    if moved < GAIN * still:
        return 0.0, 0.0, 0.0
    dx, dy, turn = (best[0] * unit).tolist()
    return dx, dy, turn


def _climb(
    target: tuple, moving: torch.Tensor, scale: float, start: torch.Tensor, unit: torch.Tensor, first: float, n: int
) -> torch.Tensor:
    """The best of several motions [K, 3], in multiples of `unit`, each improved by `n` steps of ascent: [1, 3]."""
    with torch.enable_grad():
        p = start.clone().requires_grad_()
        opt = torch.optim.Adam([p], first, betas=(0.8, 0.95))
        for t in range(n):
            opt.param_groups[0]["lr"] = first * (1 - t / n)
            opt.zero_grad()
            (-100 * agreement(target, gradient_field(rigid(moving, p * unit, scale))).sum()).backward()
            opt.step()
    with torch.no_grad():
        p = torch.cat([p.detach(), start])  # ascent on a rough surface may also lose
        return p[agreement(target, gradient_field(rigid(moving, p * unit, scale))).argmax()][None]
