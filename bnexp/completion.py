"""Completion of commands, options and settings in the shell.

Example:
    eval "$(bnexp completion bash)"          for this shell; in ~/.bashrc for all to come

It completes `bnexp ...` and `python -m bnexp.run ...`: commands and their options, groups, their
options, the keys of the options that are chosen, ids of runs in outputs/, and files elsewhere.
"""

from collections.abc import Sequence

from bnexp.__main__ import COMMANDS
from bnexp.command_line import Parser, one_line_errors

BASH = """
_bnexp_words() {
  local rest="${1#* }" found=""
  case "${rest%% *} $2" in
    *" -"*) found=$(bnexp "${rest%% *}" --help 2> /dev/null | grep -oE -e '--[a-z-]+' | sort -u) ;;
    "info "*|"diff "*) found=$(compgen -G "outputs/*/$2*" | grep -oE '[0-9a-f]{10}$') ;;
    "list "*|"clean "*) found=$(compgen -d -- "$2") ;;
  esac
  COMPREPLY=($(compgen -W "$found" -- "$2"))
  [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default 2> /dev/null
}
_bnexp() {
  local line="${COMP_LINE:0:COMP_POINT}" word="${COMP_LINE:0:COMP_POINT}" rest dirs=() previous=""
  word="${word##* }"
  case "$line" in
    python*" -m bnexp.run "*) rest="${line#*bnexp.run }" ;;
    python*) COMPREPLY=(); compopt -o default 2> /dev/null; return ;;
    *"bnexp run "*) rest="${line#*run }" ;;
    bnexp*" "*" "*) _bnexp_words "$line" "$word"; return ;;
    *) COMPREPLY=($(compgen -W "@COMMANDS@" -- "$word")); return ;;
  esac
  for one in $rest; do
    case "$one" in --config-dir=*) dirs+=("$one") ;; esac
    [ "$previous" = --config-dir ] && dirs+=("--config-dir=$one")
    previous="$one"
  done
  local found
  found=$(COMP_LINE="bnexp $rest" bnexp run "${dirs[@]}" -sc query=bash 2> /dev/null)
  COMPREPLY=($(compgen -o nospace -o default -W "$found" -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _bnexp bnexp python python3
"""


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp completion`."""
    parser = Parser("bnexp completion", __doc__)
    parser.add_argument("shell", choices=["bash"])
    with one_line_errors():
        parser.parse_args(given)
        print(BASH.replace("@COMMANDS@", " ".join([*COMMANDS, "--help", "--version"])))
