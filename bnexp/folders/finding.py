"""One run by what a person calls it: its folder, its place in a pack, or the start of its id."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bnexp.config import nearest
from bnexp.folders import runs
from bnexp.folders.errors import RunError
from bnexp.folders.runs import PACK, PROFILE, RunFiles
from bnexp.folders.state import UNFINISHED, state_of

ID = re.compile("[0-9a-f]{1,10}")


@dataclass(frozen=True)
class Found:
    """A run and what its files say.

    Attributes:
        place: its folder; of a packed run, its place in the pack.
        files: the text of its small files, by name.
    """

    place: Path
    files: RunFiles

    @property
    def is_packed(self) -> bool:
        """Whether it lies in a pack."""
        return PACK in self.place.parts

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml as a nested dict."""
        return runs.parsed_config(self.files("config.yaml") or "", self.place / "config.yaml")

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of result.json; of a run that has not ended, its status alone."""
        text = self.files("result.json")
        if text is None:
            return {"status": UNFINISHED}
        return runs.parsed_result(text, self.place / "result.json")

    @property
    def state(self) -> str:
        """How it stands."""
        status = self.result["status"]
        return status if self.is_packed else state_of(self.place, status)

    @cached_property
    def profile(self) -> Mapping[str, float]:
        """The content of profile.json; empty if there is none."""
        try:
            return dict(json.loads(self.files(PROFILE) or "{}"))
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.place / PROFILE}: cannot be read ({error})") from error


def find(word: str, roots: Sequence[Path]) -> Found:
    """The run that a word names.

    Args:
        word: a folder, a place in a pack, or the start of an id.
        roots: where ids are looked for: folders of runs and packs in them.

    Raises:
        RunError: there is no such run, or there are several.
    """
    place = Path(word)
    if place.name == PACK:
        raise RunError(f"{word}: is a pack of runs; name a run in it, as {word}/SWEEP/RUN")
    if (place / "config.yaml").is_file() or PACK in place.parts:
        return _opened(place)
    if place.is_dir():
        raise RunError(f"{word}: no run's folder (bnexp list {word} shows what is below it)")
    for root in roots:
        if not root.is_dir():
            raise RunError(f"{root}: no such folder")
    known = list(_places(roots))
    return _opened(_only(word, known, roots))


def _only(word: str, known: Sequence[Path], roots: Sequence[Path]) -> Path:
    places = [place for place in known if place.name.startswith(word)]
    if len(places) == 1:
        return places[0]
    where = ", ".join(map(str, roots))
    if places:
        shown = ", ".join(map(str, places[:4])) + (", ..." if len(places) > 4 else "")
        raise RunError(f"{word}: {len(places)} runs are called so ({shown}); name one's folder")
    looked = f"no run of this {'id' if ID.fullmatch(word) else 'name'} in {where}"
    names = {place.name for place in known}
    hint = nearest(word, [*names, *(name[: len(word)] for name in names)])
    raise RunError(f"{word}: {looked}{hint} (bnexp list shows them)")


def _places(roots: Sequence[Path]) -> Iterator[Path]:
    yield from runs.find_run_folders(roots)
    for root in roots:
        if (root / PACK).is_file():
            from bnexp.folders.pack import members

            yield from members(root / PACK)


def _opened(place: Path) -> Found:
    if PACK not in place.parts:
        return Found(place, lambda name: runs.read_text(place / name))
    from bnexp.folders.pack import texts

    return Found(place, texts(place).get)
