"""The files that a case of EnSight names."""

import re
from fnmatch import translate
from os.path import isdir, lexists, realpath
from pathlib import Path

from ups_data.errors import UpsDataError
from ups_data.sources.links import is_inside
from ups_data.sources.meshes.references.inside import inside
from ups_data.sources.options import SourceOptions


def check_case(path: Path, options: SourceOptions) -> None:
    """Look at every file that a case of EnSight may name: any word of it, a `*` stands for the number of a step.

    Raises:
        UpsDataError: one is no regular file or lies outside of the folder.
    """
    lines = path.read_text("latin-1").splitlines()
    words = {word.strip("\"'") for line in lines if not line.startswith("#") for word in line.split()}
    wild = [re.compile(translate(re.sub(r"\*+", "*", word))) for word in words if "*" in word and "/" not in word]
    there = {entry.name for entry in path.parent.iterdir()} if wild else set()
    named = {name for name in there for pattern in wild if pattern.match(name)}
    for word in sorted(words | named):
        folder, _, _ = word.rpartition("/")
        if not options.allow_links and not is_inside(realpath(path.parent / folder), realpath(path.parent)):
            raise UpsDataError(f"{path}: names {word}, outside of its folder: copy it there, or give --allow-links")
        if "*" in word and folder:
            for file in sorted((path.parent / folder).glob(re.sub(r"\*+", "*", word.rpartition("/")[2]))):
                inside(path, str(file.relative_to(path.parent)), options)
        elif lexists(path.parent / word) and not isdir(path.parent / word):
            inside(path, word, options)
