"""A folder of image files, sorted into a folder for each class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from bnexp.config.types import Place, Widths
from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError
from bnexp.data.files import files_of
from bnexp.data.naming import PARTS
from bnexp.data.pictures import SUFFIXES, Picture, decoded


def folder(
    path: Place, size: Widths | None = None, color: Literal["auto", "gray", "rgb"] = "auto"
) -> Arrays:
    """Images by class: the folder that an image lies in names its class.

    Either the classes lie at the top (cats/1.png, dogs/2.png), or below folders train, val and
    test (train/cats/1.png), of which val and test may be missing. Images of 8 bits a pixel in any
    format that Pillow reads, or all gray in 16 bits; transparency is left out.

    Args:
        path: the folder. ~ is the home folder.
        size: height and width that all images are resized to (one number: both); null: they must
            have one size.
        color: gray or rgb: all images are made so; auto: gray if all are gray, otherwise rgb.

    Raises:
        DataError: no such folder, no images, images beside the folders of classes, several sizes
            without `size`, or an image that cannot be read.
    """
    source = f"data.path={path}"
    root = Path(path).expanduser()
    if root.is_file():
        raise DataError(f"{source}: a file; give the folder that holds a folder for each class")
    found = [file.relative_to(root) for file in files_of(path)]
    images = [file for file in found if file.suffix.lower() in SUFFIXES]
    if not images:
        kinds = ", ".join(sorted({file.suffix or file.name for file in found})[:5])
        raise DataError(f"{source}: no image below it, only {kinds}; give a folder of images")
    parts = _parts(images, root, source)
    pictures = [Picture(str(file), root / file) for files in parts.values() for file, _ in files]
    pixels, notes = decoded(pictures, size, color, source)
    if len(found) > len(images):
        notes = (f"{len(found) - len(images)} files that are no images left out", *notes)
    arrays: dict[str, Any] = {}
    start = 0
    for part, files in parts.items():
        arrays[f"x_{part}"] = pixels[start : (start := start + len(files))]
        arrays[f"y_{part}"] = [name for _, name in files]
    return Arrays(**arrays, notes=notes)


def _parts(images: list[Path], root: Path, source: str) -> dict[str, list[tuple[Path, str]]]:
    """By part the images and their classes; all of them are train if the folder has no parts."""
    in_parts = any(PARTS.get(file.parts[0].lower()) == "train" for file in images)
    depth = 1 if in_parts else 0
    parts: dict[str, list[tuple[Path, str]]] = {}
    for file in images:
        part = PARTS.get(file.parts[0].lower()) if in_parts else "train"
        if part is None or len(file.parts) < depth + 2:
            raise DataError(
                f"{source}: {file} lies in no folder of a class; put it into "
                f"{'train/CLASS/' if in_parts else 'CLASS/'}, or remove it"
            )
        parts.setdefault(part, []).append((file, file.parts[depth]))
    classes = {name for _, name in parts["train"]}
    if len(classes) == 1:
        inner = sorted(_folders(root.joinpath(*images[0].parts[: depth + 1])))
        hint = f"; if {', '.join(inner[:3])} are the classes, give" if inner else "; give"
        raise DataError(
            f"{source}: a single class, {classes.pop()}{hint} the folder right above those of the "
            "classes"
        )
    return parts


def _folders(place: Path) -> Iterator[str]:
    return (inside.name for inside in place.iterdir() if inside.is_dir())
