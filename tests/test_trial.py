"""`bnexp trial`: resumed to the same bits, refused where it cannot be fair, told in plain words."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, environment
from scipy import stats
from synthetic import rising
from synthetic_trial import trial

import bnexp
from bnexp.analysis import load_runs
from bnexp.analysis.answers.trial import trial_answer
from bnexp.analysis.build import Options, _section, draw_sweep
from bnexp.analysis.pieces import _figure3
from bnexp.analysis.report import write_report
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, MIN_JUDGED, SUPPORTED
from bnexp.analysis.trial_words import sentences
from bnexp.analysis.trials import common_target, effects, scores_of
from bnexp.config import ConfigError
from bnexp.config.compose import compose_sweep, composed_sweep
from bnexp.folders import trials
from bnexp.folders.tables import PREDICTIONS
from bnexp.sweeps import trial_stage
from bnexp.sweeps.tuning import tune

TRIAL = "hydra/sweeper=trial"
TINY = ("model=mlp", "model.hidden=[8]", "optimizer=sgd", "trainer.steps=20", "data.val_size=100")
WORDS = (*TINY, "data.train_size=640", "trainer.eval_every=5", "trainer.batch_size=32")
SHORT = ("trial.tune=optimizer.lr=0.1,1", "trial.report_seeds=6", "trial.tune_seeds=1")


def found(*words: str):
    """The trials that words stand for."""
    with composed_sweep([*WORDS, TRIAL, *words]) as sweeper:
        return sweeper.trials(sweeper.arguments)


# ---- what is asked for ---------------------------------------------------------------------------


def test_by_default_rates_around_the_one_set_and_scales_of_the_weights_are_tuned():
    [one] = found("optimizer.lr=0.2")
    assert one.design.grid == {
        "optimizer.lr": (0.02, 0.06, 0.2, 0.6, 2.0),
        "init.scale": (0.5, 1.0, 2.0),
    }
    assert list(one.arms) == ["norm=none", "norm=batch"]
    assert not set(one.design.tune_seeds) & set(one.design.report_seeds)


def test_arms_need_not_be_normalizers_and_may_have_settings_of_their_own():
    words = ["model=mlp", TRIAL, "trial.arms=optimizer=sgd,adam", "trial.tune=optimizer.lr=0.1,1"]
    with composed_sweep(words) as sweeper:
        [one] = sweeper.trials(sweeper.arguments)
    assert list(one.arms) == ["optimizer=sgd", "optimizer=adam"]
    [one] = found('trial.arms=[norm=none,"norm=batch norm.momentum=0.5",norm=layer]')
    assert list(one.arms) == ["norm=none", "norm=batch norm.momentum=0.5", "norm=layer"]
    assert one.specimens["norm=batch norm.momentum=0.5"].norm["momentum"] == 0.5


def test_what_an_arm_does_not_have_is_not_tuned_for_it():
    [one] = found("trial.tune=optimizer.lr=0.1,1 norm.momentum=0.9,0.99")
    assert not one.has("norm=none", "norm.momentum")
    assert one.has("norm=batch", "norm.momentum")
    assert one.settings_of((0.1, 0.9), "norm=none") == {"optimizer.lr": 0.1}


def test_what_is_swept_beside_the_arms_is_a_trial_each():
    labels = [one.label for one in found("model.activation=sigmoid,relu")]
    assert labels == ["model.activation=sigmoid", "model.activation=relu"]


def test_a_presets_tuning_runs_are_shorter_and_record_nothing():
    configs = compose_sweep("experiment=fig1")
    assert {config.trainer.steps for config in configs} == {10000}
    assert {tuple(config.probes.record) for config in configs} == {()}
    assert {config.seed for config in configs} == {0, 1}
    assert len(configs) == 2 * 48 * 2


def stages(score, *words: str):
    """The titles of a trial's stages, with how much of its work lies behind and ahead of each."""
    with composed_sweep([*WORDS, TRIAL, *words]) as sweeper:
        [one] = sweeper.trials(sweeper.arguments)
        known: dict[tuple[str, str], float] = {}
        while True:
            tuning = tune(one.design, one.score(known), one.has, one.allowed)
            stage = trial_stage.stage([one], [tuning], known, sweeper.settings)
            work = [config.work * count for config, count in stage.ahead]
            yield trial_stage.title([one], [tuning]), stage.behind, sum(work)
            if not tuning.wanted:
                return
            known |= {(one.run_id(trying), "accuracy"): score(trying) for trying in tuning.wanted}


