"""assistd: the Assistants API on your own machine, with any model behind it."""

__version__ = "0.1.0"
