"""Metrics against hand-computed cases and against the published figures of the validation pairs."""

import numpy as np
import pytest

from fusionproxy_models import metrics as M


def test_entropy_of_two_equal_levels_is_one_bit():
    assert M.entropy(np.array([[0, 255], [255, 0]], np.uint8)) == pytest.approx(1.0)


def test_spatial_frequency_and_average_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 80, 8, dtype=np.uint8), (10, 1))
    assert M.spatial_frequency(ramp) == pytest.approx(8.0)
    assert M.average_gradient(ramp) == pytest.approx(8 / np.sqrt(2))


def test_an_image_is_itself():
    x = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    assert M.ssim(x, x) == pytest.approx(1.0, abs=1e-4)
    assert M.psnr(x, x) == float("inf")
    # A perfect copy of both sources keeps the constants' ceiling of Qabf.
    want = 0.9994 / (1 + np.exp(-15 * 0.5)) * 0.9879 / (1 + np.exp(-22 * 0.2))
    assert M.qabf(x, x, x) == pytest.approx(want, abs=1e-3)


def test_psnr_of_a_unit_step():
    x = np.full((8, 8), 100, np.uint8)
    assert M.psnr(x, x + 1) == pytest.approx(20 * np.log10(255))


def test_qabf_of_flat_sources_is_zero_not_nan():
    x = np.full((8, 8), 7, np.uint8)
    assert M.qabf(x, x, x) == 0.0


def test_baselines_of_the_real_validation_pairs(real_val):
    from fusionproxy_models.data import load_pairs

    pairs = load_pairs(real_val)
    rows = [M.all_metrics(p.vis, p.ir, p.vis, None) for p in pairs]
    got = {k: np.mean([r[k] for r in rows]) for k in rows[0]}
    want = {"en": 6.762, "sd": 44.1, "sf": 14.10, "ag": 5.32, "qabf": 0.580, "ssim_ir": 0.355}
    for k, v in want.items():
        assert got[k] == pytest.approx(v, rel=0.01), k
