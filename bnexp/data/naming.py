"""Which part of a dataset an array or file holds, by its name: `train_images`, `y_test`."""

import re
from collections.abc import Mapping
from typing import Any

from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_KINDS = {
    **dict.fromkeys(("x", "images", "image", "imgs", "img"), "x"),
    **dict.fromkeys(("y", "labels", "label", "targets", "target"), "y"),
}
_CLASS_NAMES = ("class_names", "label_names", "classes")


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters: "kmnist-train-imgs" has three."""
    return re.findall(r"[a-z0-9]+", name.lower())


def part_of(name: str) -> str | None:
    """train, val or test, if the name holds one such word."""
    parts = {PARTS[word] for word in words_of(name) if word in PARTS}
    return parts.pop() if len(parts) == 1 else None


def place_of(name: str, *, whole: bool) -> str | None:
    """The field of `Arrays` that a name stands for: "x_train" for "train_images" or "images".

    Args:
        name: of an array or a file.
        whole: whether the name may hold no other words, as those of files do.
    """
    words = words_of(name)
    kinds = [_KINDS[word] for word in words if word in _KINDS]
    parts = [PARTS[word] for word in words if word in PARTS]
    others = len(words) - len(kinds) - len(parts)
    if len(kinds) != 1 or len(parts) > 1 or (whole and others):
        return None
    return f"{kinds[0]}_{parts[0] if parts else 'train'}"


def named_arrays(found: Mapping[str, Any], source: str) -> Arrays:
    """Arrays by their names: those of `Arrays`, or others that say the same.

    Args:
        found: arrays by name; only those that are used are asked for.
        source: what errors start with.

    Raises:
        DataError: two for one place, images without labels, or none to train on.
    """
    places: dict[str, str] = {}
    unused = []
    for name in found:
        place = place_of(name, whole=True)
        if place in places:
            raise DataError(f"{source}: has both {places[place]} and {name}; leave one out")
        if place is None:
            unused.append(name)
        else:
            places[place] = name
    _check_complete(places, list(found), source)
    arrays = {place: found[name] for place, name in places.items()}
    names = next((name for name in unused if name in _CLASS_NAMES), None)
    unused = [name for name in unused if name != names]
    return Arrays(
        **arrays,
        class_names=None if names is None else [_text(one) for one in found[names]],
        notes=(f"not used: {', '.join(unused)}",) if unused else (),
    )


def _check_complete(places: Mapping[str, str], names: list[str], source: str) -> None:
    missing = [place for place in ("x_train", "y_train") if place not in places]
    if missing:
        has = ", ".join(names) or "nothing"
        raise DataError(
            f"{source}: lacks {' and '.join(missing)}; has {has}; name the arrays x_train, "
            "y_train, and x_test, y_test, x_val, y_val if there are such parts"
        )
    for part in ("test", "val"):
        x, y = f"x_{part}", f"y_{part}"
        if (x in places) != (y in places):
            there, lacking = (x, y) if x in places else (y, x)
            raise DataError(
                f"{source}: has {places[there]} but no {lacking}; give both or neither (a part "
                "that is missing is split off from x_train)"
            )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
