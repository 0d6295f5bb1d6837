"""``python -m jupyter_exec_ext``: a Jupyter Server with this extension; ``--help-all`` lists all options."""

from .app import ExecApp

if __name__ == "__main__":
    ExecApp.launch_instance()  # type: ignore[no-untyped-call]
