"""The settings `trial.*`, and the words in which they are given."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Annotated, Any, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString, Transformer
from hydra.errors import HydraException

from bnexp.config.checking import checked
from bnexp.config.errors import ConfigError, nearest
from bnexp.config.explain import explain
from bnexp.config.identity import OPERATIONAL
from bnexp.config.types import Count, In, NotEmpty
from bnexp.config.written import assignment
from bnexp.sweeps.tuning import Value

ACCURACY, LOSS, STEPS = CRITERIA = ("accuracy", "loss", "steps")
FIRST_REPORT_SEED = 100
Seed = Annotated[int, In("[0, 1e9]")]
Words = tuple[str, ...]
Seeds = Count | Annotated[list[Seed], NotEmpty()]
Fraction = Annotated[float, In("(0, 1)")]
UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class TrialSettings:
    """What a trial is asked for.

    Args:
        arms: what is compared, the baseline first: "norm=none,batch", or a list with one entry an
            arm: ["norm=none", "norm=batch norm.momentum=0.9"].
        tune: the nuisance settings, which every arm is tuned over alike: {optimizer.lr: [0.1, 1]},
            or in words: "optimizer.lr=0.1,1 init.scale=1,2"; null: learning rates from a tenth to
            ten times the one set, and weights of half, once and twice the usual size (where the
            network does not draw its weights itself).
        parts: sub-grids that are judged each by itself: name to the settings that are fixed there,
            {tuned: {}, as_published: {init.scale: 1}}; null: the whole grid alone.
        choose_by: what each arm chooses its combination by, on the validation images: accuracy
            (at the end), loss (at the end), steps (to the target); or several, each of which
            chooses and is judged for itself.
        target: validation accuracy whose steps and seconds are counted; null: the highest full
            percent that the chosen combination of every arm that learns reached while tuning.
        tune_seeds: seeds of the tuning runs: a list, or how many (0, 1, ...).
        report_seeds: seeds of the runs that are judged: a list, or how many (100, 101, ...).
        tuning: settings of tuning runs alone, as {trainer.steps: 1000}, where shorter runs stand
            for full ones.
        finalists: where `tuning` is given, so many of an arm's best combinations are run in full
            length before it chooses.
        halving: drop the worse half of each arm's combinations after each tuning seed.
        matched: judge also all arms with the combination that each arm chose: true, or the parts
            in which.
        factors: judge also all arms with what the baseline chose, but one of its settings so many
            times as large: {optimizer.lr: [1, 5, 30]}, or in words.
        keep: what the runs that judge each arm's own choice keep beside, as
            {trainer.save_model: true, trainer.predictions: true}, or in words.
        budget: what the trial may take, as 90min, 2h, or so many runs; the grid and the seeds
            are made smaller to fit.
    """

    arms: str | Annotated[list[str], NotEmpty()] = "norm=none,batch"
    tune: str | dict[str, Any] | None = None
    parts: dict[str, Any] | None = None
    choose_by: str | Annotated[list[str], NotEmpty()] = ACCURACY
    target: Fraction | None = None
    tune_seeds: Seeds = 2
    report_seeds: Seeds = 10
    tuning: dict[str, Any] | str | None = None
    finalists: Count = 5
    halving: bool = False
    matched: bool | list[str] = False
    factors: dict[str, Any] | str | None = None
    keep: dict[str, Any] | str | None = None
    budget: str | Count | None = None

    def __post_init__(self) -> None:
        tuning, report = self.seeds
        if both := sorted(set(tuning) & set(report)):
            raise ConfigError(
                f"trial.report_seeds: {', '.join(map(str, both))} would tune and judge at once; "
                "the judging seeds must be fresh"
            )
        for name, seeds in (("tune_seeds", tuning), ("report_seeds", report)):
            if len(set(seeds)) < len(seeds):
                raise ConfigError(f"trial.{name}: each seed once")
        for word in self.criteria:
            if word not in CRITERIA:
                known = ", ".join(CRITERIA)
                hint = nearest(word, CRITERIA)
                raise ConfigError(f"trial.choose_by={word} is not one of {known}{hint}")
        if STEPS in self.criteria and self.target is None:
            raise ConfigError("trial.choose_by=steps needs trial.target, an accuracy as 0.95")

    @property
    def seeds(self) -> tuple[list[int], list[int]]:
        """Those that tune, and those that judge."""
        tune, report = self.tune_seeds, self.report_seeds
        return (
            list(range(tune)) if isinstance(tune, int) else list(tune),
            list(range(FIRST_REPORT_SEED, FIRST_REPORT_SEED + report))
            if isinstance(report, int)
            else list(report),
        )

    @property
    def criteria(self) -> list[str]:
        """As a list."""
        return [self.choose_by] if isinstance(self.choose_by, str) else list(self.choose_by)

    @property
    def arm_words(self) -> list[tuple[str, ...]]:
        """The overrides of each arm.

        Raises:
            ConfigError: fewer than two, or words that cannot be read.
        """
        entries = [self.arms] if isinstance(self.arms, str) else self.arms
        arms = [
            arm
            for entry in entries
            for arm in product(
                *([assignment(k, v) for v in vs] for k, vs in spelled(entry, "arms").items())
            )
        ]
        if len(arms) < 2:
            raise ConfigError(f"trial.arms={self.arms}: a trial needs at least two arms")
        return arms

    @property
    def grid(self) -> dict[str, tuple[Value, ...]] | None:
        """The nuisance settings; None: the default is wanted."""
        if self.tune is None:
            return None
        grid = spelled(self.tune, "tune") if isinstance(self.tune, str) else _mapping(self.tune)
        for key, values in grid.items():
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"trial.tune: {key} needs values, each once")
        return grid

    @property
    def short(self) -> Words:
        """The overrides of tuning runs."""
        return _overrides(self.tuning, "tuning")

    @property
    def kept(self) -> Words:
        """The overrides of judged runs that say what they keep.

        Raises:
            ConfigError: one that would make another run of it.
        """
        words = _overrides(self.keep, "keep")
        for word in words:
            group, _, key = word.partition("=")[0].rpartition(".")
            if group != "trainer" or key not in OPERATIONAL:
                raise ConfigError(
                    f"trial.keep: {word} would change the run; what a run may keep is "
                    "trainer.save_model, trainer.predictions, trainer.profile, trainer.tensorboard"
                )
        return words

    @property
    def multiples(self) -> list[tuple[str, float]]:
        """Settings and the factors on what the baseline chose.

        Raises:
            ConfigError: a factor that is no number above 0.
        """
        given = self.factors or {}
        found = spelled(given, "factors") if isinstance(given, str) else _mapping(given)
        pairs = [(key, factor) for key, values in found.items() for factor in values]
        for key, factor in pairs:
            if isinstance(factor, bool) or not isinstance(factor, int | float) or factor <= 0:
                raise ConfigError(f"trial.factors: {key} times {factor}: give numbers above 0")
        return pairs

    @property
    def sub_grids(self) -> dict[str, dict[str, Value]]:
        """What each part fixes."""
        if not self.parts:
            return {"tuned": {}}
        return {
            name: {key: value for key, (value,) in _mapping(fixed or {}, lists=False).items()}
            for name, fixed in self.parts.items()
        }

    def is_matched(self, part: str) -> bool:
        """Whether arms are judged with each other's choices too."""
        return self.matched if isinstance(self.matched, bool) else part in self.matched

    @property
    def budget_runs(self) -> int | None:
        """The budget, where it is a number of runs."""
        text = str(self.budget)
        return int(text) if text.isdigit() else None

    @property
    def budget_seconds(self) -> float | None:
        """The budget, where it is a time.

        Raises:
            ConfigError: it is neither a time nor a number of runs.
        """
        if self.budget is None or self.budget_runs is not None:
            return None
        found = re.fullmatch(r"([0-9]*\.?[0-9]+) *([a-z]+)", str(self.budget))
        if not found or found[2] not in UNITS or not float(found[1]):
            raise ConfigError(
                f"trial.budget={self.budget}: give a time, as 90min or 2h, or a number of runs"
            )
        return float(found[1]) * UNITS[found[2]]


