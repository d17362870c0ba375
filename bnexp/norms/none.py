"""No normalization."""


def none(*, name: str, dtype: str) -> None:
    """No normalization: the arm that the others are compared with."""


none.label = "no normalization"  # type: ignore[attr-defined]
