"""What docs/results.md says of init and of later work's claims is what was judged."""

import re

from derived import PAGE, committed_claims, row_in_words, stands

LATER = ["survives-tuning", "large-rate-is-the-cause"]
OF_INIT = ["less-saturation", "init-robust"]
UNITS = {"percentage points": "points"}
CLAIMS = committed_claims()
ROWS = CLAIMS[CLAIMS["claim"].isin([*OF_INIT, *LATER])].set_index(["claim", "part"])


def numbers(claim: str, part: str, pattern: str) -> list[str]:
    """Those that a verdict's sentence has in the places of `#`."""
    found = re.search(pattern.replace("#", r"([\d.]+)"), ROWS.loc[(claim, part), "sentence"])
    assert found, pattern
    return list(found.groups())


def test_docs_have_every_primary_part():
    primary = ROWS[ROWS["primary"].astype(bool)]
    assert len(primary) == 4
    for (claim, part), row in primary.iterrows():
        name = f"{claim}: {part}" if part else claim
        effect = f"{row_in_words(row)} {UNITS.get(row['unit'], row['unit'])}"
        stands(f"| {name} | {effect} | {row['verdict_holm']} |")


def test_what_is_told_of_initial_weights_is_what_was_judged():
    varies = "varies by # points over σ with BN, by # without"
    bn, none = numbers("init-robust", "activation=sigmoid, range", varies)
    stands(f"varies over σ by {bn} points with BN and by {none} without")
    passing = "^# of the cells .* with BN, # without"
    bn, none = numbers("init-robust", "activation=sigmoid, cells", passing)
    stands(f"{bn} pass 90% with BN and {none} without, with all six seeds alike")
    assert ROWS.loc[("init-robust", "activation=sigmoid, cells"), "low"] == float(bn) - float(none)
    bn, none = numbers("init-robust", "activation=relu, cells", passing)
    stands(f"of ReLUs {bn} and {none}")
    cells = "activation=relu, cells"
    died = numbers("init-robust", cells, "0 of # runs with BN, # of # runs without")
    assert died == ["420", "84", "420"] and "84 runs that diverged, none of them with BN" in PAGE
    beyond = "is #% with BN and #% without"
    bn, none = numbers("less-saturation", "σ = 0.05", beyond)
    stands(f"{bn}% of what enters the sigmoids lies beyond ±4 with BN, and {none}% without")
    edges = "Best rate without BN at an edge of those tried: (.*?)[.] Could"
    told = ROWS.loc[("init-robust", "activation=sigmoid, range"), "sentence"]
    assert re.search(edges, told)[1].count("(highest)") == 4  # of five σ


def test_what_is_told_of_tuning_and_of_large_rates_is_what_was_judged():
    stands(
        f"a tenth to a third of a point, {row_in_words(ROWS.loc[('survives-tuning', 'accuracy')])}"
    )
    left = "Left of the mean gain: #%"
    [share] = numbers("large-rate-is-the-cause", "", left)
    stands(f"{share}% of the mean gain are left where both have what the baseline chose")
    part = "fig1, as published"
    [share] = numbers("large-rate-is-the-cause", part, left)
    stands(f"{share}% are left, which contradicts the claim there")
    assert ROWS.loc[("large-rate-is-the-cause", part), "verdict"] == "contradicted"
    rates = numbers(
        "large-rate-is-the-cause", part, "batch: optimizer.lr=#,.*none: optimizer.lr=#,"
    )
    stands(f"BN's own rate ({rates[0]}) is lower than the baseline's ({rates[1]})")
