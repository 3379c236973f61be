"""Reading pairs, the teacher cache, and what bad input says."""

import shutil

import numpy as np
import pytest
from conftest import write_pairs
from PIL import Image

from fusionproxy_models import teach as teach_module
from fusionproxy_models.data import Pair, load_pairs, pair_files, read_cache_info, read_luma, shrink
from fusionproxy_models.errors import UserError
from fusionproxy_models.files import write_atomic
from fusionproxy_models.sources import read_config
from fusionproxy_models.teach import statistics, teach


def test_luma_is_full_range_bt601(tmp_path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).save(tmp_path / "x.png")
    assert read_luma(tmp_path / "x.png").tolist() == [[76, 150, 29]]


def test_statistics_are_population_moments():
    mean, std = statistics([np.array([[0]], np.uint8), np.array([[255]], np.uint8)])
    assert (mean.item(), std.item()) == (0.5, 0.5)


def test_the_cache_holds_the_ensemble(dataset):
    pairs, cache = dataset
    p = load_pairs(pairs, cache)[0]
    avg, top = (p.vis.astype(int) + p.ir) // 2, np.maximum(p.vis, p.ir)
    np.testing.assert_allclose(p.mean / 65535, (avg + top) / 2 / 255, atol=1e-4)
    np.testing.assert_allclose(p.std, np.abs(top - avg) / 2 / 255, atol=1e-3)


@pytest.fixture
def broken(tmp_path):
    return write_pairs(tmp_path, 2)


def test_unpaired(broken):
    (broken / "ir" / "s1.png").unlink()
    with pytest.raises(UserError, match="'s1'"):
        pair_files(broken)


def test_corrupt_image(broken):
    (broken / "ir" / "s1.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"s1\.png.*not a readable image"):
        load_pairs(broken)


def test_truncated_image(broken):
    f = broken / "vis" / "s0.png"
    f.write_bytes(f.read_bytes()[:200])
    with pytest.raises(UserError, match=r"s0\.png"):
        load_pairs(broken)


def test_sizes_differ(broken):
    Image.new("L", (10, 10)).save(broken / "ir" / "s0.png")
    with pytest.raises(UserError, match="register the pair"):
        load_pairs(broken)


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        pair_files(tmp_path)
    (tmp_path / "vis").mkdir()
    (tmp_path / "ir").mkdir()
    with pytest.raises(UserError, match="no images"):
        pair_files(tmp_path)


def test_missing_and_damaged_cache(dataset, tmp_path):
    pairs, cache = dataset
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    (copy / "s1.npz").write_bytes((cache / "s1.npz").read_bytes()[:100])
    with pytest.raises(UserError, match=r"s1\.npz: damaged"):
        load_pairs(pairs, copy)
    (copy / "s1.npz").unlink()
    with pytest.raises(UserError, match="not in the cache"):
        load_pairs(pairs, copy)


def test_an_interrupted_teach_leaves_no_cache(broken, tmp_path, monkeypatch):
    config, cache = tmp_path / "teachers.toml", tmp_path / "cache"
    teach(broken, config, cache)
    load = teach_module.load_pair

    def cut(name, *files):
        if name == "s1":
            raise KeyboardInterrupt
        return load(name, *files)

    with monkeypatch.context() as m:
        m.setattr(teach_module, "load_pair", cut)
        with pytest.raises(KeyboardInterrupt):
            teach(broken, config, cache)
    with pytest.raises(UserError, match="no cache.json; make the cache with"):
        read_cache_info(cache)
    assert teach(broken, config, cache) == read_cache_info(cache)


def test_teacher_configuration_errors(tmp_path, dataset):
    f = tmp_path / "t.toml"
    with pytest.raises(UserError, match="no such teacher configuration"):
        read_config(f)
    f.write_text("[[teacher")
    with pytest.raises(UserError, match="not valid TOML"):
        read_config(f)
    f.write_text('[[teacher]]\nname = "x"\n')
    with pytest.raises(UserError, match="samples"):
        read_config(f)
    f.write_text('[[teacher]]\nname = "x"\nsamples = ["{nmae}.png"]\n')
    with pytest.raises(UserError, match="nmae"):
        teach(dataset[0], f, tmp_path / "out")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    f = tmp_path / "x"
    write_atomic(f, lambda w: w.write(b"old"))

    def cut(w):
        w.write(b"ne")
        raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        write_atomic(f, cut)
    assert f.read_bytes() == b"old"


def test_shrink_averages_areas_of_every_plane():
    vis = np.kron(np.array([[10, 200], [30, 90]], np.uint8), np.ones((4, 4), np.uint8))
    mean = vis.astype(np.uint16) * 257
    p = shrink(Pair("x", vis, vis, mean, (vis / 255).astype(np.float16)), 2)
    assert p.vis.tolist() == [[10, 200], [30, 90]] and p.vis.dtype == np.uint8
    assert p.mean.tolist() == [[2570, 51400], [7710, 23130]] and p.mean.dtype == np.uint16
    assert p.std.dtype == np.float16
    assert shrink(p, 100) is p
