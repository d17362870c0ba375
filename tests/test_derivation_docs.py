"""What docs/results.md says of four presets on mechanisms is what the runs and the table say."""

import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from derived import (
    COMMITTED,
    FIRST_REPORT_SEED,
    PAGE,
    arms,
    committed_claims,
    effect_in_words,
    norm_of,
    population_loss,
    probed,
    row_in_words,
    setting,
    stands,
    with_tables,
)
from scipy import optimize, stats

WEIGHTS, GRADIENT = "large-weights-small-gradients", "normalize-inside-gradient"
SWEEPS = ["weight_scale", "outside_gradient", "momentum", "jacobian"]
LARGEST_CONDITION = 1 / np.finfo(np.float64).eps  # that float64 can tell from none
CLAIMS = committed_claims()
JUDGED = CLAIMS[CLAIMS["sweep"].isin(SWEEPS)].set_index(["claim", "part"])


def tuning_at(runs: pd.DataFrame, key: str, rate: float) -> dict[str, pd.DataFrame]:
    """By arm the tuning runs at one rate."""
    here = runs[(runs.index < FIRST_REPORT_SEED) & (runs["lr"] == rate)]
    return dict(list(here.groupby(setting(here, key))))


def evaluated(runs: pd.DataFrame, name: str, step: int) -> float:
    """Mean over runs."""
    return runs["history"].map(lambda one: one.loc[one["step"] == step, name].item()).mean()


def singular(runs: pd.DataFrame, step: int = 10000) -> float:
    """Median |log s|, mean over layers and runs."""
    return probed(runs, "median_abs_log", step).mean(axis=None)


def of_a_gaussian_matrix() -> float:
    """Median |log s| of a large square one by the quarter-circle law, its columns of length 1."""
    law = stats.semicircular(scale=2)  # of s and of -s
    return optimize.brentq(lambda m: 2 * (law.cdf(np.exp(m)) - law.cdf(np.exp(-m))) - 0.5, 0.1, 1)


def told(claim: str, part: str, digits: int = 2) -> str:
    return row_in_words(JUDGED.loc[claim, part], digits)


def test_docs_have_the_number_of_runs_of_every_sweep():
    sweeps = pq.read_table(COMMITTED / "runs.parquet", columns=["sweep"]).to_pandas()["sweep"]
    for sweep, count in sweeps.value_counts().items():
        assert re.search(rf"`{sweep}` \({count:,} runs[,)]", PAGE), (sweep, count)


def test_docs_have_every_primary_and_every_contradicted_part():
    units = {"exponent": "exponent {}", "nats": "{} nats"}
    for (claim, part), row in JUDGED[JUDGED["primary"].astype(bool)].iterrows():
        name = f"{claim}: {part}" if part else claim
        effect = units[row["unit"]].format(row_in_words(row, digits=3))
        stands(f"| {name} | {effect} | {row['verdict_holm']} |")
    for _, row in JUDGED[JUDGED["verdict"] == "contradicted"].iterrows():
        stands(row_in_words(row, digits=3 if row["primary"] else 2))


def test_what_docs_say_of_large_weights_is_what_the_runs_say():
    powers = {}
    for arm, mine in with_tables("weight_scale").groupby("arm"):
        scales = [one for _, one in mine.groupby("scale")]
        weights, gradients = (
            [np.log(probed(one, name, 0)) for one in scales]
            for name in ("weight_norm", "gradient_norm")
        )
        powers[arm] = [
            ((gradients[i + 1] - gradients[i]) / (weights[i + 1] - weights[i])).mean()
            for i in (0, 1)
        ]
        tests = [f"{one['test'].mean():.2%}" for one in scales]
        stands(f"{tests[0]}, {tests[1]} and {tests[2]} with{' BN' if arm == 'batch' else 'out'}")
    less, more = powers["batch"]
    stands(f"{less.mean():.3f} from 1 to 10 and {more.mean():.4f} from 10 to 100")
    less, more = powers["none"]
    stands(f"{less[1]:+.2f} in the first layer from 1 to 10, {more[3]:.2f} in the third from 10")
    of = {part: told(WEIGHTS, part, 3) for part in ("none", "batch, ‖W‖", "none, ‖W‖")}
    stands(f"{of['none']} over all", f"(log2 {of['batch, ‖W‖']})", of["none, ‖W‖"])


