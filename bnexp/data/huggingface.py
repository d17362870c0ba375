"""Datasets of Hugging Face: from the Hub, or Parquet files and saved datasets on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bnexp.config.types import Place, Widths
from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError
from bnexp.data.files import files_of
from bnexp.data.naming import PARTS, part_of, place_of, words_of
from bnexp.data.pictures import Picture, decoded


def huggingface(
    path: Place | None = None,
    name: str | None = None,
    subset: str | None = None,
    revision: str | None = None,
    image: str | None = None,
    label: str | None = None,
    size: Widths | None = None,
    color: Literal["auto", "gray", "rgb"] = "auto",
) -> Arrays:
    """Images and labels of a Hugging Face dataset; needs the extra `huggingface`.

    Its splits train, validation and test are used as such; the last two may be missing.

    Args:
        path: a Parquet file; a folder or pattern with Parquet files, whose names tell the split
            (train-00000-of-00001.parquet); or a folder that save_to_disk wrote. ~ is the home
            folder.
        name: instead of path, a dataset on the Hub (ylecun/mnist), which is downloaded once.
        subset: of a dataset on the Hub that has several.
        revision: commit or tag of a dataset on the Hub; null: the latest, which may change.
        image: name of the column with the images; null: the only one of images, or one called so.
        label: name of the column with the labels; null: the only one of classes, or one called so.
        size: height and width that all images are resized to (one number: both); null: they must
            have one size.
        color: gray or rgb: all images are made so; auto: gray if all are gray, otherwise rgb.

    Raises:
        DataError: the package is missing, the dataset cannot be had, or its columns cannot be
            told.
    """
    source = f"data.path={path}" if path else f"data.name={name}"
    if bool(path) == bool(name):
        raise DataError(
            "data=huggingface: give data.path=FOLDER or data.name=OWNER/DATASET, one of them"
        )
    splits = _from_disk(path, source) if path else _from_hub(str(name), subset, revision)
    has = ", ".join(splits)
    splits = {PARTS[split]: rows for split, rows in splits.items() if split in PARTS}
    if "train" not in splits:
        raise DataError(f"{source}: has no split 'train'; has {has}; save what to train on as such")
    columns = splits["train"].features
    image = _column(columns, image, "image", source)
    label = _column(columns, label, "label", source)
    arrays: dict[str, Any] = {f"y_{part}": _values(rows, label) for part, rows in splits.items()}
    pixels, notes = _images(splits, image, size, color, source)
    arrays |= {f"x_{part}": images for part, images in pixels.items()}
    return Arrays(**arrays, class_names=getattr(columns[label], "names", None), notes=notes)


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data=huggingface needs a package: pip install 'bnexp[huggingface]'"
        ) from error
    return datasets


def _from_hub(name: str, subset: str | None, revision: str | None) -> Mapping[str, Any]:
    library = _library()
    try:
        return library.load_dataset(name, subset, revision=revision)
    except Exception as error:  # of the Hub, of the network, or of the dataset's own kind
        reason = str(error).split("\n")[0]
        raise DataError(
            f"data.name={name} cannot be had ({reason}); without a network, give its Parquet files "
            "as data.path"
        ) from error


def _from_disk(path: str, source: str) -> Mapping[str, Any]:
    library = _library()
    files, folder = files_of(path), Path(path).expanduser()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        if saved:
            found = library.load_from_disk(str(folder))
            return found if isinstance(found, Mapping) else {"train": found}
        tables = _tables(files, source)
        return {
            part: library.Dataset.from_parquet([str(file) for file in some])
            for part, some in tables.items()
        }
    except (library.exceptions.DatasetsError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).split("\n")[0]
        raise DataError(
            f"{source}: cannot be read ({reason}); give Parquet files, or a folder that "
            "save_to_disk wrote"
        ) from error


def _tables(files: list[Path], source: str) -> dict[str, list[Path]]:
    """Parquet files by the split that their names tell; a single file is train."""
    tables = [file for file in files if file.suffix == ".parquet"]
    if not tables:
        raise DataError(
            f"{source}: no Parquet file, only {', '.join(file.name for file in files[:5])}; give "
            "Parquet files, or a folder that save_to_disk wrote"
        )
    parts: dict[str, list[Path]] = {}
    for file in tables:
        part = "train" if len(tables) == 1 else part_of(file.name) or part_of(file.parent.name)
        if part is None:
            raise DataError(
                f"{source}: {file.name} has none of train, validation, test in its name; rename "
                "it, or give a pattern that leaves it out"
            )
        parts.setdefault(part, []).append(file)
    return parts


def _column(columns: Mapping[str, Any], wanted: str | None, kind: str, source: str) -> str:
    """The column of images or labels: that wanted, the only one of its type, or one called so."""
    shown = ", ".join(columns)
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise DataError(f"{source}: there is no column '{wanted}'; data.{kind} is one of {shown}")
    types = {"image": "Image", "label": "ClassLabel"}
    place = {"image": "x_train", "label": "y_train"}[kind]
    typed = [name for name, feature in columns.items() if type(feature).__name__ == types[kind]]
    called = [name for name in columns if place_of(name, whole=True) == place]
    for found in (typed, called, [name for name in called if words_of(name) == [kind]]):
        if len(found) == 1:
            return found[0]
    raise DataError(
        f"{source}: cannot tell which column has the {kind}s of {shown}; data.{kind}=NAME says it"
    )


def _values(rows: Any, column: str) -> np.ndarray:
    return rows.select_columns([column]).with_format("numpy")[:][column]


def _images(
    splits: Mapping[str, Any],
    image: str,
    size: list[int] | None,
    color: Literal["auto", "gray", "rgb"],
    source: str,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Pixels by part, decoded if they are encoded, and lines on what was changed."""
    library = _library()
    if not isinstance(splits["train"].features[image], library.Image):
        return {part: _values(rows, image) for part, rows in splits.items()}, ()
    pictures: list[Picture] = []
    for part, rows in splits.items():
        encoded = rows.cast_column(image, library.Image(decode=False))
        for index, one in enumerate(encoded[image]):
            if one is None:
                raise DataError(f"{source}: {part} row {index} has no image; remove that row")
            pictures.append(Picture(f"{part} image {index}", one["bytes"] or Path(one["path"])))
    pixels, notes = decoded(pictures, size, color, source)
    arrays, start = {}, 0
    for part, rows in splits.items():
        arrays[part] = pixels[start : (start := start + len(rows))]
    return arrays, notes
