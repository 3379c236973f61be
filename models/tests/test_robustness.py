"""The robustness measurements on networks whose answer is known."""

import numpy as np
import pytest
import torch

from fusionproxy_models.data import load_pairs
from fusionproxy_models.robustness import MISALIGNMENTS, misalignment, missing


class Visible(torch.nn.Module):
    """Gives the visible image back, whatever the infrared shows."""

    stride = 8

    def forward(self, vis, ir):
        return vis


class Brighter(Visible):
    """The pointwise maximum."""

    def forward(self, vis, ir):
        return torch.maximum(vis, ir)


def test_a_network_that_ignores_the_infrared_bears_any_misalignment(dataset):
    got = misalignment(Visible(), load_pairs(*dataset))
    assert len(got) == len(MISALIGNMENTS) and np.ptp(list(got.values())) < 1e-6


def test_a_network_that_uses_it_does_not(dataset):
    got = list(misalignment(Brighter(), load_pairs(*dataset)).values())
    assert got[0] > got[1]


def test_missing_modalities_of_the_maximum(dataset):
    got = missing(Brighter(), load_pairs(*dataset))
    assert got["infrared = 0"] == float("inf") and got["visible = 0"] == float("inf")
    assert got["infrared = 1"] == pytest.approx(6, abs=4)
