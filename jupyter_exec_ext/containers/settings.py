"""`ContainerSettings`: what a container may do. The defaults are strict; an administrator may loosen them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HOME", "PRIVATE", "PROGRAM", "WORKSPACE", "ContainerSettings"]

#: The directories within a container: where code runs, where blocks without a name lie, the supervisor, home.
WORKSPACE = "/workspace"
PRIVATE = "/run/jupyter-exec"
PROGRAM = "/opt/jupyter-exec"
HOME = "/home/exec"

#: Who code runs as where the server is root; else it is the server's own user, who then owns what is mounted.
_USER = 1000
_MIB = 1024 * 1024


def _own_user() -> str:
    user = os.getuid() if hasattr(os, "getuid") else 0
    group = os.getgid() if hasattr(os, "getgid") else 0
    return f"{user}:{group}" if user else f"{_USER}:{_USER}"


@dataclass(frozen=True)
class ContainerSettings:
    """What a container gets of its machine.

    Parameters
    ----------
    memory_bytes : int
        Memory of everything in it together, swap included (there is none); its files below `/tmp`, the
        workspace and home are part of it.
    cpus : float
        Processors it may use, in parts of one.
    pids : int
        Processes and threads at once.
    open_files : int
        Open descriptors of one process.
    file_bytes : int
        Size of one written file.
    workspace_bytes, tmp_bytes : int
        Size of the workspace; of `/tmp`, of home and of the directory of the blocks' files, each.
    network : str
        ``none``, or the name of a network of the engine.
    user : str
        Numbers of user and group, ``1000:1000``.
    options : mapping
        Further arguments of docker-py's ``create_host_config``, by its names, which win.
    """

    memory_bytes: int = 1024 * _MIB
    cpus: float = 1.0
    pids: int = 256
    open_files: int = 1024
    file_bytes: int = 1024 * _MIB
    workspace_bytes: int = 512 * _MIB
    tmp_bytes: int = 128 * _MIB
    network: str = "none"
    user: str = field(default_factory=_own_user)
    options: Mapping[str, Any] = field(default_factory=dict)

    def host_config(self, volume: str, places: Iterable[str] = ()) -> dict[str, Any]:
        """Return the arguments of docker-py's ``create_host_config``.

        Parameters
        ----------
        volume : str
            The volume in which the supervisor is; it is mounted read-only.
        places : iterable of str
            Where the image wants volumes, which would be on the host's disk and without a bound; they are
            bounded and in memory, as the workspace is.
        """
        return {
            "network_mode": self.network,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "ipc_mode": "private",
            "mem_limit": self.memory_bytes,
            "memswap_limit": self.memory_bytes,
            "nano_cpus": int(self.cpus * 1e9),
            "pids_limit": self.pids,
            "ulimits": self._ulimits(),
            "tmpfs": self._filesystems(places),
            "binds": {volume: {"bind": PROGRAM, "mode": "ro"}},
            "log_config": {"type": "local", "config": {"max-size": "5m", "max-file": "2"}},
            **self.options,
        }

    def _ulimits(self) -> list[dict[str, Any]]:
        bounds = {"core": 0, "nofile": self.open_files, "fsize": self.file_bytes}
        return [{"name": name, "soft": most, "hard": most} for name, most in bounds.items()]

    def _filesystems(self, places: Iterable[str]) -> dict[str, str]:
        user, _, group = self.user.partition(":")
        mine = f"rw,exec,nosuid,nodev,uid={user},gid={group or user}"
        return {
            **dict.fromkeys(places, f"{mine},size={self.tmp_bytes}"),
            "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={self.tmp_bytes}",  # noqa: S108 - the container's own
            WORKSPACE: f"{mine},mode=0700,size={self.workspace_bytes}",
            HOME: f"{mine},mode=0700,size={self.tmp_bytes}",
            PRIVATE: f"{mine},mode=0700,size={self.tmp_bytes}",
        }

    def variables(self) -> dict[str, str]:
        """Return the variables that name the user."""
        return {"HOME": HOME, "USER": "exec", "LOGNAME": "exec"}
