"""The first step of vLLM's reading of a command line, before argparse sees it (FlexibleArgumentParser.parse_args, vllm/utils/argparse_utils.py).

Dashes for underscores, -O3 spelled out, and the dotted keys of each flag gathered into one JSON value at the end.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmfleet.vllm.flag_values import human_integer

NEGATIVE_NUMBER: Final = re.compile(r"^-\d+$|^-\d*\.\d+$")
"""argparse's own notion of a negative number: a value, not a flag."""
_KEY: Final = re.compile(r"(?<=--)[^.]*")
"""What vLLM replaces underscores in: everything before the first dot."""
DEEPEST: Final = 16
"""Dotted keys of one item; the deepest object of vLLM has three."""
_SHORT: Final = re.compile(r"-[A-Za-z]{1,3}(?:\d{1,4}$|\.[a-z_.]+)?")
_OPTIMIZATION: Final = "--optimization-level"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that vLLM would refuse or ignore."""

    index: int
    """Of the item."""
    flag: str
    """As it was written, without its value; empty for a value that belongs to no flag."""
    rule: str
    remedy: str
    pluggable: bool = False
    """Whether a plugin in an image of the user's own may make it right."""


@dataclass(frozen=True, slots=True)
class Token:
    """One text that argparse gets to see."""

    text: str
    index: int
    """Of the item that it comes from."""
    spelled: str
    """The flag as it was written, without its value; empty for a value."""


def tokenised(items: Sequence[str]) -> tuple[list[Token], list[Problem]]:
    """What argparse gets to see of the items, and what goes wrong on the way."""
    tokens = list(_spelled_out(items))
    rest: list[Token] = []
    problems: list[Problem] = []
    gathered: dict[str, tuple[Token, dict[str, Any]]] = {}
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        key, equals, text = token.text.partition("=")
        if not token.text.startswith("-") or "." not in key:
            rest.append(token)
            continue
        if NEGATIVE_NUMBER.match(token.text):
            problems.append(Problem(token.index, "", "is a negative number, which vLLM takes for a flag with a dotted key", "join it to its flag with '='"))
            rest.append(Token("-1", token.index, ""))  # stands for it, so that the flag before it has its value
            continue
        if not equals:
            if position == len(tokens):
                problems.append(Problem(token.index, token.spelled, "is given no value", "add one"))
                continue
            text = tokens[position].text
            position += 1
        if key.endswith("+"):
            key, text = key[:-1], json.dumps(text.split(","))
        name, *keys = key.split(".")
        if len(keys) > DEEPEST:
            problems.append(Problem(token.index, name, f"has more than {DEEPEST} dotted keys", "no object of vLLM is so deep"))
            continue
        _, value = gathered.setdefault(name, (token, {}))
        for path in _merge(value, _nested(keys, _loosely(text))):
            rule = f"says {name}.{path} again: vLLM takes the last and ignores the other"
            problems.append(Problem(token.index, token.spelled, rule, "keep one of them"))
    for name, (token, value) in gathered.items():
        spelled = token.spelled.split(".", 1)[0]
        try:
            gathered_text = json.dumps(value)
        except RecursionError:
            problems.append(Problem(token.index, token.spelled, "is nested too deeply", "no object of vLLM is so deep"))
            continue
        rest += [Token(name, token.index, spelled), Token(gathered_text, token.index, "")]
    return rest, problems


def _spelled_out(items: Sequence[str]) -> Iterator[Token]:
    """The items with dashes for underscores, and -O3 spelled out."""
    for index, item in enumerate(items):
        spelled = _spelling(item)
        if item.startswith("--"):
            key, equals, value = item.partition("=")
            yield Token(_KEY.sub(lambda match: match.group().replace("_", "-"), key, count=1) + equals + value, index, spelled)
        elif item.startswith("-O") and item != "-O":
            yield Token(_OPTIMIZATION, index, "-O")
            yield Token(item[3:] if item[2] == "=" else item[2:], index, "")
        elif item == "-O" and items[index + 1 : index + 2] and items[index + 1] in ("0", "1", "2", "3"):
            yield Token(_OPTIMIZATION, index, "-O")
        else:
            yield Token(item, index, spelled)


def _spelling(item: str) -> str:
    """The flag of an item as it was written: a short one may have its value attached, which is not repeated."""
    if item.startswith("--"):
        return item.split("=", 1)[0].split(" ", 1)[0]
    match = _SHORT.match(item)
    return match.group() if match else ""


def _nested(keys: Sequence[str], value: object) -> dict[str, Any]:
    nested: Any = value
    for key in reversed(keys):
        nested = {key: nested}
    return dict(nested)


def _loosely(text: str) -> object:
    """The value of a dotted key: JSON if it can be read so, else a number such as 16k, else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return human_integer(text)
        except ValueError:
            return text


def _merge(into: dict[str, Any], more: dict[str, Any]) -> Iterator[str]:
    """Put the keys of `more` into a dictionary, lists after lists; yields the dotted keys that were there."""
    for key, value in more.items():
        there = into.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            yield from (f"{key}.{below}" for below in _merge(there, value))
        elif isinstance(value, list) and isinstance(there, list):
            there += value
        else:
            if key in into:
                yield key
            into[key] = value
