"""Windows of a pair, and the random affine that sets its infrared image askew."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .data import Pair


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

    def of_map(self, a: np.ndarray, shape: tuple[int, int], cells: int) -> np.ndarray:
        """The window of a coarse map `a` [h, w] over a frame of `shape`, sampled bilinearly at cells x cells."""
        u = (np.arange(cells, dtype=np.float32) + 0.5) * (self.size / cells)
        y, x = ((at + u) * (2 / n) - 1 for at, n in ((self.y, shape[0]), (self.x, shape[1])))
        grid = np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)
        t = torch.from_numpy(a.astype(np.float32))[None, None]
        out = F.grid_sample(t, torch.from_numpy(grid)[None], padding_mode="border", align_corners=False)
        return self.turned(out[0, 0].numpy())


def pick_window(p: Pair, size: int, rng: np.random.Generator) -> Window:
    """A random window of the pair."""
    h, w = p.vis.shape
    y, x = int(rng.integers(0, max(h - size, 0) + 1)), int(rng.integers(0, max(w - size, 0) + 1))
    return Window(y, x, size, rng.random() < 0.5, rng.random() < 0.1)


def rigid_grid(
    motions: torch.Tensor, h: int, w: int, scale: float = 1, window: tuple[int, int, int, int] | None = None
) -> torch.Tensor:
    """Where `grid_sample` must look so that an image [h, w] is moved by each of [K, 3]: [K, h, w, 2].

    A motion is a turn about the image's centre by degrees, then a shift: (dx, dy, degrees). Shifts are in pixels of
    a frame that is `scale` times as large as the image. With `window` (top, left, height, width), only that part.
    """
    top, left, rows, columns = window or (0, 0, h, w)
    angle = torch.deg2rad(motions[:, 2])[:, None, None]
    c, s = torch.cos(angle), torch.sin(angle)
    u = (torch.arange(columns).to(motions) + (left + 0.5 - w / 2))[None, None] - motions[:, 0, None, None] / scale
    v = (torch.arange(rows).to(motions) + (top + 0.5 - h / 2))[None, :, None] - motions[:, 1, None, None] / scale
    return torch.stack([(c * u - s * v) * (2 / w), (s * u + c * v) * (2 / h)], -1)


def affine(
    x: torch.Tensor, dx: float, dy: float, degrees: float, window: tuple[int, int, int, int] | None = None
) -> torch.Tensor:
    """[1, H, W] turned about its centre and moved by (dx, dy) px; bilinear, edges replicated.

    With `window` (top, left, height, width), only that part of the moved image.
    """
    grid = rigid_grid(torch.tensor([[dx, dy, degrees]]).to(x), *x.shape[-2:], window=window)
    return F.grid_sample(x.unsqueeze(0), grid, padding_mode="border", align_corners=False)[0]
