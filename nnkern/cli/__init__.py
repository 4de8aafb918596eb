"""The command line: nnkern info, nnkern bench, nnkern train. Needs the extra `cli`."""

import sys


def main() -> None:
    try:
        from .app import app

        app()
    except ModuleNotFoundError as e:
        if (e.name or "").partition(".")[0] == "nnkern":
            raise
        sys.exit(f"the command line needs the package '{e.name}': pip install 'nnkern[cli]'")
