"""Photometric changes of one modality: what weather, light and a thermal camera's gain control do to a frame.

Images are f32 [H, W] in 0..1. Every change draws its strength from `rng`.
"""

import numpy as np


def exposure(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another shutter time and tone curve: (g x)^gamma, clipped."""
    return np.clip(x * rng.uniform(0.6, 1.6), 0, 1) ** np.float32(rng.uniform(0.7, 1.4))


def gain(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another linear stretch of a thermal image: contrast about its mean, and an offset."""
    mean = x.mean()
    return np.clip((x - mean) * rng.uniform(0.6, 1.5) + mean + rng.uniform(-0.1, 0.1), 0, 1)


def inverted(x: np.ndarray) -> np.ndarray:
    """Black-hot polarity."""
    return 1 - x


def fog(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Koschmieder's law, x t + a (1 - t) with t = exp(-beta d): air light over a depth d that grows upwards."""
    depth = np.linspace(1, rng.uniform(0.1, 0.6), len(x), dtype=np.float32)[:, None]
    t = np.exp(-rng.uniform(0.5, 2.5) * depth)
    return x * t + np.float32(rng.uniform(0.6, 0.9)) * (1 - t)


def night(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Little light: a dark tone curve."""
    return x ** np.float32(rng.uniform(1.2, 2.0)) * np.float32(rng.uniform(0.15, 0.5))


def shot_noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise that grows with the root of the signal, and read noise."""
    return noise(x + rng.normal(0, 1, x.shape) * np.sqrt(x) * rng.uniform(0.01, 0.04), 0.01, rng)


def noise(x: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """White noise of standard deviation `sigma`, clipped."""
    return np.clip(x + rng.normal(0, sigma, x.shape), 0, 1)


def follow(v: np.ndarray, i: np.ndarray, m: np.ndarray, v2: np.ndarray, i2: np.ndarray) -> np.ndarray:
    """The target of changed inputs (v2, i2), given the target `m` of (v, i).

    `m` is read as a mixture v + a (i - v) + r with a in 0..1; the same a and r are applied to the changed inputs.
    """
    d = i - v
    apart = np.abs(d) > 0.02  # where the inputs agree, any mixture is the same
    a = np.clip(np.where(apart, (m - v) / np.where(apart, d, 1), 0.5), 0, 1)
    r = m - (v + a * d)
    return np.clip(v2 + a * (i2 - v2) + r, 0, 1)
