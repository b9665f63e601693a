"""What the engine's own argument list says, read as vLLM's parser reads it, and what of it must not be shown.

vLLM's FlexibleArgumentParser (vllm/utils/argparse_utils.py) takes `--max-num-seqs 8`, `--max-num-seqs=8`, underscores for dashes and unambiguous prefixes; the
last one wins.
"""

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"
"""Stands for a secret."""

SECRET_OPTIONS: Final = ("--api-key", "--hf-token")
"""Options of vLLM whose values are secrets. `--hf-token` without a value means a stored token."""

DEFAULT_MAX_LORA_RANK: Final = 16
"""vLLM's --max-lora-rank (config/lora.py, 0.29 to 0.32)."""

_SHORTEST_PREFIX: Final = len("--max-num-se")
"""`--max-num-s` is ambiguous (seqs, scheduled-tokens): argparse refuses it."""

_OPTION: Final = re.compile(r"--[a-z][a-z0-9_-]*(?:\.[^=]*)?(?:=.*)?|-[A-Za-z]{1,4}\d?(?:[.=].*)?", re.DOTALL)
"""What vLLM's options look like. Other words with a dash are values: negative numbers, and keys, which vLLM cannot take but which must not be shown."""

_SECRET_KEY: Final = r"[\w.\-]*(?:token|secret|password|credentials?|key)"  # noqa: S105 a pattern of names
_JSON_SECRET: Final = re.compile(rf'("{_SECRET_KEY}"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|-?\d[\w.+-]*)', re.IGNORECASE)
"""Numbers too: the key of --watermark-config is one (config/watermarking.py, 0.32)."""
_URL_SECRET: Final = re.compile(r"(://[^/@\s:]+:)[^/@\s]+@")
_DOTTED_SECRET: Final = re.compile(rf"--[\w\-]+\.{_SECRET_KEY}", re.IGNORECASE)


def value(arguments: Sequence[str], *spellings: str) -> str | None:
    """The value of an option under any of its whole names; the last one wins. None where it is not there or has none."""
    found: str | None = None
    for option, values in _options(arguments):
        if option in spellings:
            found = values[0] if values else None
    return found


def model(arguments: Sequence[str]) -> str | None:
    """What `vllm serve` is to serve: the word behind `serve`; None where there is none."""
    words = list(arguments)
    after = words[words.index("serve") + 1 :] if "serve" in words else []
    return after[0] if after and not _is_option(after[0]) else value(arguments, "--model")


def max_sequences(arguments: Sequence[str]) -> int | None:
    """--max-num-seqs; None where it is not among the arguments (vLLM's default depends on the device)."""
    found: int | None = None
    for option, values in _options(arguments):
        if len(option) >= _SHORTEST_PREFIX and "--max-num-seqs".startswith(option) and values:
            found = int(values[0]) if values[0].isdigit() and int(values[0]) > 0 else None
    return found


def max_lora_rank(arguments: Sequence[str]) -> int:
    """--max-lora-rank, or vLLM's default."""
    found = DEFAULT_MAX_LORA_RANK
    for option, values in _options(arguments):
        if len(option) > len("--max-lora") and "--max-lora-rank".startswith(option) and values and values[0].isdigit():
            found = int(values[0])
    return found


def api_keys(arguments: Sequence[str]) -> list[str] | None:
    """Every key of --api-key; None where the option is not there, so that vLLM looks at VLLM_API_KEY."""
    keys: list[str] | None = None
    for option, values in _options(arguments):
        if len(option) > len("--api-") and "--api-key".startswith(option):
            keys = [value for value in values if value]
    return keys


def api_key(arguments: Sequence[str]) -> str | None:
    """The first key of --api-key, which vLLM prefers to VLLM_API_KEY; None where there is none."""
    return next(iter(api_keys(arguments) or ()), None)


def redacted(arguments: Sequence[str]) -> list[str]:
    """The arguments with every secret hidden: values of secret options, secret keys in JSON and in dotted options, passwords in URLs."""
    shown: list[str] = []
    hiding = False
    for argument in arguments:
        if _is_option(argument):
            name, equals, value = argument.partition("=")
            hiding = _is_secret(name)
            shown.append(name + equals + (HIDDEN if hiding and equals else _cleaned(value)))
        else:
            shown.append(HIDDEN if hiding else _cleaned(argument))
    return shown


def secrets(arguments: Sequence[str]) -> list[str]:
    """The values that `redacted` hides whole: they must not appear in a message either."""
    return [value for option, values in _options(arguments) if _is_secret(option) for value in values if value]


def _options(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Options in their written order, dashes for underscores, each with the values that follow it."""
    options: list[tuple[str, list[str]]] = []
    for argument in arguments:
        if _is_option(argument):
            name, equals, value = argument.partition("=")
            options.append((_spelled(name), [value] if equals else []))
        elif options:
            options[-1][1].append(argument)
    return options


def _is_option(argument: str) -> bool:
    return _OPTION.fullmatch(argument) is not None


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _is_secret(name: str) -> bool:
    spelled = _spelled(name)
    return (len(spelled) >= 4 and any(option.startswith(spelled) for option in SECRET_OPTIONS)) or _DOTTED_SECRET.fullmatch(spelled) is not None


def _cleaned(value: str) -> str:
    return _URL_SECRET.sub(rf"\1{HIDDEN}@", _JSON_SECRET.sub(rf'\1"{HIDDEN}"', value))
