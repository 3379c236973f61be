"""Fusion metrics on u8 luma [H, W], in numpy, for watching a training run.

The Rust program `fusionproxy validate` is the reference. EN, SD, SF, AG and PSNR are defined alike there. The
others differ in what their papers leave open, so compare only figures of one program:

- SSIM is here the mean over the places where the whole window lies in the picture; there the picture is mirrored at
  its borders and every pixel counts.
- Qabf repeats the pixels of the border here; there it mirrors them without repeating the edge. Where the horizontal
  gradient is 0, the orientation here is pi/2 with the sign of the vertical one, or 0 where that is 0 too; there it
  is always pi/2. Sources without edges have the value 0 here, 1 there.
- The ensemble mean is real-valued here, rounded to grey levels there.
"""

import numpy as np


def entropy(x: np.ndarray) -> float:
    """EN: Shannon entropy of the 256-bin histogram, bit."""
    p = np.bincount(x.ravel(), minlength=256) / x.size
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def spatial_frequency(x: np.ndarray) -> float:
    """SF: root of the mean squared row differences plus the mean squared column differences, grey levels."""
    f = x.astype(np.float64)
    return float(np.sqrt((np.diff(f, axis=1) ** 2).mean() + (np.diff(f, axis=0) ** 2).mean()))


def average_gradient(x: np.ndarray) -> float:
    """AG: mean of sqrt((dx^2 + dy^2) / 2) of forward differences, grey levels."""
    f = x.astype(np.float64)
    dx, dy = f[:-1, 1:] - f[:-1, :-1], f[1:, :-1] - f[:-1, :-1]
    return float(np.sqrt((dx**2 + dy**2) / 2).mean())


def _gradient(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    f = np.pad(x.astype(np.float32), 1, mode="edge")
    row = f[:-2] + 2 * f[1:-1] + f[2:]
    col = f[:, :-2] + 2 * f[:, 1:-1] + f[:, 2:]
    sx, sy = row[:, 2:] - row[:, :-2], col[2:] - col[:-2]
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(sy / sx)
    angle[(sx == 0) & (sy == 0)] = 0.0
    return np.sqrt(sx**2 + sy**2), angle


def qabf(vis: np.ndarray, ir: np.ndarray, fused: np.ndarray) -> float:
    """Qabf (Xydeas and Petrovic 2000), 3x3 Sobel, weights = the sources' gradient magnitudes."""
    gf, af = _gradient(fused)
    num = den = 0.0
    for source in (vis, ir):
        g, a = _gradient(source)
        hi = np.maximum(g, gf)
        ratio = np.where(hi > 0, np.minimum(g, gf) / np.where(hi > 0, hi, 1), 0.0)
        angle = 1 - np.abs(a - af) / (np.pi / 2)
        q = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (angle - 0.8)))
        num += float((q * g).sum())
        den += float(g.sum())
    return num / den if den > 0 else 0.0


def _blur(x: np.ndarray) -> np.ndarray:
    t = np.arange(11) - 5
    g = np.exp(-(t**2) / (2 * 1.5**2))
    g = (g / g.sum()).astype(np.float32)
    h = sum(k * x[..., i : x.shape[-2] - 10 + i, :] for i, k in enumerate(g))
    return sum(k * h[..., i : h.shape[-1] - 10 + i] for i, k in enumerate(g))


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM, 11x11 Gaussian of sigma 1.5, grey levels 0..255 (either argument may be real-valued), valid part."""
    a, b = x.astype(np.float32), y.astype(np.float32)
    ma, mb, aa, bb, ab = _blur(np.stack([a, b, a * a, b * b, a * b]))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    va, vb, cov = aa - ma * ma, bb - mb * mb, ab - ma * mb
    s = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return float(s.mean())


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """PSNR for grey levels 0..255, dB; infinite for equal images."""
    mse = float(((x.astype(np.float64) - y.astype(np.float64)) ** 2).mean())
    return float("inf") if mse == 0 else 10 * np.log10(255**2 / mse)


def all_metrics(vis: np.ndarray, ir: np.ndarray, fused: np.ndarray, mean: np.ndarray | None) -> dict[str, float]:
    """Every metric of one pair; `mean` is the ensemble mean in grey levels, if there is one."""
    out = {
        "en": entropy(fused),
        "sd": float(fused.astype(np.float64).std()),
        "sf": spatial_frequency(fused),
        "ag": average_gradient(fused),
        "qabf": qabf(vis, ir, fused),
        "ssim_vis": ssim(fused, vis),
        "ssim_ir": ssim(fused, ir),
    }
    if mean is not None:
        out["ssim_mean"] = ssim(fused, mean)
        out["psnr_mean"] = psnr(fused, mean)
    return out
