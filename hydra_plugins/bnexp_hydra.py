"""Where Hydra finds this package's plugins: in the namespace `hydra_plugins` only."""

from bnexp.config.compose import OptionFolders, OptionSource
from bnexp.sweeps import grid, trial_sweeper

__all__ = ["GridSweeper", "OptionFolders", "OptionSource", "PoolLauncher", "TrialSweeper"]


class GridSweeper(grid.GridSweeper):
    """`hydra/sweeper=grid`"""


class PoolLauncher(grid.PoolLauncher):
    """`hydra/launcher=pool`"""


class TrialSweeper(trial_sweeper.TrialSweeper):
    """`hydra/sweeper=trial`"""
