"""Files of a workspace, relative to a directory handle, never following a link out of it.

Every part of a path is opened on its own, from the handle of the one before, without following
links; so whatever a program renames or links meanwhile, what is opened is below the workspace.
(Python 3.8, standard library only; POSIX.)
"""

from __future__ import annotations

import errno
import os
import stat

from .listing import Listing
from .newfile import NewFile, Temporary
from .paths import PRIVATE, WORKSPACE, FileRefused, describe, in_the_way, not_empty, parts_of
from .root import SEARCH, Root, below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .listing import Found


class Workspace:
    """The directory in which a session's code runs.

    Parameters
    ----------
    root : str
        The directory, absolute and without a link in it.
    private : bool
        Whether it is the session's own: only the user may look into what is made there. Elsewhere
        files and directories are made as any editor would make them.
    """

    def __init__(self, root: str, private: bool = False) -> None:
        self.root, self._private = root, private
        self._root = Root(root, PRIVATE if private else WORKSPACE)
        self._spare: Temporary | None = None

    def enter(self) -> tuple[int, int] | None:
        """Make it the current directory: see `Root.enter`."""
        return self._root.enter()

    def make(self) -> None:
        """Make it anew where it was removed: see `Root.make`."""
        self._root.make()

    def _descend(self, parts: Sequence[str], make: bool = False) -> int:
        """A handle on a directory, to look things up in it."""
        handle, reached = os.dup(self._root.handle()), []
        try:
            for part in parts:
                reached.append(part)
                if make:
                    _make(handle, part, 0o700 if self._private else 0o777)
                handle = below(handle, part, SEARCH)
        except OSError as error:
            os.close(handle)
            if make and isinstance(error, NotADirectoryError):
                raise in_the_way("/".join(reached)) from None
            raise
        return handle

    def _parent(self, path: str, make: bool = False) -> tuple[int, str]:
        """A handle on the directory that holds `path`, and the last part of it."""
        *above, name = parts_of(path)
        try:
            return self._descend(above, make), name
        except OSError as error:
            raise _refusal(path, error) from None

    def open(self, path: str) -> tuple[int, int]:
        """A descriptor to read a regular file with, and its size."""
        handle, name = self._parent(path)
        try:
            # O_NONBLOCK: a FIFO of that name must not block us.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=handle)
        except OSError as error:
            raise _refusal(path, error) from None
        finally:
            os.close(handle)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise FileRefused("refused", f"{path!r} is not a regular file; only those can be read.")
        return descriptor, status.st_size

    def create(self, path: str) -> NewFile:
        """A `NewFile` that takes the place of `path` when it is complete."""
        handle, name = self._parent(path, make=True)
        spare = self._take_spare(handle) if "/" not in path else None
        try:
            mode = 0o600 if self._private else 0o666
            return NewFile(handle, name, path, mode, spare)
        except OSError as error:
            os.close(handle)
            raise _refusal(path, error) from None
        except BaseException:
            os.close(handle)
            raise

    def prepare(self) -> None:
        """Make the next file of a private directory before it is asked for.

        That can take as long as all the rest of a block: ext4 looks at every file that was deleted within
        the last minutes before it takes a new one's place.
        """
        if self._spare is None:
            try:
                self._spare = Temporary(self._root.handle(), 0o600)
            except (OSError, FileRefused):
                pass  # whoever asks for a file will be told

    def _take_spare(self, handle: int) -> Temporary | None:
        spare, self._spare = self._spare, None
        if spare is None or spare.is_untouched(handle):
            return spare
        spare.discard(handle)
        return None

    def tidy(self) -> None:
        """Remove what `prepare` has made."""
        if self._spare is not None:
            spare, self._spare = self._spare, None
            try:
                spare.discard(self._root.handle())
            except FileRefused:
                pass  # it is gone with its directory

    def delete(self, path: str) -> None:
        """Remove a file or a link (not what it points at), or an empty directory."""
        handle, name = self._parent(path)
        try:
            is_directory = stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode)
            (os.rmdir if is_directory else os.unlink)(name, dir_fd=handle)
        except OSError as error:
            raise _refusal(path, error) from None
        finally:
            os.close(handle)

    def list(self) -> Listing:
        """What is in the workspace, links as links."""
        return Listing(self._scan, describe)

    def _scan(self, folder: str) -> Found:
        handle = self._descend(folder.split("/") if folder else [])
        try:
            handle = below(handle, ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with os.scandir(handle) as found:
                yield from found
        finally:
            os.close(handle)


def _make(handle: int, part: str, mode: int) -> None:
    try:
        os.mkdir(part, mode, dir_fd=handle)
    except FileExistsError:
        pass


def _refusal(path: str, error: OSError) -> FileRefused:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return FileRefused("not_found", f"There is no file {path!r} in the workspace.")
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # which of the two depends on the system
        return not_empty(path)
    if error.errno == errno.ELOOP:  # a link where none is followed: see `below`
        return FileRefused("refused", f"{path!r} is a link, or lies behind one; links are not followed.")
    return FileRefused("refused", f"{path!r} cannot be used: {error.strerror}.")
