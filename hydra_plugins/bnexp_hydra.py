"""Where Hydra finds this package's plugins: in the namespace `hydra_plugins` only."""

from bnexp.config.compose import OptionFolders, OptionSource
from bnexp.sweeps import grid

__all__ = ["GridSweeper", "OptionFolders", "OptionSource", "PoolLauncher"]


class GridSweeper(grid.GridSweeper):
    """`hydra/sweeper=grid`"""


class PoolLauncher(grid.PoolLauncher):
    """`hydra/launcher=pool`"""