RUN = 20 * 32  # images that one of them trains on


def test_a_trials_stages_say_where_they_are_in_the_whole():
    told = list(stages(lambda one: 0.5, *SHORT))
    assert told == [
        ("stage 1 of 2, tuning optimizer.lr", 0, 12 * RUN),
        ("stage 2 of 2, report of what each arm chose, on fresh seeds", 4 * RUN, 0),
    ]


def test_grids_that_grow_and_runs_in_full_length_are_stages_too():
    best_at_the_edge = list(stages(lambda one: one.cell[0] / 1e6, *SHORT))
    assert best_at_the_edge[1][0] == "stage 1 of 2, tuning optimizer.lr beyond the grid's edge"
    assert best_at_the_edge[1][1:] == (4 * RUN, 12 * RUN)
    short = ("trial.tuning=trainer.steps=10", "trial.finalists=1")
    titles = [title for title, _, _ in stages(lambda one: 0.5, *SHORT, *short)]
    assert titles == [
        "stage 1 of 3, tuning optimizer.lr",
        "stage 2 of 3, tuning the best of each arm in full length",
        "stage 3 of 3, report of what each arm chose, on fresh seeds",
    ]


def test_what_timing_found_is_what_the_time_left_begins_with(monkeypatch):
    learned: dict[str, float] = {}

    def learn(config, seconds):
        learned[config.norm.kind] = seconds

    planned(monkeypatch, *SHORT, learn=learn)
    assert learned == pytest.approx({"none": 20 * 0.01 + 0.1, "batch": 20 * 0.01 + 0.1})


