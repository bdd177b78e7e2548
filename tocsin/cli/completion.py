"""What bash, zsh and fish need to complete commands and options."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from runtime.errors import InvalidRequest

from .output import printable

Shell = Literal["bash", "zsh", "fish"]


def print_or_install(app: App, shell: Shell | None, install: bool) -> None:
    """Print the script, or write it where the shell looks for it. shell: the one that runs this, if not said."""
    from cyclopts.completion import ShellDetectionError, detect_shell

    try:
        wanted = shell or detect_shell()
    except ShellDetectionError:
        raise InvalidRequest("say which shell: bash, zsh or fish") from None
    if install:
        print(printable(f"written to {app.install_completion(shell=wanted)}; it works in the next shell"))
    else:
        print(app.generate_completion(shell=wanted))
