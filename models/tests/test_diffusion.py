"""The diffusion teacher: schedule, likelihood step and samples; the networks whose weights a user may have."""

import math

import numpy as np
import pytest
import torch

from fusionproxy_models import guided, mask_difuser
from fusionproxy_models.data import load_pairs
from fusionproxy_models.ddfm import (
    ETA,
    PSI,
    expectation,
    likelihood_step,
    maximisation,
    posterior_sample,
    smooth,
)
from fusionproxy_models.denoiser import OwnDenoiser, denoising_term, load_denoiser, train_denoiser
from fusionproxy_models.diffusion import Denoiser, clean_estimate, ddim_step, schedule, signal_shares
from fusionproxy_models.errors import UserError
from fusionproxy_models.sources import read_config
from fusionproxy_models.teach import teach


def test_schedule_by_formula():
    share = 1.0
    for t in range(1000):
        share *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
    assert signal_shares()[-1].item() == pytest.approx(share, rel=1e-9)
    s = schedule(10)
    assert [t for t, *_ in s] == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert [a for _, a, _ in s][1:] == [b for *_, b in s][:-1] and s[-1][2] == 1.0


def test_ddim_inverts_noising_and_its_variance_is_right():
    g = torch.Generator().manual_seed(0)
    x0, noise = torch.rand(1, 1, 64, 64) * 2 - 1, torch.randn(1, 1, 64, 64)
    x = 0.6**0.5 * x0 + 0.4**0.5 * noise
    torch.testing.assert_close(clean_estimate(x, noise, 0.6), x0, atol=1e-5, rtol=0)
    torch.testing.assert_close(ddim_step(x0, noise, 0.6, 1.0, 1.0, g), x0)
    want = 0.8**0.5 * x0 + 0.2**0.5 * noise
    torch.testing.assert_close(ddim_step(x0, noise, 0.6, 0.8, 0.0, g), want)
    spread = ddim_step(torch.zeros_like(x0), torch.zeros_like(x0), 0.6, 0.8, 1.0, g).std().item()
    assert spread == pytest.approx(math.sqrt((1 - 0.6 / 0.8) * 0.2 / 0.4), rel=0.05)


def test_expectation_by_formula():
    x, y, gamma, spread = torch.tensor([[[[0.1, -0.3]]]]), torch.tensor([[[[0.5, 0.2]]]]), 0.7, 0.2
    m, n, new = expectation(x, y, gamma, spread)
    total = 0.0
    for k, (a, b) in enumerate([(0.1, 0.5), (-0.3, 0.2)]):
        near, far = math.hypot(a, spread), math.hypot(b - a, spread)
        wm, wn = math.sqrt(2 / gamma) / far, math.sqrt(2 / gamma) / near
        assert (m[..., k].item(), n[..., k].item()) == pytest.approx((wm, wn), rel=1e-5)
        total += far * math.sqrt(gamma / 2) + gamma / 2 + near * math.sqrt(gamma / 2) + gamma / 2
    assert new == pytest.approx(total / 4, rel=1e-5)


def test_the_laplace_variable_is_that_mixture_of_gaussians():
    rng = np.random.default_rng(0)
    gamma = 0.7
    draws = rng.normal(size=400_000) * np.sqrt(rng.exponential(gamma, 400_000))
    assert np.abs(draws).mean() == pytest.approx(math.sqrt(gamma / 2), rel=0.01)  # mean of exp(-|z| / b) is b


def test_smooth_solves_its_equation():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 6, 7, dtype=torch.float64)
    u = smooth(x)
    laplacian = sum(torch.roll(u, s, d) for d in (2, 3) for s in (1, -1)) - 4 * u
    torch.testing.assert_close(ETA * (u - x) - PSI * laplacian, torch.zeros_like(x), atol=1e-6, rtol=0)


def test_maximisation_is_the_minimum():
    torch.manual_seed(0)
    x, y, m, n = (torch.rand(1, 1, 4, 4) for _ in range(4))
    best = maximisation(x, y, m, n)

    def cost(q):
        return (m * (y - q) ** 2 + n * q**2 + ETA * (smooth(x) - q) ** 2).sum()

    q = best.clone().requires_grad_()
    cost(q).backward()
    assert q.grad.abs().max() < 1e-5


def test_the_likelihood_keeps_the_frame_between_its_sources():
    """Beyond them it pulls hard; between them it leaves a sure estimate alone and averages an unsure one."""
    vis, ir = torch.full((1, 1, 16, 16), -0.2), torch.full((1, 1, 16, 16), 0.2)

    def step(start, spread):
        f, _ = likelihood_step(torch.full_like(vis, start), vis, ir, 1.0, spread)
        assert f.std() < 1e-6
        return f.mean().item()

    assert step(0.9, 0.01) < 0.25 and step(-0.9, 0.01) > -0.25
    assert 0.1 < step(0.15, 0.01) <= 0.2
    assert step(0.15, 100.0) == pytest.approx(0, abs=0.15)
    same, _ = likelihood_step(vis, vis, vis, 1.0, 0.1)
    torch.testing.assert_close(same, vis)


def test_denoising_term_by_formula():
    class Half(torch.nn.Module):
        def forward(self, x, t):
            return x / 2

    x, noise, t = torch.rand(2, 1, 2, 2), torch.rand(2, 1, 2, 2), torch.tensor([5, 700])
    total = 0.0
    for n in range(2):
        a = signal_shares()[t[n]].item()
        for p, e in zip(x[n].flatten().tolist(), noise[n].flatten().tolist()):
            total += ((math.sqrt(a) * p + math.sqrt(1 - a) * e) / 2 - e) ** 2 / 8
    assert denoising_term(Half(), x, t, noise).item() == pytest.approx(total, rel=1e-4)


