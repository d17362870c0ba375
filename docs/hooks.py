"""For MkDocs: the committed figures, and a page of all options made from their signatures."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bnexp.config import places
from bnexp.config.options import GROUPS, TARGET
from bnexp.options import rows, summary

REFERENCE = Path(__file__).resolve().parents[1] / "outputs" / "reference"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds figures/NAME.png, as pages name them."""
    for folder in ("report/figures", "benchmark"):
        for path in sorted((REFERENCE / folder).glob("*.png")):
            name = f"figures/{path.name}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "options.md", content=options_page()))
    return files


def options_page() -> str:
    """Every option of every group with its settings, as `bnexp options` tells them."""
    lines = [
        "# Options",
        "",
        "What there is to choose (`norm=batch`) and to set (`norm.momentum=0.9`). In the terminal:",
        "`bnexp options norm=batch`.",
    ]
    for group in GROUPS:
        lines += ["", f"## {group}"]
        for name, node in places.definitions(group):
            lines += ["", f"### {group}={name}", "", summary(str(node[TARGET])), ""]
            told = list(rows(group, node))
            lines += ["| key | default | type | meaning |", "|---|---|---|---|"] if told else []
            for key, kind, value, doc in told:
                cells = [f"`{key}`", f"`{value}`", kind, doc.replace("|", "\\|")]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
