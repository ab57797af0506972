"""What the package says names nothing that only a checkout has."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ups_data"
# A script or a folder of the checkout, or an earlier name of a command.
CHECKOUT = re.compile(r"\b(tools|configs|benchmarks|docs|tests)/|\b\w+\.py\b|_shards\b|README")
CARD = "README.md"  # the whole name of a dataset's card, which lies beside its manifest


def messages(path):
    """Texts of a file, docstrings aside."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_message_names_a_script(path):
    assert [text for text in messages(path) if CHECKOUT.search(text) and text != CARD] == []