class Perfect(Denoiser):
    """Knows the image that every sample should end at."""

    channels, stride = 1, 8

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, x, t):
        a = signal_shares()[t[0]].item()
        return (x - a**0.5 * self.image) / (1 - a) ** 0.5


def test_a_sample_follows_the_prior_where_the_sources_allow_it():
    v = torch.zeros(1, 1, 16, 16)
    i = torch.ones(1, 1, 16, 16)
    bright = torch.zeros(1, 1, 16, 16)
    bright[..., 8:] = 1
    got = posterior_sample(Perfect(bright * 2 - 1), v, i, 10, torch.Generator().manual_seed(0))
    assert got[..., :6].mean() < 0.2 and got[..., 10:].mean() > 0.8


@pytest.fixture(scope="module")
def denoiser(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("denoiser")
    assert train_denoiser(dataset[0], out, 4, minutes=1e-9) == 0
    assert train_denoiser(dataset[0], out, 4, resume=True) == 4
    return out / "denoiser.pt"


def test_a_resumed_denoiser_is_that_of_an_unbroken_run(dataset, denoiser, tmp_path):
    train_denoiser(dataset[0], tmp_path, 4)
    whole, again = load_denoiser(tmp_path / "denoiser.pt"), load_denoiser(denoiser)
    for k, v in whole.state_dict().items():
        assert torch.equal(v, again.state_dict()[k]), k
    with pytest.raises(UserError, match="add --resume"):
        train_denoiser(dataset[0], tmp_path, 4)
    with pytest.raises(UserError, match="--steps 4"):
        train_denoiser(dataset[0], tmp_path, 5, resume=True)


def test_samples_depend_on_their_generator_and_differ(dataset, denoiser):
    net, p = load_denoiser(denoiser), load_pairs(dataset[0])[0]
    v, i = (torch.from_numpy(x).float()[None, None] / 255 for x in (p.vis, p.ir))
    a, b, c = (posterior_sample(net, v, i, 3, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert a.shape == v.shape and torch.equal(a, b) and not torch.equal(a, c)


def test_teach_samples_a_diffusion_teacher(dataset, denoiser, tmp_path):
    config = denoiser.parent / "t.toml"
    text = '[[teacher]]\nname = "ours"\nsampler = "ddfm"\nnetwork = "{}"\nweights = "{}"\ncount = 2\nsteps = 2\n'
    config.write_text(text.format("own", "denoiser.pt"))
    info = teach(dataset[0], config, tmp_path)
    assert info["teachers"] == [{"name": "ours", "samples": 2}] and info["mean_variance"] > 0
    for network, weights, words in (
        ("other", "denoiser.pt", "is none of ddfm own"),
        ("own", "none.pt", "no weights for teacher 'ours'"),
        ("guided", "denoiser.pt", "not OpenAI's"),
    ):
        config.write_text(text.format(network, weights))
        with pytest.raises(UserError, match=words):
            read_config(config)


def test_the_guided_network_is_the_published_one():
    with torch.device("meta"):
        net = guided.GuidedDenoiser()
    assert sum(p.numel() for p in net.parameters()) == 552_814_086
    keys = net.state_dict().keys()
    for k in ("input_blocks.0.0.weight", "input_blocks.10.1.qkv.weight", "middle_block.1.proj_out.bias"):
        assert k in keys
    torch.manual_seed(0)
    small = guided.GuidedDenoiser(base=32, levels=(1, 2), blocks=1, attended=(1,), head=32).eval()
    with torch.no_grad():
        assert small(torch.rand(1, 3, 8, 8), torch.tensor([3])).shape == (1, 3, 8, 8)


class Silent(torch.nn.Module):
    """Predicts no noise, and keeps the times it was asked at."""

    stride = mask_difuser.MaskDiFuser.stride

    def __init__(self):
        super().__init__()
        self.seen = []

    def codes(self, ir, vis):
        return ()

    def forward(self, x, t, codes):
        self.seen.append(t.item())
        return torch.zeros_like(x)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 9, 25, 27, 600, 999, 1000])
def test_mask_difuser_takes_as_many_steps_as_asked_for(steps):
    net = Silent()
    frame = torch.rand(1, 1, 16, 16)
    out = mask_difuser.conditional_sample(net, frame, frame, steps, torch.Generator().manual_seed(0))
    assert out.isfinite().all()
    assert len(net.seen) == steps and net.seen == sorted(net.seen, reverse=True) and net.seen[-1] == 0
    if 1000 % steps == 0:
        assert net.seen == [min(t, 998) for t in range(0, 1000, 1000 // steps)][::-1]


def test_mask_difuser_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(mask_difuser, "BASE", 32)
    monkeypatch.setattr(mask_difuser, "LEVELS", (1, 2))
    monkeypatch.setattr(mask_difuser, "ATTENDED", (1,))
    torch.manual_seed(0)
    net = mask_difuser.MaskDiFuser()
    torch.save({f"module.{k}": v for k, v in net.state_dict().items()}, tmp_path / "w.pt")
    again = mask_difuser.load_mask_difuser(tmp_path / "w.pt")
    g = torch.Generator().manual_seed(0)
    out = mask_difuser.conditional_sample(again, torch.rand(1, 1, 30, 40), torch.rand(1, 1, 30, 40), 2, g)
    assert out.shape == (1, 1, 30, 40) and (out.min(), out.max()) == (0, 1)
    assert OwnDenoiser.stride == 8
