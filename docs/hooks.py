"""For MkDocs: the committed figures are pages' figures, without a copy of them in docs/."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REFERENCE = Path(__file__).resolve().parents[1] / "outputs" / "reference"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds figures/NAME.png, as pages name them."""
    for folder in ("report/figures", "benchmark"):
        for path in sorted((REFERENCE / folder).glob("*.png")):
            name = f"figures/{path.name}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
