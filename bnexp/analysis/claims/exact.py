"""The claims of the paper that are mathematics, checked on the project's own `BatchNorm`.

Every check runs the layer over several shapes, epsilons and seeds, in float64, and compares the
largest error with a limit. Importing this module does not import TensorFlow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from bnexp.analysis.claims.model import MATHEMATICS, Claim, Finding, Judgement
from bnexp.analysis.statistics import CONTRADICTED, SUPPORTED, Estimate
from bnexp.training import backend

MAPS = ((3, 5, 4, 3), (8, 6, 7, 5))  # (batch, height, width, features)
SHAPES = ((4, 3), (60, 10), *MAPS)
EPSILONS = (1e-3, 1e-4, 1e-8)
FUSED_EPSILONS = (1e-2, 1e-3, 1e-4)  # the fused kernels refuse smaller ones
SEEDS = range(3)
UNITS = 5  # outputs of the linear map under BN
SCALES = (0.01, 0.1, 10.0, 100.0)  # a in section 3.3
BATCH_SIZES = (2, 4, 8, 60)
POINTS = 61  # data that batches are drawn from: a prime, and no batch is larger

TIGHT, LOOSE = 1e-6, 1e-5  # errors stay below
APART = 1e-3  # what is to differ, as a control, differs by more

Factory: TypeAlias = Callable[..., Any]
Shape: TypeAlias = tuple[int, ...]
Random: TypeAlias = np.random.Generator


def batch_norm(**arguments: Any) -> Any:
    """The layer to check, unless a test passes another."""
    from bnexp.norms.batch import BatchNorm

    return BatchNorm(**arguments)


def judgements(found: Mapping[str, Sequence[Finding]]) -> list[Judgement]:
    """The exact claims with what `findings` found."""
    return [Judgement(claim, found[claim.id]) for claim in EXACT]


def findings() -> dict[str, list[Finding]]:
    """What every check found, by the claim's id; meant for a process of its own.

    Raises:
        RuntimeError: this process already runs TensorFlow with more than one thread.
    """
    backend.start(1)
    return {claim.id: list(claim.judge()) for claim in EXACT}


def algorithm_1(x: np.ndarray, gamma: Any, beta: Any, epsilon: float) -> np.ndarray:
    """Alg. 1 in NumPy, with statistics over all axes but the last (section 3.2)."""
    axes = tuple(range(x.ndim - 1))
    return gamma * (x - x.mean(axes)) / np.sqrt(x.var(axes) + epsilon) + beta


def paper_gradients(
    x: np.ndarray, gamma: np.ndarray, epsilon: float, d_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dl/dx, dl/dgamma and dl/dbeta from dl/dy, term by term as section 3 prints them."""
    axes = tuple(range(x.ndim - 1))
    m = x.size / x.shape[-1]
    centered, variance = x - x.mean(axes), x.var(axes) + epsilon
    x_hat = centered / np.sqrt(variance)
    d_x_hat = d_y * gamma
    d_variance = (d_x_hat * centered).sum(axes) * -1 / 2 * variance ** (-3 / 2)
    d_mean = (d_x_hat * -1 / np.sqrt(variance)).sum(axes)
    d_mean += d_variance * (-2 * centered).sum(axes) / m
    d_x = d_x_hat / np.sqrt(variance) + d_variance * 2 * centered / m + d_mean / m
    return d_x, (d_y * x_hat).sum(axes), d_y.sum(axes)


