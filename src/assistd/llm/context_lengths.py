"""How many tokens well-known models take, for routes that do not say it."""

from __future__ import annotations

from fnmatch import fnmatchcase

DEFAULT = 8192

# The first pattern that matches wins, so the narrower names stand first. Figures are the vendor's published
# context windows: prompt and completion together.
_KNOWN: tuple[tuple[str, int], ...] = (
    ("gpt-5*-chat*", 128_000),
    ("gpt-5*", 400_000),
    ("gpt-4.1*", 1_047_576),
    ("gpt-4.5*", 128_000),
    ("gpt-4o*", 128_000),
    ("chatgpt-4o*", 128_000),
    ("gpt-4-turbo*", 128_000),
    ("gpt-4-*-preview", 128_000),
    ("gpt-4-32k*", 32_768),
    ("gpt-4", 8_192),
    ("gpt-4-*", 8_192),
    ("gpt-3.5-turbo-instruct*", 4_096),
    ("gpt-3.5-turbo*", 16_385),
    ("gpt-35-turbo*", 16_385),
    ("o1-mini*", 128_000),
    ("o1-preview*", 128_000),
    ("o1*", 200_000),
    ("o3*", 200_000),
    ("o4-mini*", 200_000),
    ("gpt-oss*", 131_072),
)


def known(name: str) -> int:
    """Tokens that the model of this name takes, 8192 where the name is not known.

    A provider's prefix (`openai/gpt-4o`) and a fine-tune's (`ft:gpt-4o:org::id`) do not hide the name.
    """
    base = name.rsplit("/", 1)[-1].removeprefix("ft:").split(":", 1)[0].lower()
    for pattern, length in _KNOWN:
        if fnmatchcase(base, pattern):
            return length
    return DEFAULT
