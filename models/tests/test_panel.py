"""The foundation panel: loading, the alignment term by its formula, and our own self-supervised members."""

import math

import numpy as np
import pytest
import torch

from fusionproxy_models import cli, selfsup
from fusionproxy_models.alignment import Backbone, alignment_term, channel_scale, feature_variance
from fusionproxy_models.data import load_pairs, read_cache_info
from fusionproxy_models.errors import UserError
from fusionproxy_models.geometry import Window
from fusionproxy_models.options import Options
from fusionproxy_models.panel import Panel, load_panel
from fusionproxy_models.selfsup import MEMBERS, distillation_term, learn, mask, reconstruction_term, train_panel
from fusionproxy_models.teach import over_frame, panel_features, teach
from fusionproxy_models.train import train


def test_feature_variance_by_formula():
    torch.manual_seed(0)
    x, s = torch.rand(3, 2, 1, 2), torch.tensor([0.5, 2.0])
    got = feature_variance(x, s)
    for p in range(2):
        total = 0.0
        for c in range(2):
            values = [x[m, c, 0, p].item() for m in range(3)]
            mean = sum(values) / 3
            total += sum((v - mean) ** 2 for v in values) / 3 / s[c].item() ** 2
        assert got[0, p].item() == pytest.approx(total / 2, rel=1e-5)


def test_channel_scale_is_over_all_positions():
    torch.manual_seed(0)
    a, b = torch.rand(1, 2, 3, 3), torch.rand(1, 2, 2, 2)
    got = channel_scale([a, b])
    for c in range(2):
        values = a[0, c].flatten().tolist() + b[0, c].flatten().tolist()
        mean = sum(values) / 13
        assert got[c].item() == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / 12), rel=1e-5)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_alignment_term_by_formula(tau):
    torch.manual_seed(0)
    sizes = [(2, 3, 2, 2), (2, 2, 1, 2)]
    f, m = [torch.rand(s) for s in sizes], [torch.rand(s) for s in sizes]
    v = [torch.rand(s[0], 1, *s[2:]) for s in sizes]
    known = [Backbone(torch.tensor([0.5, 1.0, 2.0]), 0.3), Backbone(torch.tensor([1.5, 0.7]), 0.8)]
    total = 0.0
    for n in range(2):
        loss, route = [], []
        for k, (_, c, h, w) in enumerate(sizes):
            num = den = disagreement = 0.0
            for y in range(h):
                for x in range(w):
                    d = sum(((f[k] - m[k])[n, j, y, x] / known[k].scale[j]).item() ** 2 for j in range(c)) / c
                    r = v[k][n, 0, y, x].item() / known[k].mean_variance
                    u = math.exp(-r / tau)
                    num, den, disagreement = num + u * d, den + u, disagreement + r / (h * w)
            loss.append(num / den)
            route.append(math.exp(-disagreement / tau))
        total += sum(q * x for q, x in zip(route, loss)) / sum(route)
    keep = torch.ones(2)
    assert alignment_term(f, m, v, known, keep, tau).item() == pytest.approx(total / 2, rel=1e-5)
    assert alignment_term(f, m, v, known, torch.zeros(2), tau).item() == 0