def test_what_docs_say_of_rates_outside_the_gradient_is_what_the_runs_say():
    mine = with_tables("outside_gradient")
    of = arms(mine, "norm.gradient")
    loss = {arm: f"{one['loss'].mean():.3f}" for arm, one in of.items()}
    rate = {arm: f"{one['lr'].iloc[0]:g}" for arm, one in of.items()}
    less = told(GRADIENT, "through neither μ nor σ, loss", 3)
    stands(
        f"{loss['full']} with the full gradient (rate {rate['full']}), {loss['no_mean']} without "
        f"that through μ ({rate['no_mean']}), and {loss['none']} without either ({rate['none']}; "
        f"{less})",
        f"not what tuned rates show: the loss is lower without either gradient than without that "
        f"through μ alone, {effect_in_words(of['none']['loss'] - of['no_mean']['loss'], 3)}",
    )
    slow, fast = (tuning_at(mine, "norm.gradient", rate) for rate in (0.003, 0.3))
    at_same = {arm: f"{one['loss'].mean():.3f}" for arm, one in slow.items()}
    stands(
        f"At the same rate of 0.003 test loss is {at_same['full']} with the full gradient, "
        f"{at_same['no_mean']} without that through μ and {at_same['none']} without either"
    )
    train, validation = (
        {arm: evaluated(one, name, 10000) for arm, one in fast.items()}
        for name in ("train_loss", "val_loss")
    )
    stands(
        f"ends at {train['no_mean']:.3f} (full gradient: {train['full']:.3f})",
        f"ends at {validation['no_mean']:.2f} ({validation['full']:.3f})",
    )
    start, end = (evaluated(of["no_mean"], "train_loss", step) for step in (1000, 10000))
    stands(f"from {start:.2f} at step 1,000 to {end:.2f}, as the weights learn")


def test_what_docs_say_of_the_biases_outside_the_gradient_is_what_the_runs_say():
    of = arms(with_tables("outside_gradient"), "norm.gradient")
    assert norm_of(probed(of["full"], "bias_norm", 10000)).max() < 1e-5  # rounding
    first, both = "no gradient through μ, ‖b‖", "through neither μ nor σ, ‖b‖"
    stands(f"‖b‖ grows by log2 {told(GRADIENT, first)} and {told(GRADIENT, both)};")
    start, early, half, end = (
        norm_of(probed(of["none"], "bias_norm", step)) for step in (0, 1000, 5000, 10000)
    )
    stands(
        f"by {(end - half).mean():.2f} in the last half of the steps and by "
        f"{(half - start).mean():.2f} in the first, {told(GRADIENT, f'{both}, last half')}",
        f"to the power of {effect_in_words(np.log10(end / early))[1:]}",
        f"the part is supported, {told(GRADIENT, f'{first}, last half')}",
    )
    early, end = (norm_of(probed(of["no_mean"], "bias_norm", step)) for step in (1000, 10000))
    stands(f"the power is {effect_in_words(np.log10(end / early))[1:]}")
    weights, slopes = (
        [norm_of(probed(of["none"], name, step)).mean() for step in (0, 1000, 10000)]
        for name in ("weight_norm", "gradient_norm")
    )
    stands(
        f"from {weights[1]:.1f} to {weights[2]:.1f}",
        f"from {slopes[1]:.2f} to {slopes[2]:.2f} ({slopes[0]:.2f} at the start)",
    )


