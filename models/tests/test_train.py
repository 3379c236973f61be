"""Training: the same curve after a resume, refusals, and batches that depend on seed and step alone."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import torch

from fusionproxy_models import checkpoint
from fusionproxy_models.augment import Augment, affine, make_batch
from fusionproxy_models.data import load_pairs
from fusionproxy_models.errors import UserError
from fusionproxy_models.train import Options, learning_rate, pick_device, train

TINY = Options("nano", steps=100, batch=2, warmup=2, augment=Augment(crop=32))


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def test_resume_gives_the_same_curve(dataset, tmp_path, monkeypatch):
    whole = train(TINY, *dataset, tmp_path / "a")

    class PowerCut(Exception):
        pass

    def cut_at(step):
        def make(*args, **kw):
            if args[4] == step:
                raise PowerCut
            return make_batch(*args, **kw)

        return make

    # The cut falls after the checkpoint of step 50.
    monkeypatch.setattr("fusionproxy_models.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("fusionproxy_models.train.make_batch", cut_at(57))
    with pytest.raises(PowerCut):
        train(TINY, *dataset, tmp_path / "b")
    assert checkpoint.load(tmp_path / "b").step == 50
    monkeypatch.setattr("fusionproxy_models.train.make_batch", make_batch)
    again = train(TINY, *dataset, tmp_path / "b", resume=True)

    assert again.step == whole.step == 100
    for k in whole.average:
        assert torch.equal(whole.average[k], again.average[k]), k
    a, b = rows(tmp_path / "a" / "train.csv"), rows(tmp_path / "b" / "train.csv")
    assert [r["step"] for r in b] == ["50", "100"]
    assert a == b


def test_rows_after_the_checkpoint_are_dropped(dataset, tmp_path):
    train(TINY, *dataset, tmp_path / "r")
    with open(tmp_path / "r" / "train.csv", "a") as f:
        f.write("150" + ",0" * 10 + "\n")
    train(TINY, *dataset, tmp_path / "r", resume=True)
    assert [r["step"] for r in rows(tmp_path / "r" / "train.csv")] == ["50", "100"]


def test_validation_writes_metrics_and_a_sheet(dataset, tmp_path):
    o = dataclasses.replace(TINY, steps=2)
    train(o, *dataset, tmp_path / "r", val_pairs=dataset[0], val_cache=dataset[1])
    (row,) = rows(tmp_path / "r" / "val.csv")
    assert row["step"] == "2" and 0 < float(row["ssim_mean"]) <= 1
    assert (tmp_path / "r" / "val_000002.png").exists()
    cases = rows(tmp_path / "r" / "robustness.csv")
    assert len(cases) == 8 and cases[0]["case"] == "infrared moved none"
    assert float(cases[0]["value"]) == pytest.approx(float(row["ssim_mean"]), abs=2e-3)


def test_refusals(dataset, tmp_path):
    out = tmp_path / "r"
    o = dataclasses.replace(TINY, steps=1)
    train(o, *dataset, out)
    with pytest.raises(UserError, match="add --resume"):
        train(o, *dataset, out)
    with pytest.raises(UserError, match="'nano', not of 'ultralight'"):
        train(dataclasses.replace(o, student="ultralight"), *dataset, out, resume=True)
    with pytest.raises(UserError, match="other lr"):
        train(dataclasses.replace(o, lr=1.0), *dataset, out, resume=True)
    path = checkpoint.checkpoint_path(out)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a checkpoint"):
        train(o, *dataset, out, resume=True)
    with pytest.raises(UserError, match="no cache.json"):
        train(o, dataset[0], tmp_path / "nowhere", tmp_path / "s")
    with pytest.raises(UserError, match="multiple of 8"):
        train(dataclasses.replace(o, augment=Augment(crop=36)), *dataset, tmp_path / "t")


def test_the_length_may_change_until_something_depends_on_it(dataset, tmp_path):
    early = dataclasses.replace(TINY, steps=20)
    train(early, *dataset, tmp_path / "r", minutes=1e-9)
    train(dataclasses.replace(early, steps=10), *dataset, tmp_path / "r", resume=True)
    assert checkpoint.load(tmp_path / "r").step == 10
    with pytest.raises(UserError, match="other steps"):
        train(early, *dataset, tmp_path / "r", resume=True)


def test_no_gpu_asked_for_by_name():
    if torch.cuda.is_available():
        pytest.skip("a GPU is present")
    with pytest.raises(UserError, match="no GPU"):
        pick_device("cuda")


def test_learning_rate_rises_stays_and_falls_to_zero():
    o = Options("nano", steps=1000, lr=1.0, warmup=10, decay=0.5)
    assert learning_rate(4, o) == pytest.approx(0.5)
    assert learning_rate(300, o) == 1.0
    assert learning_rate(750, o) == pytest.approx(0.5)
    assert learning_rate(1000, o) == pytest.approx(0.0)


def test_batches_depend_on_seed_and_step_alone(dataset):
    pairs = load_pairs(*dataset)
    a = Augment(crop=32, drop=0.5, misalign=1.0, noise=1.0)
    one, two, other = (make_batch(pairs, 4, a, 1, s, True) for s in (7, 7, 8))
    for x, y in zip(vars(one).values(), vars(two).values()):
        assert torch.equal(x, y)
    assert not torch.equal(one.vis, other.vis)


def test_a_missing_modality_makes_the_other_the_target(dataset):
    b = make_batch(load_pairs(*dataset), 32, Augment(crop=32, drop=1.0, misalign=0, noise=0), 0, 0, False)
    assert b.both.sum() == 0 and b.std.abs().sum() == 0
    for k in range(32):
        flat = [x[k].std() < 1e-6 for x in (b.vis, b.ir)]
        assert any(flat)
        survivor = b.ir[k] if torch.equal(b.mean[k], b.ir[k]) else b.vis[k]
        assert torch.equal(b.mean[k], survivor)


def test_misalignment_moves_only_the_infrared_input(dataset):
    b = make_batch(load_pairs(*dataset), 8, Augment(crop=32, drop=0, misalign=1.0, noise=0), 0, 0, True)
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
