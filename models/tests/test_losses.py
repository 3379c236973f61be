"""Every loss term against a direct transcription of its formula, in numpy loops."""

import math

import numpy as np
import pytest
import torch

from fusionproxy_models import losses as L
from fusionproxy_models import metrics


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(3)
    return [torch.rand(2, 1, 15, 17, generator=g) for _ in range(4)]


def sobel_np(x):
    kx = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
    h, w = x.shape
    out = np.zeros((2, h - 2, w - 2))
    for y in range(h - 2):
        for q in range(w - 2):
            patch = x[y : y + 3, q : q + 3]
            out[0, y, q], out[1, y, q] = (patch * kx).sum(), (patch * kx.T).sum()
    return out


def test_uncertainty_weight_is_exp_of_relative_variance():
    std = torch.tensor([0.0, 0.1, 0.3])
    got = L.uncertainty_weight(std, 0.02, tau=2.0)
    assert got.tolist() == pytest.approx([math.exp(-(s**2) / 0.04) for s in (0.0, 0.1, 0.3)])


def test_pixel_term_is_the_weighted_mean_distance(images):
    f, m, w, _ = images
    num = den = 0.0
    for a, b, c in zip(f.flatten().tolist(), m.flatten().tolist(), w.flatten().tolist()):
        num, den = num + c * abs(a - b), den + c
    assert L.pixel_term(f, m, w).item() == pytest.approx(num / den, rel=1e-5)


def test_ssim_by_windows(images):
    x, y = images[0][:1], images[1][:1]
    g = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    win = np.outer(g, g) / g.sum() ** 2
    a, b = x[0, 0].double().numpy(), y[0, 0].double().numpy()
    total, n = 0.0, 0
    for r in range(a.shape[0] - 10):
        for c in range(a.shape[1] - 10):
            p, q = a[r : r + 11, c : c + 11], b[r : r + 11, c : c + 11]
            mp, mq = (win * p).sum(), (win * q).sum()
            vp, vq = (win * (p - mp) ** 2).sum(), (win * (q - mq) ** 2).sum()
            cov = (win * (p - mp) * (q - mq)).sum()
            total += ((2 * mp * mq + 1e-4) * (2 * cov + 9e-4)) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
            n += 1
    assert L.ssim(x, y).item() == pytest.approx(total / n, abs=1e-5)


def test_ssim_of_several_references_is_each_alone(images):
    x, y, z, _ = images
    both = L.ssim(x, torch.cat([y, z], 1))
    torch.testing.assert_close(both, torch.cat([L.ssim(x, y), L.ssim(x, z)], 1))


def test_intensity_term_counts_only_kept_samples(images):
    f, v, i, _ = images
    want = np.abs(f[1].numpy() - np.maximum(v[1].numpy(), i[1].numpy())).mean()
    assert L.intensity_term(f, v, i, torch.tensor([0.0, 1.0])).item() == pytest.approx(want, rel=1e-5)
    assert L.intensity_term(f, v, i, torch.zeros(2)).item() == 0


def test_sobel(images):
    got = L.sobel(images[0])
    want = sobel_np(images[0][1, 0].double().numpy())
    for k in range(2):
        np.testing.assert_allclose(got[k][1, 0].numpy(), want[k], atol=1e-5)


def test_gradient_term_follows_the_stronger_source(images):
    f, v, i, _ = images
    total, n = 0.0, 0
    for k in range(2):
        gf, gv, gi = (sobel_np(x[k, 0].double().numpy()) for x in (f, v, i))
        for y in range(gf.shape[1]):
            for x in range(gf.shape[2]):
                s = gv if math.hypot(*gv[:, y, x]) >= math.hypot(*gi[:, y, x]) else gi
                total += abs(gf[0, y, x] - s[0, y, x]) + abs(gf[1, y, x] - s[1, y, x])
                n += 1
    got = L.gradient_term(*(L.sobel(x) for x in (f, v, i)))
    assert got.item() == pytest.approx(total / n / 4, rel=1e-4)