def gradients(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3: the printed gradients are those of Alg. 1 by automatic differentiation."""
    errors = []
    for shape, epsilon, rng in _cases(SHAPES):
        x, d_y = _inputs(rng, shape), rng.normal(size=shape)
        norm = _built(layer, rng, shape, epsilon)
        weights = [norm.gamma.value, norm.beta.value]
        _, *automatic = _differentiate(partial(norm, training=True), [x], d_y, weights)
        printed = paper_gradients(x, norm.gamma.numpy(), epsilon, d_y)
        errors.append(max(map(_error, automatic, printed)))
    measure = "∂ℓ/∂x, ∂ℓ/∂γ and ∂ℓ/∂β as printed, against automatic differentiation"
    sentence = (
        "The paper's three gradients and automatic differentiation differ by at most {worst:.2g} "
        "over {n} cases."
    )
    return [_judged(errors, TIGHT, measure, sentence)]


def identity(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3: gamma = sqrt(Var[x] + epsilon) and beta = E[x] give back the inputs."""
    errors = []
    for shape, epsilon, rng in _cases(SHAPES):
        x = _inputs(rng, shape)
        norm = _built(layer, rng, shape, epsilon)
        axes = tuple(range(x.ndim - 1))
        norm.gamma.assign(np.sqrt(x.var(axes) + epsilon))
        norm.beta.assign(x.mean(axes))
        errors.append(_error(norm(x, training=True), x))
        norm.gamma.assign(np.sqrt(norm.moving_variance.numpy() + epsilon))
        norm.beta.assign(norm.moving_mean)
        errors.append(_error(norm(x, training=False), x))
    measure = "outputs against inputs, at γ = √(Var + ε) and β = E[x]"
    sentence = (
        "With γ = √(Var + ε) and β = E[x], outputs and inputs differ by at most {worst:.2g} over "
        "{n} cases, half of them in training and half at inference."
    )
    return [_judged(errors, LOOSE, measure, sentence)]


def scale_invariance(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3.3: BN((aW)u) = BN(Wu), dBN/du too, and dBN/d(aW) = 1/a dBN/dW, for a > 0."""
    errors = [error for a in SCALES for error in _scaling_errors(layer, 0.0, a)]
    measure = "BN((aW)u), its gradient for u and a times that for aW, against a = 1"
    sentence = (
        "At ε = 0, scaling W by a changes outputs, gradients for u, and a times gradients for aW "
        f"by at most {{worst:.2g}} over {{n}} cases, a from {SCALES[0]:g} to {SCALES[-1]:g}."
    )
    small, large = (_scaling_errors(layer, 1e-3, a) for a in (SCALES[0], SCALES[-1]))
    turned = max(_scaling_errors(layer, 0.0, -1.0))
    breaks = (
        f"At ε = 1e-3 it breaks at a = {SCALES[0]:g}, by {{worst:.2g}} (median "
        f"{np.median(small):.2g}; {np.median(large):.1g} at a = {SCALES[-1]:g}), because Var(aWu) "
        f"is then not large beside ε; and it is for a > 0 only (a = −1 at ε = 0: {turned:.2g})."
    )
    return [
        _judged(errors, TIGHT, measure, sentence, "ε = 0"),
        _judged(small, TIGHT, measure, breaks, f"ε = 1e-3, a = {SCALES[0]:g}", beside=True),
    ]


def _scaling_errors(layer: Factory, epsilon: float, a: float) -> list[float]:
    """Largest error of outputs, of gradients for u and of a times those for aW, by case."""

    def differentiate(norm: Any, u: np.ndarray, w: np.ndarray, d_y: np.ndarray) -> list[Any]:
        return _differentiate(lambda u, w: norm(_linear(u, w), training=True), [u, w], d_y)

    errors = []
    for shape, _, rng in _cases(SHAPES, (epsilon,)):
        u, w = _linear_map(rng, shape)
        d_y = rng.normal(size=(*shape[:-1], UNITS))
        norm = _built(layer, rng, d_y.shape, epsilon)
        y, d_u, d_w = differentiate(norm, u, a * w, d_y)
        errors.append(max(map(_error, (y, d_u, a * d_w), differentiate(norm, u, w, d_y))))
    return errors


def population_statistics(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3.1, Alg. 2: E[x] = E[mu_B] and Var[x] = m / (m - 1) * E[sigma_B^2].

    Expectations over all batches drawn with replacement, without error: see `_all_pairs`.
    """
    errors, biased = [], {}
    for m, seed in product(BATCH_SIZES, SEEDS):
        data = np.random.default_rng(seed).normal(3, 2, POINTS)
        batches = _all_pairs(data, m)
        mean, variance = _population(layer, batches)
        errors.append(max(_error(mean, data.mean()), _error(variance, data.var())))
        biased[m] = float(batches.var(1).mean() / data.var())
    sentence = (
        "With m/(m−1), the layer's mean and variance differ from those of all data by at most "
        f"{{worst:.2g}} over {{n}} cases, m in {BATCH_SIZES}."
    )
    factors = ", ".join(f"{1 / share:.3f} at m = {m}" for m, share in biased.items())
    too_small = [1 - share for share in biased.values()]
    without = (
        f"Without m/(m−1) the variance is too small by the factor {factors}: by "
        f"{too_small[0]:.0%} at m = {BATCH_SIZES[0]}, by {too_small[-1]:.1%} at {BATCH_SIZES[-1]}."
    )
    measure, unit = "average over batches, against all data", "relative bias"
    return [
        _judged(errors, TIGHT, measure, sentence, "with m/(m−1)", unit),
        _judged(too_small, TIGHT, measure, without, "without m/(m−1)", unit, beside=True),
    ]


def _all_pairs(data: np.ndarray, m: int) -> np.ndarray:
    """Batches (batches, m, columns) that stand for all of size m drawn with replacement.

    Column i of batch j has data[(i + j * k) mod p] at place k. As p is prime, every two places
    have every pair of data points exactly once. A variance is a sum over pairs, so its average
    over these p^2 draws is its average over all p^m.
    """
    i, j, k = np.arange(POINTS), np.arange(POINTS)[:, None, None], np.arange(m)[:, None]
    return data[(i + j * k) % POINTS]


def _population(layer: Factory, batches: np.ndarray) -> tuple[float, float]:
    """Mean and variance that Alg. 2 makes of the batches, averaged over columns."""
    import keras

    from bnexp.norms.batch import set_population_statistics

    norm = layer(dtype="float64")
    inputs = keras.Input(batches.shape[2:], dtype="float64")
    set_population_statistics(keras.Model(inputs, norm(inputs)), batches)
    return norm.moving_mean.numpy().mean(), norm.moving_variance.numpy().mean()


def deterministic_inference(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3.1: at inference outputs depend on the input alone, and BN is one affine map."""
    inference, training, folded = [], [], []
    for shape, epsilon, rng in _cases(SHAPES):
        u, w = _linear_map(rng, shape)
        b = rng.normal(size=UNITS)
        x = np.asarray(_linear(u, w)) + b
        norm = _built(layer, rng, x.shape, epsilon)
        norm(x, training=True)  # so that the population statistics are no longer 0 and 1
        batches = [np.concatenate([x[:1], others]) for others in (x[1:], 3 * x[1:] - 1)]
        alone = norm(x[:1], training=False)
        inference += [_error(norm(batch, training=False)[:1], alone) for batch in batches]
        factor = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + epsilon)
        bias = (b - norm.moving_mean.numpy()) * factor + norm.beta.numpy()
        folded.append(_error(_linear(u, w * factor) + bias, norm(x, training=False)))
        training.append(_error(*(norm(batch, training=True)[:1] for batch in batches)))
    measure = "outputs for one input in different batches"
    same = "At inference the batch changes an input's outputs by at most {worst:.2g} in {n} cases."
    control = "In training mode it changes them by {worst:.2g} or more in {n} cases."
    affine = "BN folded into W and b changes outputs by at most {worst:.2g} over {n} cases."
    return [
        _judged(inference, LOOSE, measure, same, "at inference"),
        _judged(training, APART, measure, control, "control: in training", apart=True),
        _judged(folded, LOOSE, "BN folded into W and b, at inference", affine, "affine map"),
    ]


def convolutional(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3.2: statistics run over batch and locations, one gamma and beta a feature map."""
    double = [_map_error(layer, "float64", *case) for case in _cases(MAPS)]
    fused = [_map_error(layer, "float32", *case) for case in _cases(MAPS, FUSED_EPSILONS)]
    measure = "outputs against NumPy's; outputs for shifted maps against shifted outputs"
    sentence = (
        "In {part}, outputs differ by at most {worst:.2g} from NumPy's, with statistics over batch "
        "and locations, and from themselves when maps are shifted, over {n} cases."
    )
    return [
        _judged(double, TIGHT, measure, sentence, "float64"),
        _judged(fused, LOOSE, measure, sentence, "fused float32"),
    ]


def _map_error(layer: Factory, dtype: str, shape: Shape, epsilon: float, rng: Random) -> float:
    """Largest error against Alg. 1 over batch and locations, and of shifts in either mode."""
    slope = np.arange(shape[2])[:, None]  # so that locations differ, which BN must not see
    x = (_inputs(rng, shape) + slope).astype(dtype)
    norm = _built(layer, rng, shape, epsilon, dtype=dtype, fused=dtype == "float32")
    if not norm.gamma.shape == norm.beta.shape == shape[-1:]:
        return np.inf
    gamma, beta = norm.gamma.numpy(), norm.beta.numpy()
    reference = algorithm_1(x.astype("float64"), gamma, beta, epsilon)
    errors = [_error(norm(x, training=True), reference)]
    for training in (False, True):
        outputs, of_shifted = (norm(maps, training=training) for maps in (x, _shifted(x)))
        errors.append(_error(of_shifted, _shifted(outputs)))
    return max(errors)


def bias_redundant(layer: Factory = batch_norm) -> list[Finding]:
    """Section 3.2: BN subtracts the bias of the linear map under it; beta does its work."""
    with_norm, without = [], []
    for shape, epsilon, rng in _cases(SHAPES):
        u, w = _linear_map(rng, shape)
        labels = rng.integers(0, UNITS, shape[:-1])
        norm = _built(layer, rng, (*shape[:-1], UNITS), epsilon)
        with_norm.append(_bias_gradient(partial(norm, training=True), u, w, labels))
        without.append(_bias_gradient(lambda x: x, u, w, labels))
    sentence = "With BN above it, a bias has |∂L/∂b| of at most {worst:.2g} over {n} cases."
    control = "Without BN the same bias has |∂L/∂b| of {worst:.2g} or more in {n} cases."
    measure, unit = "largest |∂L/∂b| of a bias", "gradient"
    return [
        _judged(with_norm, TIGHT, measure, sentence, "with BN", unit),
        _judged(without, APART, measure, control, "control: without BN", unit, apart=True),
    ]


def _bias_gradient(norm: Factory, u: np.ndarray, w: np.ndarray, labels: np.ndarray) -> float:
    """Largest |dL/db|, L the cross-entropy of softmax over sigmoid(norm(Wu + b))."""
    import tensorflow as tf

    def losses(b: Any) -> Any:
        logits = tf.sigmoid(norm(_linear(u, w) + b))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    mean = np.full(labels.shape, 1 / labels.size)
    _, gradient = _differentiate(losses, [np.linspace(-1, 1, UNITS)], mean)
    return float(np.abs(gradient).max())


def _cases(
    shapes: Sequence[Shape], epsilons: Sequence[float] = EPSILONS
) -> Iterator[tuple[Shape, float, Random]]:
    for shape, epsilon, seed in product(shapes, epsilons, SEEDS):
        yield shape, epsilon, np.random.default_rng(seed)


def _inputs(rng: Random, shape: Shape) -> np.ndarray:
    """Features with means and deviations of their own."""
    return rng.normal(rng.uniform(-3, 3, shape[-1]), rng.uniform(0.5, 3, shape[-1]), shape)


def _linear_map(rng: Random, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Inputs u of `shape` and weights W, of a dense map or of a 3×3 convolution."""
    w = rng.normal(size=(*(3,) * (len(shape) - 2), shape[-1], UNITS))
    return _inputs(rng, shape), w / np.sqrt(w[..., 0].size)


def _linear(u: Any, w: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(u, w) if len(w.shape) == 2 else tf.nn.conv2d(u, w, 1, "SAME")


def _shifted(maps: Any) -> np.ndarray:
    return np.roll(maps, (1, 2), axis=(1, 2))


def _built(layer: Factory, rng: Random, shape: Shape, epsilon: float, **arguments: Any) -> Any:
    """A layer with gamma and beta other than 1 and 0, which would hide errors in them."""
    norm = layer(**{"dtype": "float64", "momentum": 0.5, "epsilon": epsilon} | arguments)
    norm.build(shape)
    norm.gamma.assign(rng.uniform(0.5, 2, norm.gamma.shape))
    norm.beta.assign(rng.normal(size=norm.beta.shape))
    return norm


def _differentiate(
    function: Factory, points: Sequence[np.ndarray], d_y: np.ndarray, weights: Sequence[Any] = ()
) -> list[Any]:
    """y = function(*points), and from dl/dy the gradients of l for the points and the weights."""
    import tensorflow as tf

    points = [tf.constant(point) for point in points]
    with tf.GradientTape() as tape:
        tape.watch(points)
        y = function(*points)
    return [y, *tape.gradient(y, [*points, *weights], tf.constant(d_y))]


def _error(got: Any, expected: Any) -> float:
    """Largest difference, relative to the largest value expected; infinite instead of NaN."""
    got, expected = np.asarray(got, "float64"), np.asarray(expected, "float64")
    return float(np.nan_to_num(np.abs(got - expected).max() / np.abs(expected).max(), nan=np.inf))


def _judged(
    errors: Sequence[float],
    limit: float,
    measure: str,
    sentence: str,
    part: str = "",
    unit: str = "relative error",
    *,
    apart: bool = False,
    beside: bool = False,
) -> Finding:
    """Supported if the largest error is below the limit; with `apart`, if the smallest is above."""
    n, worst = len(errors), float(np.min(errors) if apart else np.max(errors))
    verdict = SUPPORTED if (limit < worst < np.inf if apart else worst < limit) else CONTRADICTED
    effect = Estimate(n, worst, np.nan, np.nan, np.nan)
    unit = f"{'smallest' if apart else 'largest'} {unit}"
    sentence = sentence.format(n=n, worst=worst, part=part)
    return Finding(part, measure, unit, effect, verdict, sentence, null=None, beside=beside)


EXACT: tuple[Claim, ...] = (
    Claim(
        "algorithm-1",
        "The gradients that the paper prints are those of the BN transform.",
        "§3, Alg. 1",
        f"Relative error against automatic differentiation; supported below {TIGHT:g}.",
        "",
        gradients,
        MATHEMATICS,
    ),
    Claim(
        "identity",
        "BN can represent the identity.",
        "§3",
        f"Relative error at γ = √(Var + ε), β = E[x]; supported below {LOOSE:g}.",
        "",
        identity,
        MATHEMATICS,
    ),
    Claim(
        "scale-invariance",
        "Scaling W by a > 0 changes neither BN(Wu) nor its gradient for u, and divides that for W "
        "by a.",
        "§3.3",
        f"Relative error at ε = 0, a from {SCALES[0]:g} to {SCALES[-1]:g}; supported below "
        f"{TIGHT:g}.",
        "",
        scale_invariance,
        MATHEMATICS,
    ),
    Claim(
        "population-statistics",
        "m/(m−1) times the mean batch variance is the variance of all data, without bias.",
        "§3.1, Alg. 2",
        f"Relative bias over all batches drawn with replacement; supported below {TIGHT:g}.",
        "",
        population_statistics,
        MATHEMATICS,
    ),
    Claim(
        "deterministic-inference",
        "At inference the output depends on the input alone, and BN is one affine map.",
        "§3.1",
        f"Relative difference between batches, and when folded into W and b; supported below "
        f"{LOOSE:g}. In training mode batches must differ by more than {APART:g}.",
        "",
        deterministic_inference,
        MATHEMATICS,
    ),
    Claim(
        "convolutional",
        "For feature maps, statistics run over batch and locations, with one γ and β a map.",
        "§3.2",
        f"Relative error against NumPy and under shifts; supported below {TIGHT:g} in float64, "
        f"{LOOSE:g} in fused float32.",
        "",
        convolutional,
        MATHEMATICS,
    ),
    Claim(
        "bias-redundant",
        "A bias under BN does nothing.",
        "§3.2",
        f"|∂L/∂b|; supported below {TIGHT:g}. Without BN it must be above {APART:g}.",
        "",
        bias_redundant,
        MATHEMATICS,
    ),
)
