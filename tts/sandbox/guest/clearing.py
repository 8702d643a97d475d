"""Empties a folder of whatever a program has left there, however deep, and gives back its own rights.

Goes down by one name at a time and up again, so that no path is ever too long, no descriptor is held and nothing is
recursive; what a program named, it also may not have given the rights to look into. Runs in the zygote, when no process
of the program's lives or it only waits, and by itself for a host whose zygote was killed.
"""

import contextlib
import os
import stat
import sys

RIGHTS = 0o700


def empty(folder: str) -> None:
    """Leaves this process in the folder. Raises OSError if anything cannot be removed."""
    os.chmod(folder, RIGHTS)
    os.chdir(folder)
    levels = [("", os.listdir())]  # by what name each folder was entered, and what is left in it
    while levels:
        name, rest = levels[-1]
        if rest:
            inner = rest.pop()
            if not _remove(inner):
                levels.append((inner, _enter(inner)))
        else:
            levels.pop()
            if levels:
                os.chdir("..")
                os.rmdir(name)


def _remove(name: str) -> bool:
    """Whether it is gone; only a folder that is not empty stays."""
    if not stat.S_ISDIR(os.lstat(name).st_mode):
        os.unlink(name)
        return True
    with contextlib.suppress(OSError):
        os.rmdir(name)
        return True
    return False


def _enter(name: str) -> list[str]:
    with contextlib.suppress(PermissionError):  # another user's, which root may enter as it is
        os.chmod(name, RIGHTS)
    os.chdir(name)
    return os.listdir()


if __name__ == "__main__":
    empty(sys.argv[1])