def test_arms_are_judged_at_multiples_of_the_baselines_choice_and_keep_their_predictions(tmp_path):
    words = ("trial.tune=optimizer.lr=0.1,0.3 init.scale=1,2", "trial.factors=optimizer.lr=1,5")
    keep = "trial.keep=trainer.predictions=true"
    made = bnexp.trial(*WORDS, *SHORT[1:], *words, keep, f"output_dir={tmp_path}")
    [part] = made.record["trials"][0]["parts"]
    chosen = part["arms"]["norm=none"]["chosen"]["optimizer.lr"]
    same, five = part["factors"]
    assert same["report"]["norm=none"] == part["arms"]["norm=none"]["report"]
    assert five["factor"] == 5
    assert five["chosen"]["optimizer.lr"] == pytest.approx(5 * chosen)
    runs = made.runs.runs
    ids = {Path(run).name: run for run in runs.index}
    for seed, run in five["report"]["norm=batch"].items():
        assert runs.loc[ids[run], "optimizer.lr"] == pytest.approx(5 * chosen)
        assert runs.loc[ids[run], "seed"] == int(seed)
    labels = ["", "norm=none", "norm=none, optimizer.lr × 5"]
    assert list(made.effects["at"].unique()) == labels
    kept = {Path(run).name for run in runs.index if (Path(run) / PREDICTIONS).is_file()}
    assert kept == {run for arm in part["arms"].values() for run in arm["report"].values()}
    beside = _figure3(made.runs)  # whatever else was tuned
    assert list(beside["arm"]) == ["none", "none", "batch", "batch"]
    assert list(beside["times the baseline"]) == pytest.approx([1, 5, 1, 5])
    assert set(beside["n"]) == {6}
    for run in kept:
        table = pd.read_csv(Path(ids[run]) / PREDICTIONS)
        probabilities = table.drop(columns="label").to_numpy()
        assert probabilities.shape == (10_000, 10)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-3)
        hits = (probabilities.argmax(1) == table["label"]).mean()
        assert hits == pytest.approx(runs.loc[ids[run], "test_accuracy"], abs=2e-3)  # ties, rounded


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trial.arms=norm=none"], "at least two arms"),
        (["trial.arms=norm=none,none"], "same settings"),
        (["trial.arms=[norm=batch,norm=batch norm.epsilon=0.001]"], "same settings"),
        (["trial.arms=banana"], "give words such as norm=none,batch"),
        (["trial.arms=norm=none,bathc"], "batch"),
        (["trial.report_seeds=[1,2,3]"], "must be fresh"),
        (["trial.report_seeds=[200,200]"], "each seed once"),
        (["trial.tune_seeds=0"], "trial.tune_seeds"),
        (["trial.tune=optimizer.lrr=0.1,1"], "optimizer.lr"),
        (["trial.tune=optimizer.lr=-1,1"], "above 0"),
        (["trial.tune={optimizer.lr:[]}"], "needs values"),
        (["trial.tune=norm=layer,batch"], "what the arms differ in"),
        (["trial.choose_by=acuracy"], "accuracy"),
        (["trial.choose_by=steps"], "needs trial.target"),
        (["trial.target=95"], "trial.target=95"),
        (["trial.budget=soon"], "give a time"),
        (["trial.budget=0min"], "give a time"),
        (["trial.matched=[other]"], "none of trial.parts"),
        (["trial.parts={narrow:{optimizer.lr:7}}"], "does not try"),
        (["trial.armz=norm=none,batch"], "trial.armz"),
        (["seed=3"], "trial.tune_seeds"),
        (["trial.tune=seed=1,2"], "seed is neither an arm nor tuned"),
        (["trial.bugdet=3min"], "did you mean 'trial.budget'"),
        (["norm=layer"], "said twice"),
        (["trial.tune=optimizer.lr=0.1,1", "optimizer.lr=0.3"], "said twice"),
        (["trial.tuning=trainer.stepz=3"], "trainer.steps"),
        (["trial.factors=optimizer.lr=-2"], "numbers above 0"),
        (["trial.factors=init.stddev=2"], "not tuned over several numbers"),
        (
            ["trial.tune=model.dropout=0.1,0.3", "trial.factors=model.dropout=5"],
            "model.dropout=1.5 is out of range for norm=none",
        ),
        (["trial.keep=trainer.steps=7"], "would change the run"),
        (["trial.keep=predictions=true"], "trainer.predictions"),
    ],
)
def test_what_cannot_be_fair_or_meant_is_refused_in_a_line(words, told):
    with pytest.raises(ConfigError) as refused:
        found(*words)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


# ---- the plan ------------------------------------------------------------------------------------


def planned(monkeypatch, *words: str, step: float = 0.01, **others):
    """The plan where a step takes so many seconds."""

    class Two:
        processes = 2

    with composed_sweep([*WORDS, TRIAL, *words]) as sweeper:
        from bnexp.sweeps import trial_plan

        cost = trial_plan.Cost(start=1, step=step, evaluation=0, recording=0)
        monkeypatch.setattr(trial_plan, "measured", lambda configs, _: dict.fromkeys(configs, cost))
        trials_found = sweeper.trials(sweeper.arguments)
        return trial_plan.planned(trials_found, sweeper.settings, Two(), **others)


def test_the_plan_counts_runs_and_their_time(monkeypatch):
    plan, load, _ = planned(monkeypatch)
    assert (load.tuning, load.report) == (2 * 15 * 2, 2 * 10)
    assert load.seconds == pytest.approx(2 * 1 + 80 * (20 * 0.01 + 0.1) / 2)
    assert (plan.notes, plan.designs[0].limit) == ([], None)


