"""In a program's template: reads and compiles the program once, and forks itself for each of its tests.

Nothing of the program's runs here, and its tests are processes that never met: all that they share is what was made of
its text. A fork is a child of the zygote's, not of the template's, so that it is watched and buried as any other.
"""

import ctypes
import mmap
import os
import platform
import socket
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tts.sandbox.guest import candidate, confine, seccomp, wire
else:
    import candidate
    import confine
    import seccomp
    import wire

SESSION = 15  # beyond a candidate's own descriptors


def run(
    request: "wire.Request", fds: tuple[int, ...], confinement: "confine.Confinement", began: mmap.mmap
) -> NoReturn:
    """Serve the tests that come by the session, the second of the descriptors; the first is the program's text."""
    confinement.apply(confinement.template_filter)
    os.dup2(fds[1], SESSION, inheritable=False)
    program = candidate.Program(request, fds[0])
    os.closerange(candidate.OWN_FILES, SESSION)
    os.closerange(SESSION + 1, 4096)
    program.try_compile()
    session = socket.socket(fileno=SESSION)
    fork = Fork()
    while True:
        message, given, _, _ = socket.recv_fds(session, len(wire.GO), wire.FILES)
        if message != wire.GO:
            os._exit(0)
        if fork() == 0:
            confinement.apply_to_fork()
            candidate.run_forked(program, tuple(given), began)
        for fd in given:
            os.close(fd)


class Fork:
    """fork(2) with the caller's parent as the parent of the child, which the interpreter need not be told of: there is
    one thread, and it holds the interpreter's lock all the while.
    """

    def __init__(self) -> None:
        place, _ = seccomp.PROCESSORS[platform.machine()]
        self.call = ctypes.PyDLL(None, use_errno=True).syscall
        self.arguments = [ctypes.c_long(number) for number in (seccomp.CLONE[place], seccomp.FORK, 0, 0, 0, 0)]

    def __call__(self) -> int:
        """The child's number, 0 in the child."""
        pid = int(self.call(*self.arguments))
        if pid == -1:
            raise OSError(ctypes.get_errno(), "clone")
        return pid
