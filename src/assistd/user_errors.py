"""The base of what a user can mend: commands print it as a sentence, without a stack trace."""

from __future__ import annotations


class UserError(Exception):
    """Something about the machine, the settings or the call keeps assistd from working. Its text is for people."""
