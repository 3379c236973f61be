"""Training: the same curve after a resume, refusals, and batches that depend on seed and step alone."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from fusionproxy_models import checkpoint, cli
from fusionproxy_models import train as train_module
from fusionproxy_models.augment import Augment, make_batch
from fusionproxy_models.errors import UserError
from fusionproxy_models.fingerprint import fingerprints
from fusionproxy_models.options import Options, learning_rate
from fusionproxy_models.train import pick_device, train

TINY = Options("nano", steps=10, batch=2, warmup=2, augment=Augment(crop=32))


@pytest.fixture(autouse=True)
def logs_every_five_steps(monkeypatch):
    monkeypatch.setattr("fusionproxy_models.train.LOG_STEPS", 5)


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

    # The cut falls after the checkpoint of step 5.
    monkeypatch.setattr("fusionproxy_models.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("fusionproxy_models.train.make_batch", cut_at(7))
    with pytest.raises(PowerCut):
        train(TINY, *dataset, tmp_path / "b")
    assert checkpoint.load(tmp_path / "b").step == 5
    monkeypatch.setattr("fusionproxy_models.train.make_batch", make_batch)
    again = train(TINY, *dataset, tmp_path / "b", resume=True)

    assert again.step == whole.step == 10
    for k in whole.average:
        assert torch.equal(whole.average[k], again.average[k]), k
    a, b = rows(tmp_path / "a" / "train.csv"), rows(tmp_path / "b" / "train.csv")
    assert [r["step"] for r in b] == ["5", "10"]
    assert a == b
    a, b = rows(tmp_path / "a" / "gradients.csv"), rows(tmp_path / "b" / "gradients.csv")
    assert [int(r["step"]) for r in b] == list(range(1, 11))
    assert a == b


def test_a_run_that_stops_by_the_clock_gives_the_same_curve(dataset, tmp_path, monkeypatch):
    """The time is up two steps after a row of train.csv and one after a validation."""
    val = {"val_pairs": dataset[0], "val_cache": dataset[1], "val_every": 6}
    o = dataclasses.replace(TINY, steps=18)
    whole = train(o, *dataset, tmp_path / "a", **val)
    with monkeypatch.context() as m:
        made = []
        m.setattr("fusionproxy_models.train.make_batch", lambda *a: made.append(a) or make_batch(*a))
        m.setattr("fusionproxy_models.train.time.monotonic", lambda: 60.0 * len(made))
        assert train(o, *dataset, tmp_path / "b", minutes=7, **val).step == 10
    again = train(o, *dataset, tmp_path / "b", resume=True, **val)
    for k in whole.average:
        assert torch.equal(whole.average[k], again.average[k]), k
    for name, steps in (("train", [5, 10, 15, 18]), ("gradients", list(range(1, 19))), ("val", [6, 12, 18])):
        a, b = rows(tmp_path / "a" / f"{name}.csv"), rows(tmp_path / "b" / f"{name}.csv")
        assert [int(r["step"]) for r in a] == steps
        assert a == b, name


def test_a_run_may_begin_with_the_weights_of_another(dataset, tmp_path):
    first = train(dataclasses.replace(TINY, steps=2), *dataset, tmp_path / "a")
    o = dataclasses.replace(TINY, steps=1, lr=0.0, weight_decay=0.0, init=str(tmp_path / "a"))
    c = train(o, *dataset, tmp_path / "b")
    assert torch.equal(c.average["head.weight"], first.average["head.weight"])
    with pytest.raises(UserError, match="'nano', not of 'ultralight'"):
        train(dataclasses.replace(o, student="ultralight"), *dataset, tmp_path / "c")


def test_polishing_sees_plain_pairs_and_keeps_the_statistics(dataset, tmp_path, monkeypatch):
    seen = []

    def watched(pairs, size, augment, *args):
        seen.append(augment)
        return make_batch(pairs, size, augment, *args)

    monkeypatch.setattr("fusionproxy_models.train.make_batch", watched)
    first = train(dataclasses.replace(TINY, steps=4, polish=0.5), *dataset, tmp_path / "a")
    assert seen == [TINY.augment] * 2 + [TINY.augment.plain()] * 2
    o = dataclasses.replace(TINY, steps=2, polish=1.0, init=str(tmp_path / "a"))
    last = train(o, *dataset, tmp_path / "b")
    statistics = [k for k in first.average if "running" in k]
    assert statistics and all(torch.equal(first.average[k], last.model[k]) for k in statistics)
    assert not torch.equal(first.average["head.weight"], last.model["head.weight"])


def test_rows_after_the_checkpoint_are_dropped(dataset, tmp_path):
    train(TINY, *dataset, tmp_path / "r")
    with open(tmp_path / "r" / "train.csv", "a") as f:
        f.write("15" + ",0" * 9 + "\n")
    train(TINY, *dataset, tmp_path / "r", resume=True)
    assert [r["step"] for r in rows(tmp_path / "r" / "train.csv")] == ["5", "10"]


def test_validation_writes_metrics_and_a_sheet(dataset, tmp_path):
    o = dataclasses.replace(TINY, steps=2)
    train(o, *dataset, tmp_path / "r", val_pairs=dataset[0], val_cache=dataset[1])
    (row,) = rows(tmp_path / "r" / "val.csv")
    assert row["step"] == "2" and 0 < float(row["ssim_mean"]) <= 1
    assert (tmp_path / "r" / "val_000002.png").exists()
    cases = rows(tmp_path / "r" / "robustness.csv")
    assert len(cases) == 12 and cases[0]["case"] == "infrared moved none"
    assert float(cases[0]["value"]) == pytest.approx(float(row["ssim_mean"]), abs=2e-3)


@pytest.mark.parametrize(("step", "part"), [(5, "validate"), (10, "validate"), (10, "write_robustness")])
def test_an_interrupted_validation_is_made_good(dataset, tmp_path, monkeypatch, step, part):
    val = {"val_pairs": dataset[0], "val_cache": dataset[1], "val_every": 5}
    train(TINY, *dataset, tmp_path / "a", **val)
    monkeypatch.setattr("fusionproxy_models.train.CHECKPOINT_SECONDS", 0)
    real, calls = getattr(train_module, part), []

    def interrupted(*args):
        calls.append(args)
        if 5 * len(calls) == step or part == "write_robustness":
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as m:
        m.setattr(train_module, part, interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, *dataset, tmp_path / "b", **val)
    assert checkpoint.load(tmp_path / "b").step == step
    train(TINY, *dataset, tmp_path / "b", resume=True, **val)
    for name in ("val.csv", "robustness.csv"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
    # and nothing is done twice
    monkeypatch.setattr(train_module, "validate", None)
    monkeypatch.setattr(train_module, "write_robustness", None)
    train(TINY, *dataset, tmp_path / "b", resume=True, **val)


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
    train(TINY, *dataset, tmp_path / "r", resume=True)
    assert checkpoint.load(tmp_path / "r").step == 10
    with pytest.raises(UserError, match="other steps"):
        train(early, *dataset, tmp_path / "r", resume=True)


def test_a_resumed_run_finds_what_it_was_begun_with(dataset, tmp_path):
    pairs, cache, scenes = (tmp_path / k for k in ("pairs", "cache", "scenes"))
    for to, source in ((pairs, dataset[0]), (cache, dataset[1]), (scenes, dataset[0])):
        shutil.copytree(source, to)
    train(dataclasses.replace(TINY, steps=20), pairs, cache, tmp_path / "r", synthetic=scenes, minutes=1e-9)

    def resume(synthetic=scenes):
        o = dataclasses.replace(TINY, steps=20)
        return train(o, pairs, cache, tmp_path / "r", synthetic=synthetic, resume=True, minutes=1e-9)

    resume()
    with pytest.raises(UserError, match=r"--synthetic: not what.*another --out"):
        resume(None)
    info = cache / "cache.json"
    old = info.read_text()
    info.write_text(old.replace('"samples": 1', '"samples": 2'))
    with pytest.raises(UserError, match="--cache: not what"):
        resume()
    Image.fromarray(np.zeros((72, 88), np.uint8)).save(pairs / "ir" / "s0.png")
    with pytest.raises(UserError, match="--pairs and --cache: not what"):
        resume()
    info.write_text(old)
    with pytest.raises(UserError, match="--pairs: not what"):
        resume()
    c = checkpoint.load(tmp_path / "r")
    options = {k: v for k, v in c.options.items() if k != "tau"}
    # as written before there were digests and a temperature
    checkpoint.save(tmp_path / "r", dataclasses.replace(c, options=options, data={}))
    resume()


def test_the_digest_of_a_panel_is_that_of_its_weights(dataset, tmp_path):
    config = tmp_path / "p.toml"
    config.write_text('[[backbone]]\nname = "x"\nsource = "own"\nmodel = "fine"\nweights = "w.pt"\n')
    seen = []
    for weights in (b"one", b"two", b"one"):
        (tmp_path / "w.pt").write_bytes(weights)
        seen.append(fingerprints(*dataset, None, config))
    assert seen[0] == seen[2] != seen[1]
    assert {k for k in seen[0] if seen[0][k] != seen[1][k]} == {"panel"}


def test_a_loss_that_is_not_finite_says_how_to_go_on(dataset, tmp_path, monkeypatch):
    """The advice is taken as it stands."""
    o = dataclasses.replace(TINY, steps=20)
    real = train_module.distillation_loss

    def broken(*args):
        total, terms = real(*args)
        return total * float("nan"), terms

    monkeypatch.setattr(train_module, "distillation_loss", broken)
    with pytest.raises(UserError, match=r"step 0 is not finite; begin a new run with --lr 0\.001 --out NEW"):
        train(o, *dataset, tmp_path / "r")
    monkeypatch.setattr(train_module, "distillation_loss", real)
    train(o, *dataset, tmp_path / "r", minutes=1e-9)
    monkeypatch.setattr(train_module, "distillation_loss", broken)
    with pytest.raises(UserError, match="not finite") as e:
        train(o, *dataset, tmp_path / "r", resume=True)
    monkeypatch.setattr(train_module, "distillation_loss", real)
    advice = str(e.value).split(" with ")[1].replace("NEW", str(tmp_path / "new")).split()
    pairs, cache = map(str, dataset)
    more = ["--student", "nano", "--pairs", pairs, "--cache", cache, "--steps", "1", "--batch", "1", "--crop", "32"]
    assert cli.main(["train", *more, *advice]) == 0
    assert checkpoint.load(tmp_path / "new").options["init"] == str(tmp_path / "r")


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
