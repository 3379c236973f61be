"""Batches: what each augmentation changes, and what it leaves to the target."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fusionproxy_models import photometric
from fusionproxy_models.augment import Augment, make_batch
from fusionproxy_models.data import load_pairs
from fusionproxy_models.geometry import Window, affine

PLAIN = Augment(32, drop=0, misalign=0, noise=0, exposure=0, gain=0, fog=0, night=0, invert=0, synthetic=0)


def test_batches_depend_on_seed_and_step_alone(dataset):
    pairs = load_pairs(*dataset)
    a = Augment(crop=32, drop=0.5, misalign=1.0, noise=1.0)
    one, two, other = (make_batch(pairs, 4, a, 1, s, True) for s in (7, 7, 8))
    for k, x in vars(one).items():
        assert k == "variances" or torch.equal(x, getattr(two, k)), k
    assert not torch.equal(one.vis, other.vis)


def test_a_missing_modality_makes_the_other_the_target(dataset):
    b = make_batch(load_pairs(*dataset), 32, replace(PLAIN, drop=1.0), 0, 0, False)
    assert b.both.sum() == 0 and b.std.abs().sum() == 0
    for k in range(32):
        flat = [x[k].std() < 1e-6 for x in (b.vis, b.ir)]
        assert any(flat)
        survivor = b.ir[k] if torch.equal(b.mean[k], b.ir[k]) else b.vis[k]
        assert torch.equal(b.mean[k], survivor)


def test_plain_batches_are_the_pairs_as_they_are(dataset):
    wild = Augment(32, drop=0, misalign=1, noise=0, exposure=1, gain=1, fog=1, night=1, invert=1, synthetic=1)
    pairs = load_pairs(*dataset)
    b = make_batch(pairs, 8, wild.plain(), 0, 0, True, synthetic=pairs[:1])
    same = make_batch(pairs, 8, PLAIN, 0, 0, True, synthetic=pairs[:1])
    for k in ("vis_in", "ir_in", "vis", "ir", "mean", "taught"):
        assert torch.equal(getattr(b, k), getattr(same, k)), k
    assert Augment().plain().drop == Augment().drop


def test_misalignment_moves_only_the_infrared_input(dataset):
    b = make_batch(load_pairs(*dataset), 8, replace(PLAIN, misalign=1.0), 0, 0, True)
    assert torch.equal(b.vis_in, b.vis)
    assert not torch.equal(b.ir_in, b.ir)


def test_affine_moves_by_whole_pixels_and_turns_about_the_centre():
    x = torch.rand(1, 9, 13, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(affine(x, 0, 0, 0), x)
    torch.testing.assert_close(affine(x, 2, -1, 0)[:, :-1, 2:], x[:, 1:, :-2])
    square = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(0))
    turned = affine(square, 0, 0, 90)
    assert any(torch.allclose(turned, torch.rot90(square, k, (1, 2)), atol=1e-5) for k in (1, -1))
    # A turn keeps distances on an oblong image: the marked pixel stays on its circle.
    mark = torch.zeros(1, 41, 81)
    mark[0, 20, 60] = 1
    y, q = np.argwhere(affine(mark, 0, 0, 45)[0].numpy() == affine(mark, 0, 0, 45).max().item())[0]
    assert math.hypot(y - 20, q - 40) == pytest.approx(20, abs=1)


def test_a_window_of_a_moved_image_is_that_of_the_whole_moved():
    x = torch.rand(1, 40, 60, generator=torch.Generator().manual_seed(0))
    whole = affine(x, 3.3, -1.7, 2.0)
    torch.testing.assert_close(affine(x, 3.3, -1.7, 2.0, (5, 11, 16, 24)), whole[:, 5:21, 11:35])


def test_a_coarse_map_follows_the_window():
    y, x = np.mgrid[:20, :30]
    win = Window(16, 40, 32, True, False)
    got = win.of_map((x * 4 + 2.0 + 1000 * (y * 4 + 2)).astype(np.float32), (80, 120), 8)
    yy, xx = np.mgrid[:8, :8]
    want = (40 + 4 * xx + 2) + 1000.0 * (16 + 4 * yy + 2)
    np.testing.assert_allclose(got, want[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize("kind", ["exposure", "gain"])
def test_the_target_follows_a_change_of_exposure_or_gain(dataset, kind):
    b = make_batch(load_pairs(*dataset), 8, replace(PLAIN, **{kind: 1.0}), 0, 0, False)
    plain = make_batch(load_pairs(*dataset), 8, PLAIN, 0, 0, False)
    changed, kept = (b.vis, b.ir) if kind == "exposure" else (b.ir, b.vis)
    assert b.taught.min() == 1
    assert not torch.equal(changed, plain.vis if kind == "exposure" else plain.ir) and kept.isfinite().all()
    assert torch.equal(b.vis_in, b.vis) and torch.equal(b.ir_in, b.ir)


def test_the_followed_target_is_the_same_mixture():
    v, i, v2, i2 = (np.full((2, 2), x) for x in (0.2, 0.6, 0.3, 0.9))
    m = v + 0.75 * (i - v)
    np.testing.assert_allclose(photometric.follow(v, i, m, v2, i2), 0.3 + 0.75 * 0.6)
    np.testing.assert_allclose(photometric.follow(v, i, m + 0.05, v2, i2), 0.3 + 0.875 * 0.6)
    np.testing.assert_allclose(photometric.follow(v, i, i + 0.05, v2, i2), 0.95)  # beyond both: a residual
    np.testing.assert_allclose(photometric.follow(v, v, v, v2, v2), 0.3)


@pytest.mark.parametrize("kind", ["fog", "night", "invert"])
def test_weather_and_polarity_leave_the_teachers_behind(dataset, kind):
    b = make_batch(load_pairs(*dataset), 8, replace(PLAIN, **{kind: 1.0}), 0, 0, False)
    plain = make_batch(load_pairs(*dataset), 8, PLAIN, 0, 0, False)
    assert b.taught.max() == 0
    if kind == "invert":
        torch.testing.assert_close(b.ir, 1 - plain.ir)
    else:
        assert b.vis.std() < plain.vis.std()
    assert (b.vis_in.min() >= 0) and (b.vis_in.max() <= 1)
    assert torch.equal(b.vis_in, b.vis) == (kind != "night")  # the noise is the student's to remove


def test_fog_by_formula():
    x = np.full((4, 3), 0.1, np.float32)
    got = photometric.fog(x, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    top = rng.uniform(0.1, 0.6)
    beta, air = rng.uniform(0.5, 2.5), rng.uniform(0.6, 0.9)
    for r in range(4):
        t = math.exp(-beta * (1 + (top - 1) * r / 3))
        np.testing.assert_allclose(got[r], 0.1 * t + air * (1 - t), rtol=1e-5)


def test_synthetic_pairs_have_no_teachers(dataset):
    pairs = load_pairs(*dataset)
    scenes = load_pairs(dataset[0])
    b = make_batch(pairs, 16, replace(PLAIN, synthetic=0.5), 0, 0, False, scenes)
    assert 0 < b.taught.sum() < 16
    assert b.std[b.taught == 0].abs().sum() == 0
