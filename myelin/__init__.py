"""What the commands of DeepMyelinSegmentation share; CONTRIBUTING.md says what is where."""

__version__ = "1.0.0"
