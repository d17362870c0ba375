"""Initial weights as the network says itself."""


def own() -> None:
    """Each kernel and bias as the layer's own initializer has it, drawn from the run's streams."""
    return