def test_edge_term_is_one_minus_qabf(images):
    f, v, i, _ = images
    q = []
    for k in range(2):
        num = den = 0.0
        gf, gv, gi = (sobel_np(x[k, 0].double().numpy()) for x in (f, v, i))
        for s in (gv, gi):
            for y in range(gf.shape[1]):
                for x in range(gf.shape[2]):
                    mf, ms = math.hypot(*gf[:, y, x]), math.hypot(*s[:, y, x])
                    d = abs(math.atan(gf[1, y, x] / gf[0, y, x]) - math.atan(s[1, y, x] / s[0, y, x]))
                    angle = 1 - min(d, math.pi - d) / (math.pi / 2)
                    qg = 0.9994 / (1 + math.exp(-15 * (min(mf, ms) / max(mf, ms) - 0.5)))
                    qa = 0.9879 / (1 + math.exp(-22 * (angle - 0.8)))
                    num, den = num + qg * qa * ms, den + ms
        q.append(num / den)
    got = L.edge_term(*(L.sobel(x) for x in (f, v, i)))
    assert got.item() == pytest.approx(1 - np.mean(q), abs=2e-3)


def test_edge_term_agrees_with_the_metric():
    rng = np.random.default_rng(0)
    v, i = (np.kron(rng.integers(0, 255, (8, 8)), np.ones((8, 8))).astype(np.uint8) for _ in range(2))
    f = ((v.astype(int) + i) // 2).astype(np.uint8)
    t = [torch.from_numpy(x).float()[None, None] / 255 for x in (f, v, i)]
    got = 1 - L.edge_term(*(L.sobel(x) for x in t)).item()
    # The metric replicates the border and does not fold orientations, hence the width.
    assert got == pytest.approx(metrics.qabf(v, i, f), abs=0.05)


def test_every_term_has_a_finite_gradient_on_flat_images():
    flat = torch.full((1, 1, 32, 32), 0.5)
    fused = flat.clone().requires_grad_()
    b = L.Batch(flat, flat, flat, flat, flat, torch.zeros_like(flat), torch.ones(1), torch.ones(1))
    total, terms = L.distillation_loss(fused, b, 1e-3, L.Weights())
    total.backward()
    assert torch.isfinite(fused.grad).all()
    assert set(terms) == set(vars(L.Weights())) - {"alignment", "branches"}


def test_untaught_samples_carry_the_unsupervised_terms_only(images):
    f, v, i, m = (torch.nn.functional.interpolate(x, scale_factor=2) for x in images)
    std = torch.full_like(m, 0.02)

    def loss(mean, taught):
        b = L.Batch(v, i, v, i, mean, std, torch.ones(2), torch.tensor(taught))
        return L.distillation_loss(f, b, 1e-3, L.Weights())[0].item()

    other = torch.stack([m[0], 1 - m[1]])
    assert loss(m, [1.0, 0.0]) == loss(other, [1.0, 0.0])
    assert loss(m, [1.0, 1.0]) != loss(other, [1.0, 1.0])
    unsupervised = L.Weights(pixel=0, ssim=0)
    b = L.Batch(v, i, v, i, m, std, torch.ones(2), torch.zeros(2))
    assert loss(m, [0.0, 0.0]) == pytest.approx(L.distillation_loss(f, b, 1e-3, unsupervised)[0].item())


def test_the_total_is_the_weighted_sum(images):
    f, v, i, m = (torch.nn.functional.interpolate(x, scale_factor=2) for x in images)
    b = L.Batch(v, i, v, i, m, torch.full_like(m, 0.02), torch.ones(2), torch.ones(2))
    w = L.Weights(1, 2, 3, 4, 5, 6, 7, 8)
    more = {"alignment": torch.tensor(0.3), "branches": torch.tensor(0.7)}
    total, terms = L.distillation_loss(f, b, 1e-3, w, more)
    assert len(terms) == len(vars(w))
    assert total.item() == pytest.approx(sum(getattr(w, k) * v.item() for k, v in terms.items()), rel=1e-5)