def test_masked_reconstruction_and_distillation_by_formula():
    torch.manual_seed(0)
    got, want = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4)
    hidden = (torch.rand(1, 1, 4, 4) > 0.5).float()
    pairs = list(zip(got.flatten(), want.flatten(), hidden.flatten()))
    err = sum(abs(a - b) for a, b, h in pairs if h) / sum(h for *_, h in pairs)
    assert reconstruction_term(got, want, hidden).item() == pytest.approx(err.item(), rel=1e-5)
    p, t, e = torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2), torch.rand(1, 1, 4, 4)
    num = den = 0.0
    for y in range(2):
        for x in range(2):
            w = e[0, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean().item()
            a, b = p[0, :, y, x], t[0, :, y, x]
            num, den = num + w * (1 - (a @ b / (a.norm() * b.norm())).item()), den + w
    assert distillation_term(p, t, e).item() == pytest.approx(num / den, rel=1e-5)


def test_masks_are_whole_cells():
    m = mask(64, 32, 8, 0.5, np.random.default_rng(0))
    assert m.shape == (64, 1, 32, 32) and abs(m.mean().item() - 0.5) < 0.05
    cells = torch.nn.functional.avg_pool2d(m, 8)
    assert set(cells.unique().tolist()) == {0.0, 1.0}


def test_a_member_learns_to_fill_gaps_and_does_not_collapse(dataset):
    pairs = load_pairs(dataset[0])
    encoder, curve = learn(pairs, (8, 16), 60)
    assert sum(curve[-10:]) < sum(curve[:10])
    x = selfsup.batch(pairs, 4, 64, np.random.default_rng(1))
    f = encoder.eval()(x)
    assert f.shape == (4, 16, 16, 16) and f.std((0, 2, 3)).min() > 0


@pytest.fixture(scope="module")
def panel(dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("panel")
    train_panel(dataset[0], root / "panel.pt", 2)
    tables = [f'[[backbone]]\nname = "{m}"\nsource = "own"\nmodel = "{m}"\nweights = "panel.pt"\n' for m in MEMBERS]
    (root / "panel.toml").write_text("\n".join(tables))
    return root / "panel.toml"


def test_teach_caches_feature_variances_and_train_uses_them(dataset, panel, tmp_path):
    pairs = dataset[0]
    info = teach(pairs, pairs.parent / "teachers.toml", tmp_path / "c", panel)
    assert list(info["panel"]) == ["fine", "coarse"] == list(read_cache_info(tmp_path / "c")["panel"])
    p = load_pairs(pairs, tmp_path / "c", panel=("fine", "coarse"))[0]
    assert [v.shape for v in p.variances] == [(18, 22), (9, 11)]  # 72x88, not the 96x96 it is padded to
    o = Options("nano", steps=50, batch=2, panel=("fine", "coarse"))
    train(o, pairs, tmp_path / "c", tmp_path / "r", panel=panel)
    header, row = (tmp_path / "r" / "train.csv").read_text().splitlines()
    got = dict(zip(header.split(","), map(float, row.split(","))))
    assert got["alignment"] > 0
    with pytest.raises(UserError, match=r"feature_variance\.fine.*run `teach` again"):
        load_pairs(*dataset, panel=("fine",))
    with pytest.raises(UserError, match="no backbone 'fine'"):
        train(o, pairs, dataset[1], tmp_path / "s", panel=panel)


def test_the_temperature_reaches_pixels_and_features(dataset, panel, tmp_path):
    pairs = dataset[0]
    teach(pairs, pairs.parent / "teachers.toml", tmp_path / "c", panel)
    seen = []
    for tau in ("1", "0.1"):
        argv = ["train", "--student", "nano", "--pairs", str(pairs), "--cache", str(tmp_path / "c")]
        argv += ["--panel", str(panel), "--out", str(tmp_path / tau), "--steps", "1", "--tau", tau]
        assert cli.main(argv) == 0
        header, row = (tmp_path / tau / "train.csv").read_text().splitlines()
        seen.append(dict(zip(header.split(","), row.split(","))))
    assert {k for k in seen[0] if seen[0][k] != seen[1][k]} == {"loss", "pixel", "alignment"}


@pytest.mark.parametrize("stride", [4, 8, 32])
def test_a_map_covers_the_frame_and_not_its_padding(stride):
    """Luma itself as the feature: a window of the map is that window of the frame, close to its far edge too."""
    panel = Panel(["luma"], [torch.nn.AvgPool2d(stride)])
    y, x = np.mgrid[:341, :476]
    frame = ((x + y) // 4).astype(np.uint8)
    (luma,) = panel_features(panel, [frame])
    got = over_frame(luma[0, 0] * 255, 341, 476).numpy()
    assert got.shape == (math.ceil(341 / stride), math.ceil(476 / stride))
    window = Window(341 - 64 - 16, 476 - 64 - 16, 64, False, False)
    seen = window.of_map(got, frame.shape, 8)
    want = window.of(frame).reshape(8, 8, 8, 8).mean((1, 3))
    np.testing.assert_allclose(seen, want, atol=0.5)


def test_backbones_of_timm_and_torchvision(tmp_path):
    import timm
    import torchvision

    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224")
    torch.save(vit.state_dict(), tmp_path / "vit.pt")
    res = torchvision.models.resnet18()
    torch.save(res.state_dict(), tmp_path / "res.pt")
    (tmp_path / "p.toml").write_text(
        '[[backbone]]\nname = "vit"\nsource = "timm"\nmodel = "vit_tiny_patch16_224"\n'
        'layer = "blocks.1"\nweights = "vit.pt"\n'
        '[[backbone]]\nname = "res"\nsource = "torchvision"\nmodel = "resnet18"\n'
        'layer = "layer1"\nweights = "res.pt"\n'
    )
    panel = load_panel(tmp_path / "p.toml").train()
    assert not panel.training and not any(p.requires_grad for p in panel.parameters())
    x = torch.rand(1, 1, 64, 96, requires_grad=True)
    a, b = panel.features(x)
    assert a.shape == (1, 192, 4, 6) and b.shape == (1, 64, 16, 24)
    a.sum().backward()
    assert x.grad.abs().sum() > 0
    net = panel[0].net
    with torch.no_grad():  # the same as running the blocks by hand
        tokens = net._pos_embed(net.patch_embed((x - panel[0].mean) / panel[0].std))
        tokens = net.blocks[1].forward(net.blocks[0](tokens))[0, 1:]  # past the hook
        torch.testing.assert_close(a[0, :, 2, 3], tokens[2 * 6 + 3])


def test_panel_errors(tmp_path):
    f = tmp_path / "p.toml"
    with pytest.raises(UserError, match="no such panel"):
        load_panel(f)
    f.write_text("[[backbone]]\nname = 'x'\n")
    with pytest.raises(UserError, match="lacks model, source, weights"):
        load_panel(f)
    table = "[[backbone]]\nname = 'x'\nsource = '{}'\nmodel = '{}'\nlayer = '{}'\nweights = 'w.pt'\n"
    f.write_text(table.format("hub", "m", "l"))
    with pytest.raises(UserError, match="none of timm"):
        load_panel(f)
    f.write_text(table.format("own", "fine", ""))
    with pytest.raises(UserError, match="no weights for backbone 'x'"):
        load_panel(f)
    (tmp_path / "w.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a panel"):
        load_panel(f)
    f.write_text(table.format("timm", "vit_tiniest", "l"))
    with pytest.raises(UserError, match="backbone 'x'.*vit_tiniest"):
        load_panel(f)
