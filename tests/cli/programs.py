"""Commands run inside this process, which is much faster than starting one for each."""

from typer.testing import CliRunner, Result

from ups_data.cli.main import app

ESCAPE, BELL = "\x1b", "\x07"


def invoke(*arguments: object, columns: int = 80) -> Result:
    """Run `ups-data ARGUMENTS` in a terminal of that width; errors are raised, as the program has yet to print them."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def printed(*arguments: object, columns: int = 80) -> str:
    """What a command prints that ends well."""
    result = invoke(*arguments, columns=columns)
    assert result.exit_code == 0, result.output
    return result.stdout
