"""The command line: every subject's command, and what is wrong with what was asked in one line."""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from divjax.cli.cache import default_folder, keep_programs
from divjax.compare.command import compare
from divjax.studies.adversarial.command import adversarial
from divjax.studies.digits.command import digits
from divjax.studies.huszar.command import huszar
from divjax.studies.likelihood.command import likelihood
from divjax.studies.phase.command import phase
from divjax.studies.remedy.command import remedy
from divjax.studies.sample.command import fit
from divjax.studies.topics.command import topics
from divjax.studies.two_modes.command import sweep

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

INTERRUPTED = (130, 143, 129)  # Ctrl-C, SIGTERM, SIGHUP
LONGEST = 1000  # letters of a message; what comes from a file is cut before


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors that a user can mend are one line on stderr and exit code 2."""
    # Tracing makes millions of objects that stay; to look through them for garbage as often as usual is a tenth of it.
    gc.set_threshold(200_000, 50, 50)
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no μ shows a question mark, and goes on
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    usage_error = typer.BadParameter.__mro__[2]  # click's own, wherever typer keeps it
    try:
        code = app(args=arguments, standalone_mode=False)
    except usage_error as error:
        code = _refuse(error.format_message())
    except (ValueError, OSError) as error:
        code = _refuse(str(error))
    except (RuntimeError, AssertionError) as error:
        if (wanted := _without_device()) is None:
            raise
        code = _refuse(
            f"Expected a device of JAX_PLATFORMS={wanted}; JAX found none ({str(error) or 'no backend'}). Unset it."
        )
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED[0]
    except SystemExit as stop:  # after SIGTERM or SIGHUP
        code = stop.code
    if code in INTERRUPTED:  # typer turns Ctrl-C into the first of them, or lets it through, by its version
        print("divjax: interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        if arguments is None:  # threads that compile would be waited for; files are whole at any time
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    if arguments is None:  # nor is there a need to look through them at the end of the process
        gc.freeze()
    sys.exit(code)


def _without_device():
    """The platforms that were asked for, where JAX finds none of them; None where it does."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return os.environ.get("JAX_PLATFORMS")
    return None


def _refuse(message):
    """One line: a file's name, or a cell of it, may hold anything."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(message.split()))
    print("divjax: " + (line if len(line) <= LONGEST else line[:LONGEST] + " …"), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    cache: Annotated[
        str,
        typer.Option(
            envvar="DIVJAX_CACHE",
            metavar="<path>|off",
            help="Folder for compiled programs, which the next run need not compile; by default in your cache folder.",
        ),
    ] = "",
) -> None:
    """Differentiable divergences: sweeps of fits, and fits to your own sample."""
    if cache != "off" and (cache or "JAX_COMPILATION_CACHE_DIR" not in os.environ):  # JAX's own setting stands
        keep_programs(Path(cache).expanduser() if cache else default_folder())
    if version:
        from importlib.metadata import version as installed

        print(installed("divjax"))
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


for _command in (sweep, fit, compare, adversarial, huszar, phase, remedy, likelihood, topics, digits):
    app.command(_command.__name__)(_command)
