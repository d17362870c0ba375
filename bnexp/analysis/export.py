"""Copies run folders into MLflow: settings, curves, results and files.

A sweep becomes an experiment, a run one of its runs. What is there already with the same content
is left alone; what has changed takes the place of the old. An experiment is called as its sweep's
folder; where another sweep has taken that name, with the folder above it: rates, then b/rates.

Examples:
    bnexp export outputs/quickstart --tracking-uri http://localhost:5000
    bnexp export                 outputs/, to where MLflow itself would write

Tried with mlflow-skinny 3.17.2:
    http://HOST:PORT   a tracking server (of MLflow 3.17.2)
    sqlite:///FILE     needs more packages: pip install sqlalchemy alembic
    file:///FOLDER     MLflow wants MLFLOW_ALLOW_FILE_STORE=true in the environment for it
"""

import hashlib
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnexp.command_line import Parser, one_line_errors, path
from bnexp.config import ConfigError
from bnexp.config.schema import install_hint
from bnexp.folders import runs
from bnexp.folders.runs import RunError

FILES = ("config.yaml", "history.csv", "result.json", "probes.csv")
TOLD = ("status", "error", "git_commit", "versions", "machine")  # of result.json, as tags
SWEEP = "bnexp.sweep"  # tags an experiment: whose it is
OURS = "bnexp.run_id"  # tags the runs of this script
COMPLETE = "bnexp.fingerprint"  # set last: of what a run was exported from
LAYOUT = b"1"  # part of the fingerprint; raised when what is exported changes
EXPORTED, UNCHANGED, SKIPPED = "exported", "unchanged", "skipped"


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp export`."""
    parser = Parser("bnexp export", __doc__)
    parser.add_argument(
        "folders", nargs="*", type=path, default=[Path("outputs")], help="default: outputs/"
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="default: MLFLOW_TRACKING_URI, or MLflow's own"
    )
    with one_line_errors():
        arguments = parser.parse_args(given)
        with mlflow_errors(arguments.tracking_uri):
            print(export(arguments.folders, arguments.tracking_uri))


@contextmanager
def mlflow_errors(uri: str | None) -> Iterator[None]:
    """What MLflow refuses, and that it is not there, in one line.

    Raises:
        ConfigError: either.
    """
    # with its own default of 7, it takes MLflow four minutes to tell that nobody answers
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise ConfigError(
            f"the export needs MLflow: pip install {install_hint('mlflow')}"
        ) from error
    try:
        yield
    except MlflowException as error:
        reason = " ".join(str(error).split())
        if "unsupported URI" in reason:
            reason += " (databases: pip install sqlalchemy alembic)"
        raise ConfigError(f"--tracking-uri={uri or '(default)'}: {reason}") from error


def export(roots: list[Path], uri: str | None) -> str:
    """Brings all runs at or below the folders into MLflow, and says how many.

    Raises:
        RunError: a folder that is not there, or has no runs.
    """
    from mlflow import MlflowClient

    for root in roots:
        if not root.is_dir():
            raise RunError(f"{root}: no such folder")
    exporter = Exporter(MlflowClient(uri))
    counts = Counter(map(exporter.export, runs.find_run_folders(roots)))
    if not counts:
        raise RunError(f"no runs in {', '.join(map(str, roots))}")
    return ", ".join(f"{state} {counts[state]}" for state in (EXPORTED, UNCHANGED, SKIPPED))


@dataclass(frozen=True)
class RunFolder:
    """What a run folder holds, as MLflow calls it."""

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    history: list[dict[Any, float]]

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """Reads it.

        Raises:
            RunError: it is damaged or unfinished.
        """
        result = runs.ended_result(path) or runs.read_result(path)
        if result is None:
            raise RunError(f"{path}: unfinished")
        if path.resolve().name != result["run_id"]:
            raise RunError(f"{path}: a copy of run {result['run_id']} under another name")
        failed_early = result["status"] == runs.FAILED and not (path / "history.csv").exists()
        history = [] if failed_early else runs.read_history(path).to_dict("records")
        return cls(path, runs.read_config(path), result, history)

    @property
    def name(self) -> str:
        """The run's: that of its folder."""
        return self.path.resolve().name

    @property
    def sweep(self) -> Path:
        """The folder of its sweep."""
        return self.path.resolve().parent

    @property
    def files(self) -> list[Path]:
        """What is kept as artifacts."""
        return [self.path / name for name in FILES if (self.path / name).exists()]

    @property
    def fingerprint(self) -> str:
        """Changes with every change of the files."""
        content = [f"{path.name}\n".encode() + path.read_bytes() for path in self.files]
        parts = [hashlib.sha256(part).digest() for part in (LAYOUT, *content)]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @property
    def span(self) -> tuple[int, int]:
        """Start and end in milliseconds, by the time at which the result was written."""
        end = (self.path / "result.json").stat().st_mtime
        return round(1000 * (end - (self.result["total_seconds"] or 0))), round(1000 * end)

    @property
    def params(self) -> dict[str, str]:
        """All settings that can change the numbers, with dots."""
        return flatten(self.config)

    @property
    def tags(self) -> dict[str, str]:
        """How the run ended, and with which versions, commit and machine."""
        return flatten({key: self.result[key] for key in TOLD if self.result.get(key)})

    def metrics(self) -> Iterator[tuple[str, float, int, int]]:
        """Name, value, millisecond and step: of the history, then of the result."""
        start, end = self.span
        for row in self.history:
            at = start + round(1000 * row["seconds"])
            for name, value in row.items():
                if name != "step" and math.isfinite(value):
                    yield name, value, at, int(row["step"])
        for name, value in self.result.items():
            if isinstance(value, (int, float)):
                yield name, value, end, self.result["steps"] or 0


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """{"optimizer": {"lr": 0.1}} as {"optimizer.lr": "0.1"}; values as one would type them."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat


class Exporter:
    """Brings run folders into a tracking store, one at a time."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._experiments: dict[Path, tuple[str, dict[str, list[Any]]]] = {}

    def export(self, path: Path) -> str:
        """What became of a run folder; why one was skipped is told on stderr."""
        try:
            folder = RunFolder.read(path)
        except RunError as error:
            print(f"skipped: {error}", file=sys.stderr)
            return SKIPPED
        experiment, known = self._experiment(folder.sweep)
        old = known.get(folder.name, [])
        if [run.data.tags.get(COMPLETE) for run in old] == [folder.fingerprint]:
            return UNCHANGED
        self._create(experiment, folder)
        for run in old:
            self._client.delete_run(run.info.run_id)
        return EXPORTED

    def _experiment(self, sweep: Path) -> tuple[str, dict[str, list[Any]]]:
        """The id of a sweep's experiment, and what it held of ours by the name of the run."""
        if sweep not in self._experiments:
            experiment = self._experiment_id(sweep)
            known: dict[str, list[Any]] = {}
            for run in self._runs(experiment):
                if OURS in run.data.tags:
                    known.setdefault(run.data.tags[OURS], []).append(run)
            self._experiments[sweep] = experiment, known
        return self._experiments[sweep]

    def _experiment_id(self, sweep: Path) -> str:
        """By the shortest name that no other sweep has."""
        for start in range(len(sweep.parts) - 1, -1, -1):
            name = "/".join(sweep.parts[start:])
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return str(self._client.create_experiment(name, tags={SWEEP: str(sweep)}))
            owner = found.tags.get(SWEEP)
            if owner is None:  # version 0.1 left no tag
                self._client.set_experiment_tag(found.experiment_id, SWEEP, str(sweep))
            if owner in (None, str(sweep)):
                return str(found.experiment_id)
        raise RunError(f"{sweep}: another sweep's experiment has this name")

    def _runs(self, experiment: str) -> Iterator[Any]:
        page = self._client.search_runs([experiment])
        yield from page
        while page.token:
            page = self._client.search_runs([experiment], page_token=page.token)
            yield from page

    def _create(self, experiment: str, folder: RunFolder) -> None:
        name, (start, end) = folder.name, folder.span
        run = self._client.create_run(experiment, start, {OURS: name}, name).info.run_id
        self._log(run, folder)
        for file in folder.files:
            self._client.log_artifact(run, str(file))
        self._client.set_tag(run, COMPLETE, folder.fingerprint)
        failed = folder.result["status"] == runs.FAILED
        self._client.set_terminated(run, "FAILED" if failed else "FINISHED", end)

    def _log(self, run: str, folder: RunFolder) -> None:
        """In pieces of the size that MLflow takes."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH

        entries: dict[str, list[Any]] = {
            "metrics": [Metric(*metric) for metric in folder.metrics()],
            "params": [Param(*param) for param in folder.params.items()],
            "tags": [RunTag(*tag) for tag in folder.tags.items()],
        }
        for kind, of_kind in entries.items():
            size = MAX_METRICS_PER_BATCH if kind == "metrics" else MAX_PARAMS_TAGS_PER_BATCH
            for at in range(0, len(of_kind), size):
                self._client.log_batch(run, **{kind: of_kind[at : at + size]})
