"""The code that the commands of DeepMyelinSegmentation share; CONTRIBUTING.md has its map."""

from myelin.runtime import stopping  # noqa: F401  first: Ctrl-C during the imports that follow

__version__ = "1.1.0"