def test_what_docs_say_of_moving_averages_is_what_the_runs_say():
    mine = with_tables("momentum")
    by_decay = dict(list(mine.groupby(setting(mine, "norm.momentum"))))
    own = {decay: population_loss(one, "batch", 500) for decay, one in by_decay.items()}
    assert all(one.equals(own[0.5]) for one in own.values())  # training knows of no averages
    slow = by_decay[0.999]
    accuracy = {decay: evaluated(one, "val_accuracy", 500) for decay, one in by_decay.items()}
    gap = {
        (decay, step): population_loss(one, "population", step).mean()
        - population_loss(one, "batch", step).mean()
        for decay, one in by_decay.items()
        for step in (100, 3000)
    }
    of = [told("moving-average-lag", f"decay {decay}", 3) for decay in (0.5, 0.9, 0.99)]
    half_lives = [np.log(0.5) / np.log(decay) for decay in (0.999, 0.99)]
    stands(
        f"is {own[0.5].mean():.3f} in all four",
        f"it is {population_loss(slow, 'population', 500).mean():.3f} at 0.999, and accuracy is "
        f"{accuracy[0.999]:.1%}, where it is {accuracy[0.5]:.1%} at 0.5",
        f"of which {0.999**500:.0%} is left after 500 steps at 0.999 and {0.99**500:.1%} at 0.99: "
        f"half-lives are {half_lives[0]:.0f} and {half_lives[1]:.0f} steps",
        f"{of[0]} at 0.5, {of[1]} at 0.9, {of[2]} at 0.99",
        f"At 0.99 the difference was {gap[0.99, 100]:.2f} at step 100, and is gone at step 3,000, "
        f"{gap[0.99, 3000]:.3f}; at 0.999 it is still {gap[0.999, 3000]:.3f} there",
        f"accuracy {evaluated(slow, 'val_accuracy', 3000):.1%}, where it is "
        f"{evaluated(by_decay[0.5], 'val_accuracy', 3000):.1%} at 0.5",
    )


def test_what_docs_say_of_singular_values_is_what_the_runs_say():
    of = arms(with_tables("jacobian"), "norm")
    batch, none = of["batch"], of["none"]
    stands(
        f"({batch['lr'].iloc[0]:g} with BN, {none['lr'].iloc[0]:g} without)",
        f"with BN is {singular(batch):.2f}, a factor of {np.exp(singular(batch)):.1f} from 1",
        f"it is {singular(batch, 0):.3f}, within the bound",
        f"the {of_a_gaussian_matrix():.2f} of any large square matrix",
        f"It is {singular(batch, 2000):.2f} by step 2,000",
        f"further from 1, {probed(none, 'median_abs_log', 10000).mean(axis=1).median():.2f}, log2 "
        f"{told('jacobian', 'against none')}",
        f"(log2 {told('jacobian', 'at the start, against none')})",
    )
    rates = (0.03, 0.1, 0.3, 1, 3, 10)
    at = [tuning_at(with_tables("jacobian"), "norm", rate) for rate in rates]
    ends = [f"{singular(one['batch']):.2f}" for one in at]
    right = [one["batch"]["validation"].mean() for one in at]
    stands(
        f"{', '.join(ends[:-1])} and {ends[-1]} in the end for 0.03, 0.1, 0.3, 1, 3 and 10",
        f"with {min(right):.1%} to {max(right):.1%} validation accuracy",
        f"at the same rate of 0.3, {singular(at[2]['none']):.2f}",
    )


def test_what_docs_say_of_condition_numbers_is_what_the_runs_say():
    of = arms(with_tables("jacobian"), "norm")
    start, end = (
        {arm: probed(one, "condition", step) for arm, one in of.items()} for step in (0, 10000)
    )
    missing = end["none"].isna()
    assert list(missing.sum()) == [2, 0] and not end["batch"].isna().any(axis=None)
    left_out = np.log2(end["none"].mean(axis=1) / end["batch"].mean(axis=1))
    end["none"] = end["none"].fillna(LARGEST_CONDITION)
    early, late = (
        {arm: f"{one.mean(axis=1).median():.3g}" for arm, one in there.items()}
        for there in (start, end)
    )
    stands(
        f"even lower without BN, {early['none']} against {early['batch']}, log2 "
        f"{told('jacobian', 'at the start, condition')}",
        f"it is {late['batch']} with BN and {late['none']} without (medians), log2 "
        f"{told('jacobian', 'condition')}".replace("e+0", "e").replace("e+", "e"),
        f"which counts as {LARGEST_CONDITION:.1e}".replace("e+", "e"),
        f"were not there: log2 {effect_in_words(left_out)}, the same verdict",
    )
