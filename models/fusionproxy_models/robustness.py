"""How a student bears a misaligned or missing modality, measured on aligned validation pairs."""

from pathlib import Path

import numpy as np
import torch

from .data import Pair
from .files import write_atomic
from .geometry import affine
from .metrics import psnr, ssim
from .registration import register
from .students import Student, fuse_image

#: (name, largest shift in px, largest turn in degrees): rows of the paper's Table 6, and +-10 px.
MISALIGNMENTS = (
    ("none", 0.0, 0.0),
    ("5 px, 2 deg", 5.0, 2.0),
    ("10 px, 4 deg", 10.0, 4.0),
    ("30 px, 10 deg", 30.0, 10.0),
)


def _fuse(net: Student, vis: torch.Tensor, ir: torch.Tensor) -> np.ndarray:
    device = next(net.parameters(), torch.zeros(())).device
    fused = fuse_image(net, vis[None].to(device), ir[None].to(device))[0, 0]
    return (fused * 255).round().byte().cpu().numpy()


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).float()[None] / 255


@torch.no_grad()
def misalignment(net: Student, pairs: list[Pair], registered: bool = False, seed: int = 0) -> dict[str, float]:
    """Mean SSIM to the aligned ensemble mean with the infrared image moved at random, per range.

    With `registered`, the moved image is first put back as well as `register` can tell.
    """
    net.eval()
    out = {}
    for name, shift, turn in MISALIGNMENTS:
        rng = np.random.default_rng(seed)
        total = 0.0
        for p in pairs:
            dx, dy, angle = rng.uniform(-1, 1, 3) * (shift, shift, turn)
            vis, ir = _tensor(p.vis), affine(_tensor(p.ir), float(dx), float(dy), float(angle))
            if registered:
                ir = affine(ir, *register(vis, ir))
            total += ssim(_fuse(net, vis, ir), p.mean.astype(np.float32) * (255 / 65535))
        out[name] = total / len(pairs)
    return out


@torch.no_grad()
def missing(net: Student, pairs: list[Pair]) -> dict[str, float]:
    """Mean PSNR (dB) to the visible image with the infrared flat, and to the infrared with the visible black."""
    net.eval()
    rows: dict[str, list[float]] = {}
    for p in pairs:
        vis, ir = _tensor(p.vis), _tensor(p.ir)
        for level in (0.0, 0.5, 1.0):
            flat = torch.full_like(ir, level)
            rows.setdefault(f"infrared = {level:g}", []).append(psnr(_fuse(net, vis, flat), p.vis))
        rows.setdefault("visible = 0", []).append(psnr(_fuse(net, torch.zeros_like(vis), ir), p.ir))
    return {k: float(np.mean(v)) for k, v in rows.items()}


def write_robustness(net: Student, pairs: list[Pair], path: Path) -> None:
    """All measurements as a CSV of (measure, case, value)."""
    lines = ["measure,case,value"]
    lines += [f'ssim_mean,"infrared moved {k}",{v:.6g}' for k, v in misalignment(net, pairs).items()]
    registered = misalignment(net, pairs, registered=True)
    lines += [f'ssim_mean,"infrared moved {k} and registered",{v:.6g}' for k, v in registered.items()]
    lines += [f'psnr_survivor,"{k}",{v:.6g}' for k, v in missing(net, pairs).items()]
    write_atomic(path, lambda f: f.write(("\n".join(lines) + "\n").encode()))