def test_a_budget_makes_seeds_and_then_grids_smaller(monkeypatch):
    plan, load, _ = planned(monkeypatch, "trial.budget=12s")
    assert load.seconds <= 12
    assert len(plan.designs[0].report_seeds) == 6
    plan, load, _ = planned(monkeypatch, "trial.budget=20")
    assert load.runs <= 20
    assert len(plan.designs[0].tune_seeds) == 1
    assert plan.designs[0].limit is not None
    assert plan.notes


def test_a_budget_too_small_for_one_combination_an_arm_is_refused(monkeypatch):
    for budget in ("13", "3s"):
        with pytest.raises(ConfigError, match="too small: one combination an arm and 6 report"):
            planned(monkeypatch, f"trial.budget={budget}")


# ---- what came out -------------------------------------------------------------------------------


def better(size: float, noise: float = 0.002):
    def curve(arm: str, seed: int):
        drawn = np.random.default_rng([seed, len(arm)]).normal()
        return rising(0.93 + size * (arm == "norm=batch") + noise * drawn)

    return curve


@pytest.mark.parametrize(
    ("size", "verdict", "word"),
    [(0.02, SUPPORTED, "more accurate"), (-0.02, CONTRADICTED, "less accurate"), (0, "", "")],
)
def test_effects_are_those_of_scipy(size, verdict, word):
    record, runs = trial(better(size))
    table = effects(record, runs)
    row = table[table["measure"] == "accuracy"].iloc[0]
    ours, theirs = (
        runs.runs[runs.runs["norm.kind"] == kind].sort_values("seed")["test_accuracy"]
        for kind in ("batch", "none")
    )
    difference = 100 * (ours.to_numpy(float) - theirs.to_numpy(float))
    low, high = stats.t.interval(0.95, 9, loc=difference.mean(), scale=stats.sem(difference))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["n"] == 10
    if verdict:
        assert row["verdict"] == verdict
        assert word in "\n".join(sentences(record, table))


def test_diverged_runs_count_as_chance_and_are_told():
    flat = rising(0.9)
    record, runs = trial(lambda arm, seed: None if arm == "norm=none" and seed < 103 else flat)
    row = effects(record, runs).iloc[0]
    assert row["baseline_diverged"] == 3
    assert row["baseline_value"] == pytest.approx((3 * 0.1 + 7 * 0.9) / 10)
    assert "diverged, counted as chance: 0 against 3" in "\n".join(
        sentences(record, effects(record, runs))
    )


def test_a_trial_whose_every_run_diverges_says_so():
    record, runs = trial(lambda arm, seed: None, target=None)
    told = "\n".join(sentences(record, effects(record, runs)))
    assert "every run diverged" in told
    assert scores_of(runs, None)["r0", "accuracy"] == 0.1


def test_few_seeds_give_no_verdict():
    record, runs = trial(better(0.05), seeds=range(100, 99 + MIN_JUDGED))
    table = effects(record, runs)
    assert (table["verdict"] == INCONCLUSIVE).all()
    assert f"{MIN_JUDGED} fresh seeds" in "\n".join(sentences(record, table))


def test_more_arms_are_all_compared_with_the_first_after_holm():
    arms = ("norm=none", "norm=batch", "norm=layer", "norm=rms")
    record, runs = trial(better(0.02), arms=arms)
    table = effects(record, runs)
    accuracy = table[table["measure"] == "accuracy"]
    assert list(accuracy["arm"]) == list(arms[1:])
    assert (accuracy["p_holm"] >= accuracy["p_t"]).all()
    assert accuracy.iloc[0]["verdict"] == SUPPORTED
    assert accuracy.iloc[0]["p_holm"] == pytest.approx(3 * accuracy.iloc[0]["p_t"])