def read_settings(given: Mapping[str, Any]) -> TrialSettings:
    """The settings from plain values.

    Raises:
        ConfigError: an unknown key, another type, a value out of range.
    """
    known = [item.name for item in fields(TrialSettings)]
    hints = get_type_hints(TrialSettings, include_extras=True)
    for key in given:
        if key not in known:
            raise unknown_setting(key)
    found = TrialSettings(
        **{key: checked(f"trial.{key}", value, hints[key]) for key, value in given.items()}
    )
    _ = found.budget_seconds, found.kept, found.multiples
    return found


def unknown_setting(key: str) -> ConfigError:
    """What is said of a key that `TrialSettings` does not have."""
    names = [f"trial.{item.name}" for item in fields(TrialSettings)]
    return ConfigError(f"unknown key 'trial.{key}'{nearest(f'trial.{key}', names)}")


def spelled(text: str, setting: str) -> dict[str, tuple[Value, ...]]:
    """Words of the command line, "optimizer.lr=0.1,1 init.scale=2", as key to values.

    Raises:
        ConfigError: they cannot be read.
    """
    parser = OverridesParser.create()
    found: dict[str, tuple[Value, ...]] = {}
    for word in _words(text, setting):
        try:
            override = parser.parse_override(word)
            if override.is_sweep_override():
                values = list(override.sweep_iterator(Transformer.identity))
            else:
                values = [override.value()]
        except (HydraException, ValueError) as error:
            raise ConfigError(f"trial.{setting}: {explain(error)}") from error
        found[override.key_or_group] = tuple(_plain(value) for value in values)
    return found


def _overrides(given: Mapping[str, Any] | str | None, setting: str) -> Words:
    """Overrides from a mapping or words, one value each."""
    pairs = (
        spelled(given, setting)
        if isinstance(given, str) and given
        else _mapping(given or {}, lists=False)
    )
    return tuple(assignment(key, values[0]) for key, values in pairs.items())


def _words(text: str, setting: str) -> list[str]:
    """Split at spaces that stand in no quotes or brackets."""
    words = re.findall(r"""(?:[^\s'"\[{]|'[^']*'|"[^"]*"|\[[^]]*\]|\{[^}]*\})+""", text)
    if not words or not all("=" in word for word in words):
        raise ConfigError(f"trial.{setting}={text}: give words such as norm=none,batch")
    return words


def _mapping(given: Mapping[str, Any], *, lists: bool = True) -> dict[str, tuple[Value, ...]]:
    """Settings of a YAML file; nested ones with dots.

    Args:
        given: the settings.
        lists: a list is several values, and not one that is a list.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            inner = _mapping(value, lists=lists).items()
            found |= {f"{key}.{name}": values for name, values in inner}
        else:
            values = value if lists and isinstance(value, list) else [value]
            found[str(key)] = tuple(map(_plain, values))
    return found


def _plain(value: Any) -> Value:
    """A value that can stand in a set: text without quotes, tuples for lists."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, Mapping):
        raise ConfigError(f"trial: {value} cannot be a value that is tried")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_plain, value))
    return value
