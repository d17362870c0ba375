"""Arrays that NumPy has saved: one npz file, or several files."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bnexp.config.types import Place
from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError
from bnexp.data.files import files_of, root_of
from bnexp.data.naming import named_arrays, place_of

_NAMES = "x_train and y_train, also x_test, y_test, x_val, y_val"
_NPY = b"\x93NUMPY"  # what npy files start with


def npz(path: Place) -> Arrays:
    """Images and labels from an npz file, or from a file for each array.

    The arrays are called x_train and y_train, and x_test, y_test, x_val, y_val where there are
    such parts, or train_images, train_labels and so on, as MedMNIST does. class_names may name the
    classes. Files for each array are called so too; their names may have other words, as
    kmnist-train-imgs.npz has.

    Args:
        path: an npz file; a folder with npy files, or npz files of one array each; or a pattern
            that names those, as 'downloads/kmnist-*'. ~ is the home folder.

    Raises:
        DataError: no such file, one that cannot be read, or arrays without a place.
    """
    files = files_of(path)
    source = f"data.path={path}"
    if files == [Path(path).expanduser()]:
        return _one_file(files[0], source)
    arrays = {}
    for file in files:
        name = file.relative_to(root_of(path)).with_suffix("").as_posix()
        place = place_of(name, whole=False) if file.suffix in (".npy", ".npz") else None
        if place in arrays:
            raise DataError(
                f"{source}: more than one file with {place}, such as {file.name}; name those of "
                "one dataset by a pattern, as 'data.path=downloads/kmnist-*'"
            )
        if place is not None:
            arrays[place] = _only_array(file, source)
    if not arrays:
        raise DataError(
            f"{source}: no file here is called {_NAMES}, with .npy or .npz; has "
            f"{', '.join(file.name for file in files[:5])}"
        )
    return named_arrays(arrays, source)


def _one_file(file: Path, source: str) -> Arrays:
    with _opened(file, source) as found:
        if isinstance(found, np.ndarray) or list(found) == ["arr_0"]:
            raise DataError(
                f"{source}: a single array; put it into a folder with the others, called {_NAMES}, "
                f"and give the folder, or a pattern such as 'data.path={file.parent}/*.npy'"
            )
        return named_arrays(found, source)


def _only_array(file: Path, source: str) -> np.ndarray:
    with _opened(file, f"{source} ({file.name})") as found:
        if isinstance(found, np.ndarray):
            return found
        if len(found) != 1:
            raise DataError(
                f"{source}: {file.name} holds {', '.join(found)}; beside other files it may hold "
                "one array; give it alone as data.path"
            )
        return found[next(iter(found))]


@contextmanager
def _opened(file: Path, source: str) -> Iterator[np.ndarray | Mapping[str, np.ndarray]]:
    """The array of an npy file, mapped rather than read, or the arrays of an npz file."""
    try:
        with file.open("rb") as raw:
            if raw.read(len(_NPY)) == _NPY:
                yield np.load(file, mmap_mode="r", allow_pickle=False)
            else:
                raw.seek(0)
                with np.load(raw, allow_pickle=False) as arrays:
                    yield arrays
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{source}: holds Python objects, or is no file of NumPy's; save plain arrays with "
                "numpy.savez (images of one shape)"
            ) from error
        raise DataError(
            f"{source}: not a readable npz or npy file ({error}); if it was copied or downloaded, "
            "do so again"
        ) from error
