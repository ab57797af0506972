"""The build step that pyproject.toml cannot state: the wheel holds a copy of `configs/`, which users see at the top."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = sorted(Path("configs").glob("*.yaml"))
INSTALLED = Path("ups_data", "cli", "configs")  # where ups_data/cli/shipped.py looks for them


class BuildWithConfigs(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for config in CONFIGS:
                target = Path(self.build_lib) / INSTALLED / config.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(config, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        copies = [str(Path(self.build_lib) / INSTALLED / config.name) for config in CONFIGS]
        return [*super().get_outputs(include_bytecode), *copies]


setup(cmdclass={"build_py": BuildWithConfigs})
