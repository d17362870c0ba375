"""The error for run folders that cannot be read."""


class RunError(Exception):
    """A run folder that cannot be read; the message names the file and what is wrong."""
