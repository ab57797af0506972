"""YAML from anywhere: looked at before it is made into objects, which may be far more than the text says."""

from typing import Any

import yaml  # type: ignore[import-untyped]


def parse_yaml(text: str, most: int) -> Any:
    """What a text of YAML holds, as plain values.

    Raises:
        ValueError: it holds more values than `most`, or is too deep.
        yaml.YAMLError: it is none.
    """
    check_yaml(text, most)
    return yaml.safe_load(text)


def check_yaml(text: str, most: int) -> None:
    """Count what a text of YAML holds, with its aliases written out: a few lines of aliases of aliases are gigabytes.

    Raises:
        ValueError, yaml.YAMLError: see `parse_yaml`.
    """
    if sum(text.count(mark) for mark in ",\n[{") > most:  # it takes time to count exactly
        raise ValueError(f"more than {most:,} values")
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            sizes[id(node)] = most + 1  # of a node within itself
            sizes[id(node)] = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, parts)))
        return sizes[id(node)]

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        count = 0 if root is None else size(root)
    except RecursionError:
        raise ValueError("lists within lists, too many to follow") from None
    if count > most:
        raise ValueError(f"more than {most:,} values")
