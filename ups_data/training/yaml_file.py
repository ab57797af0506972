"""A configuration's values out of a YAML file that may come from anywhere."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ups_data.errors import UpsDataError
from ups_data.schema.texts.yaml_text import check_yaml

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000  # aliases written out


def read_yaml(path: str | Path, overrides: Sequence[str] = (), *, allow_env: bool = False) -> dict[str, Any]:
    """The values of a YAML file, with `section.key=value` overrides; `${section.key}` stands for another value of it.

    Args:
        allow_env: resolvers such as `${oc.env:HOME}` are called too. What they give ends up in the history, in the
            checkpoint and in messages, so a file from elsewhere could carry secrets of this machine away.

    Raises:
        UpsDataError: one line that names the file: not a regular file, not YAML, too large, or with a resolver.
    """
    for override in overrides:
        if "=" not in override:
            raise UpsDataError(f"{path}: override {override!r} is not key=value")
    try:
        text = _text(Path(path))
        check_yaml(text, MOST_VALUES)
        merged = OmegaConf.merge(OmegaConf.load(io.StringIO(text)), OmegaConf.from_dotlist(list(overrides)))
        if not allow_env:
            _check_plain(OmegaConf.to_container(merged, resolve=False))
        values = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except FileNotFoundError:
        raise UpsDataError(f"{path}: no such file; `ups-data train --help` names those that ship with it") from None
    except UpsDataError as error:
        raise UpsDataError(f"{path}: {error}") from None
    except (OSError, yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise UpsDataError(f"{path}: not a configuration: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UpsDataError(f"{path}: not a configuration: expected sections data, model and training")
    return {str(key): value for key, value in values.items()}


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UpsDataError("not a configuration: not a regular file")
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UpsDataError(f"not a configuration: more than {MOST_BYTES >> 20} MiB")
    return content.decode()


def _check_plain(values: Any) -> None:
    for key, text in _strings(values):
        if _calls_resolver(text):
            raise UpsDataError(
                f"{key} is {text!r}, which reads from outside of the configuration: write the value itself, or allow "
                "it with --allow-env (in Python: load_config(…, allow_env=True))"
            )


def _strings(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, str):
        yield prefix, values
    elif isinstance(values, dict | list):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from _strings(value, f"{prefix}.{key}" if prefix else str(key))


def _calls_resolver(text: str) -> bool:
    """Whether there is a colon within `${…}`: the name of another key has none."""
    depth = place = 0
    while place < len(text):
        if text.startswith("${", place):
            depth, place = depth + 1, place + 1
        elif depth and text[place] == "}":
            depth -= 1
        elif depth and text[place] == ":":
            return True
        place += 1
    return False
