"""Many runs as one small file, and back.

A pack, `runs.parquet`, holds the files of runs to the letter, but for logs and checkpoints. What
reads run folders reads a pack that lies in the folder it is given.

Examples:
    bnexp pack outputs/mine --out shared/          all runs below a folder, to shared/runs.parquet
    bnexp pack --unpack shared/runs.parquet --out outputs/
"""

from collections.abc import Sequence
from pathlib import Path

from bnexp.command_line import Parser, one_line_errors, path
from bnexp.folders.runs import PACK, RunError, find_run_folders


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp pack`."""
    parser = Parser("bnexp pack", __doc__)
    add = parser.add_argument
    add("folders", nargs="*", type=path, help="folders of runs")
    add("--out", type=path, required=True, metavar="FOLDER", help="where to write")
    add("--unpack", type=path, metavar="FILE", help="a pack to write out as folders")
    with one_line_errors():
        arguments = parser.parse_args(given)
        if bool(arguments.folders) == bool(arguments.unpack):
            parser.error("give folders to pack, or --unpack FILE")
        if arguments.unpack:
            print(unpack_into(arguments.unpack, arguments.out))
        else:
            print(pack_into(arguments.folders, arguments.out))


def pack_into(roots: Sequence[Path], out: Path) -> str:
    """Packs all runs below the roots; returns a line on it.

    Raises:
        RunError: a root is no folder, or there is no run.
    """
    from bnexp.folders.pack import pack

    for root in roots:
        if not root.is_dir():
            raise RunError(f"{root}: no such folder")
    folders = [folder.absolute() for folder in find_run_folders(roots)]
    if not folders:
        raise RunError(f"no runs in {', '.join(map(str, roots))}")
    common = Path(*_common_parts([folder.parent.parent for folder in folders]))
    pack(folders, out / PACK, common)
    size = (out / PACK).stat().st_size / 1e6
    return f"{out / PACK}: {len(folders)} runs, {size:.2f} MB"


def _common_parts(places: Sequence[Path]) -> list[str]:
    parts = []
    for level in zip(*(place.parts for place in places), strict=False):
        if len(set(level)) > 1:
            break
        parts.append(level[0])
    return parts


def unpack_into(path: Path, out: Path) -> str:
    """Writes a pack's runs as folders; returns a line on it."""
    from bnexp.folders.pack import unpack

    return f"{out}: {len(unpack(path, out))} runs"
