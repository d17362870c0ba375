"""The claims that are mathematics hold for the layer, and fail for layers that break them."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, environment

from bnexp.analysis.claims import exact
from bnexp.analysis.statistics import CONTRADICTED, SUPPORTED
from bnexp.norms.batch import BatchNorm
from bnexp.norms.moments import Moments

CLAIMS = {claim.id: claim for claim in exact.EXACT}


@pytest.fixture(scope="module")
def findings():
    """As the report has them: from a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(exact.findings).result()


@pytest.fixture
def _few_cases(monkeypatch):
    monkeypatch.setattr(exact, "SEEDS", range(1))
    monkeypatch.setattr(exact, "SHAPES", ((12, 3), (3, 5, 4, 3)))
    monkeypatch.setattr(exact, "MAPS", ((3, 5, 4, 3),))


@pytest.mark.parametrize("id", CLAIMS)
def test_every_claim_is_supported_on_the_layer(findings, id):
    counted = [finding for finding in findings[id] if not finding.beside]
    assert counted
    for finding in counted:
        assert finding.verdict == SUPPORTED, finding.sentence
        assert finding.effect.n >= 10
        assert f"{finding.effect.mean:.2g}" in finding.sentence
        assert f"{finding.effect.n} cases" in finding.sentence


def test_without_bessels_correction_the_bias_is_one_mth(findings):
    without = findings["population-statistics"][1]
    assert without.beside
    for words in ("2.000 at m = 2", "1.333 at m = 4", "by 50% at m = 2", "by 1.7% at 60"):
        assert words in without.sentence
    assert without.effect.mean == pytest.approx(1 / 2)


def test_scaling_breaks_where_the_variance_is_small_beside_epsilon(findings):
    beside = findings["scale-invariance"][1]
    assert beside.beside
    assert beside.verdict == CONTRADICTED
    assert beside.effect.mean > 0.1
    assert "Var(aWu)" in beside.sentence


def test_batches_of_all_pairs_average_like_all_batches():
    """Against every one of the 61^2 batches of two."""
    data = np.random.default_rng(0).normal(size=exact.POINTS)
    every = np.stack(np.meshgrid(data, data), -1).reshape(-1, 2)
    few = exact._all_pairs(data, 2)
    np.testing.assert_allclose(few.var(1).mean(), every.var(1).mean())
    np.testing.assert_allclose(few.mean(), every.mean(), atol=1e-12)


class Biased(Moments):
    unbiased = property(lambda self: self.variance)


class WithoutBessel(BatchNorm):
    def _moments(self, x, mask):
        return Biased(*super()._moments(x, mask))


class OutsideGradient(BatchNorm):
    """Statistics as constants, as the paper's section 2 warns."""

    def _moments(self, x, mask):
        return Moments(*map(tf.stop_gradient, super()._moments(x, mask)))


class NoNumbers(BatchNorm):
    def _moments(self, x, mask):
        mean, variance, count = super()._moments(x, mask)
        return Moments(np.nan * mean, np.nan * variance, count)


class OtherEpsilon(BatchNorm):
    def _normalize(self, x, mean, variance, renormed=None):
        return super()._normalize(x, mean, variance + 1e-3, renormed)


class NoEpsilon(BatchNorm):
    def _normalize(self, x, mean, variance, renormed=None):
        return super()._normalize(x, mean, variance - self.epsilon, renormed)


class BatchStatisticsAtInference(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True)


class PopulationStatisticsInTraining(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False)


class NotAffine(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        return tf.nn.relu(super().call(inputs, training))


class PerLocation(BatchNorm):
    """Statistics over the batch alone."""

    def _spread(self, vector):
        return vector if vector.shape.rank > 1 else super()._spread(vector)

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs)
        return self._normalize(inputs, *tf.nn.moments(inputs, [0], keepdims=True))


class OneGamma(BatchNorm):
    """One scalar for the whole layer."""

    def add_weight(self, *, name, shape, **kwargs):
        shape = (1,) if name == "gamma" else shape
        return super().add_weight(name=name, shape=shape, **kwargs)


class LocationsMatterAtInference(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training)
        return (
            outputs
            if training
            else outputs + tf.range(inputs.shape[2], dtype=inputs.dtype)[:, None]
        )


class FusedKernelWrong(BatchNorm):
    def _fused_kernel(self, *args):
        outputs, *statistics = super()._fused_kernel(*args)
        return outputs * 1.001, *statistics


@pytest.mark.parametrize(
    ("id", "layer", "parts"),
    [
        ("algorithm-1", OutsideGradient, {""}),
        ("algorithm-1", NoEpsilon, {""}),
        ("algorithm-1", NoNumbers, {""}),
        ("identity", OtherEpsilon, {""}),
        ("identity", NoNumbers, {""}),
        ("scale-invariance", OtherEpsilon, {"ε = 0"}),
        ("scale-invariance", NoNumbers, {"ε = 0"}),
        ("population-statistics", WithoutBessel, {"with m/(m−1)"}),
        ("population-statistics", NoNumbers, {"with m/(m−1)"}),
        ("deterministic-inference", BatchStatisticsAtInference, {"at inference", "affine map"}),
        ("deterministic-inference", PopulationStatisticsInTraining, {"control: in training"}),
        ("deterministic-inference", NotAffine, {"affine map"}),
        ("deterministic-inference", NoEpsilon, {"affine map"}),
        ("convolutional", PerLocation, {"float64", "fused float32"}),
        ("convolutional", OneGamma, {"float64", "fused float32"}),
        ("convolutional", FusedKernelWrong, {"fused float32"}),
        ("bias-redundant", OutsideGradient, {"with BN"}),
        ("bias-redundant", NoNumbers, {"with BN"}),
    ],
)
@pytest.mark.usefixtures("_few_cases")
def test_a_broken_layer_contradicts_the_claim(id, layer, parts):
    found = [finding for finding in CLAIMS[id].judge(layer) if not finding.beside]
    assert {finding.part for finding in found if finding.verdict == CONTRADICTED} == parts


def test_outputs_that_depend_on_the_location_contradict_shift_equivariance():
    found = exact.convolutional(LocationsMatterAtInference)
    assert {finding.verdict for finding in found} == {CONTRADICTED}


@pytest.mark.usefixtures("_few_cases")
def test_a_bias_that_does_nothing_without_bn_either_fails_the_control(monkeypatch):
    monkeypatch.setattr(exact, "_bias_gradient", lambda *_: 0.0)
    with_norm, control = exact.bias_redundant()
    assert (with_norm.verdict, control.verdict) == (SUPPORTED, CONTRADICTED)


@pytest.mark.usefixtures("_few_cases")
def test_a_misprinted_gradient_contradicts_algorithm_1(monkeypatch):
    printed = exact.paper_gradients

    def misprinted(x, gamma, epsilon, d_y):
        d_x, *others = printed(x, gamma, epsilon, d_y)
        return d_x + 1e-5, *others

    monkeypatch.setattr(exact, "paper_gradients", misprinted)
    assert exact.gradients()[0].verdict == CONTRADICTED


def test_statements_are_there_without_tensorflow():
    code = (
        "import sys, bnexp.analysis.claims.exact as exact; "
        "assert len({claim.id for claim in exact.EXACT}) == 7; "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True)
