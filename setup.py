"""What pyproject.toml cannot say: `conf/`, at the top of a checkout, is installed as bnexp/conf."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["bnexp*", "hydra_plugins*"]), "bnexp.conf"],
    package_dir={"bnexp.conf": "conf"},
)