def test_edges_and_targets_are_told():
    record, runs = trial(better(0.02), edges={"optimizer.lr": "highest"})
    told = "\n".join(sentences(record, effects(record, runs)))
    assert "optimizer.lr=0.1 (the highest tried)" in told
    assert "steps to 90% validation accuracy" in told


def told_of(record, runs) -> str:
    return "\n".join(sentences(record, effects(record, runs)))


def test_a_trial_in_which_nothing_learned_has_no_verdict():
    told = told_of(
        *trial(lambda arm, seed: rising(0.1 + 0.01 * (arm == "norm=batch")), target=None)
    )
    assert "→ no verdict: neither norm=batch nor norm=none learned much more than to guess" in told
    assert "could be told" not in told


@pytest.mark.parametrize("best", [0.15, 0.16])
def test_an_arm_that_learned_with_no_combination_is_told(best):
    """A grid grows from a best value, and has none where nothing learns."""
    record, runs = trial(better(0.02))
    none, batch = record["trials"][0]["parts"][0]["arms"].values()
    none["tried"] = [{"score": 0.1}, {"score": best}, {"score": None}]
    batch["tried"] = [{"score": 0.9}, {"score": 0.1}]
    told, answer = told_of(record, runs), trial_answer(record, runs).headline
    words = (
        "both tuned alike; none of the 3 combinations tried with {} learned much more than to guess"
    )
    assert (words.format("norm=none") in told) == (best <= 0.15)
    assert (words.format("no normalization") in answer) == (best <= 0.15)
    assert told.count("combinations tried") == (best <= 0.15)


def test_arms_with_one_combination_were_not_tuned():
    record, runs = trial(better(0.02))
    assert "norm=none, both tuned alike" in told_of(record, runs)
    for arm in record["trials"][0]["parts"][0]["arms"].values():
        arm["tried"] = [{"optimizer.lr": 0.1}]
    record["plan"]["notes"] = ["1 tuning seed, to fit the budget"]
    told = told_of(record, runs)
    assert "tuned alike" not in told
    assert "norm=none, neither of them tuned" in told
    assert "chose optimizer.lr=0.1, the only combination tried" in told
    assert told.endswith("smaller: 1 tuning seed, to fit the budget")


def test_a_target_that_is_never_reached_is_no_measurement():
    told = told_of(*trial(lambda arm, seed: rising(0.8), target=0.95))
    assert "validation accuracy: most runs did not get there, 10 and 10 of 10" in told
    assert "times as fast" not in told
    made = trial(lambda arm, seed: rising(0.96 if seed < 104 else 0.8), target=0.9)
    assert "most runs did not get there, 6 and 6 of 10" in told_of(*made)
    some = told_of(
        *trial(lambda arm, seed: rising(0.96 if arm == "norm=batch" else 0.8), target=0.9)
    )
    assert ": at least " in some
    assert "never there, counted as the whole run: 0 against 10" in some


def test_evaluations_too_far_apart_are_told():
    def early(arm: str, seed: int) -> list[float]:
        return [0.95] * 10

    assert "evaluated too rarely to tell finer (trainer.eval_every)" in told_of(*trial(early))
    often = told_of(*trial(lambda arm, seed: [0.1] * 40 + [0.95] * 5))
    assert "too rarely" not in often


def test_one_seed_has_no_interval():
    told = told_of(*trial(better(0.02), seeds=[100]))
    assert "(one seed has no interval)" in told
    assert "on 1 fresh seed:" in told
    assert "nan" not in told


def test_both_kinds_of_p_are_told_apart():
    told = told_of(*trial(better(0.02)))
    assert "(t test), 0.002 (sign flips)" in told
    assert "would be seen in 80% of such trials" in told


