"""The noise schedule that all denoisers here share, and one DDIM step (Song et al. 2021, eq. 12)."""

import torch
import torch.nn as nn

#: Steps of the training-time diffusion, and the ends of its linear variance schedule (Ho et al. 2020).
STEPS, BETA_FIRST, BETA_LAST = 1000, 1e-4, 0.02


def signal_shares() -> torch.Tensor:
    """alpha-bar_t, the signal's share of the power after step t: [STEPS], f64, falling."""
    return torch.cumprod(1 - torch.linspace(BETA_FIRST, BETA_LAST, STEPS, dtype=torch.float64), 0)


def schedule(steps: int) -> list[tuple[int, float, float]]:
    """(t, alpha-bar_t, alpha-bar of the next, cleaner time) for `steps` evenly spaced times, noisiest first.

    The next of the last is 1: no noise is left.
    """
    shares = signal_shares()
    times = torch.linspace(STEPS - 1, 0, steps).round().long().tolist()
    values = [float(shares[t]) for t in times]
    return list(zip(times, values, [*values[1:], 1.0]))


def clean_estimate(x: torch.Tensor, noise: torch.Tensor, share: float) -> torch.Tensor:
    """x_0 as the predicted noise implies it, in the range of images, -1..1."""
    return ((x - (1 - share) ** 0.5 * noise) / share**0.5).clamp(-1, 1)


def ddim_step(
    clean: torch.Tensor, noise: torch.Tensor, share: float, following: float, eta: float, generator: torch.Generator
) -> torch.Tensor:
    """x at the next time, from the estimates of image and noise at this one; eta 1 is DDPM's randomness."""
    sigma = eta * ((1 - share / following) * (1 - following) / (1 - share)) ** 0.5
    fresh = torch.randn(clean.shape, generator=generator).to(clean)
    return following**0.5 * clean + max(1 - following - sigma**2, 0.0) ** 0.5 * noise + sigma * fresh


def time_embedding(t: torch.Tensor, width: int) -> torch.Tensor:
    """Cosines, then sines, of t [N] at geometric frequencies 1 .. 1e-4: [N, width]."""
    f = torch.exp(-torch.arange(width // 2, device=t.device) / (width // 2) * torch.log(torch.tensor(1e4)))
    a = t[:, None].float() * f[None]
    return torch.cat([a.cos(), a.sin()], 1)


class Denoiser(nn.Module):
    """A network that predicts the noise in x [N, channels, H, W] at times t [N]: `forward(x, t)`, same shape."""

    #: Channels of the images it was trained on: 1 (luma) or 3 (RGB).
    channels: int
    #: Height and width must be multiples of this.
    stride: int