def test_the_judged_runs_of_a_seed_follow_one_another():
    """So that a busy machine slows all arms alike."""
    with composed_sweep([*WORDS, TRIAL, *SHORT]) as sweeper:
        from bnexp.sweeps.trial import Report
        from bnexp.sweeps.tuning import tune

        [one] = sweeper.trials(sweeper.arguments)
        tuning = tune(one.design, lambda *_: 0.5, one.has, one.allowed)
        wanted = Report(one, tuning, sweeper.settings).wanted
    pairs = [(trying.seed, trying.arm) for trying in wanted]
    assert pairs == [(seed, arm) for seed in range(100, 106) for arm in ("norm=none", "norm=batch")]


def test_commas_in_a_trials_settings_make_a_list():
    from bnexp.run import _quoted

    assert _quoted("trial.choose_by=accuracy,loss") == "trial.choose_by=[accuracy,loss]"
    assert _quoted("trial.report_seeds=200,201") == "trial.report_seeds=[200,201]"
    assert _quoted("trial.arms=norm=none,batch") == 'trial.arms="norm=none,batch"'
    for word in ("trial.choose_by=[accuracy,loss]", "trial.budget=3min", "optimizer.lr=1,2"):
        assert _quoted(word) == word


def test_the_target_is_what_all_arms_that_learn_reach():
    _, runs = trial(lambda arm, seed: rising(0.955 if arm == "norm=batch" else 0.94), seeds=[0])
    assert common_target(runs, [["r0"], ["r1"]]) == 0.94
    _, runs = trial(lambda arm, seed: rising(0.955 if arm == "norm=batch" else 0.11), seeds=[0])
    assert common_target(runs, [["r0"], ["r1"]]) == 0.95
    _, runs = trial(lambda arm, seed: rising(0.1), seeds=[0])
    assert common_target(runs, [["r0"], ["r1"]]) is None


# ---- for real ------------------------------------------------------------------------------------


def command(folder: Path, npz: Path, *words: str) -> list[str]:
    data = (
        *SMALL,
        *SHORT,
        f"output_dir={folder}",
        "trainer.steps=40",
        "trainer.checkpoint_every=5",
    )
    return [sys.executable, "-m", "bnexp", "trial", *data, "data=npz", f"data.path={npz}", *words]


def result(folder: Path) -> dict[str, object]:
    """trial.json, and every history less its seconds."""
    read = {
        path.parent.name: [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]
        for path in folder.rglob("history.csv")
    }
    return {"trial": (folder / "trial" / trials.FILE).read_text(), **read}


def test_a_trial_that_is_killed_five_times_ends_as_one_that_is_not(tmp_path, npz):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        command(whole, npz), cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "plan: 2 arms × 2 combinations" in done.stdout
    assert "against norm=none" in done.stdout
    kills = 0
    while kills < 5:
        process = subprocess.Popen(
            command(killed, npz),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        began, count = time.monotonic(), len(list(killed.rglob("result.json")))
        while process.poll() is None and time.monotonic() - began < 60:
            if len(list(killed.rglob("result.json"))) > count + kills % 3:
                break
            time.sleep(0.05)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    last = subprocess.run(
        command(killed, npz), cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert last.returncode == 0, last.stderr
    assert kills >= 3
    assert result(killed) == result(whole)

    loaded = load_runs(whole / "trial")
    for part in ("figures", "tables"):
        (tmp_path / part).mkdir()
    drawn = draw_sweep(loaded, "trial", tmp_path, Options(formats=("svg",)))
    section = _section("trial", loaded, drawn)
    page = write_report(tmp_path, loaded, [section], pd.DataFrame(), [], "").read_text()
    assert drawn["answer"]["headline"] in page
    assert "norm=batch against norm=none" in "\n".join(drawn["trial"])
    assert "could tell" in (tmp_path / "tables" / "trial_trial.md").read_text()

    other = subprocess.run(
        command(whole, npz, "trainer.batch_size=30"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert other.returncode == 2
    assert "trainer.batch_size" in other.stderr
    assert "name=" in other.stderr
    assert json.loads(result(whole)["trial"])["trials"]  # nothing was overwritten
