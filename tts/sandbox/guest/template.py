"""In a program's template: reads and compiles the program once, and forks itself for each of its tests.

Nothing of the program's runs here, and its tests are processes that never met: all that they share is what was made of
its text. A fork is a child of the zygote's, not of the template's, so that it is watched and buried as any other.
"""

import ctypes
import mmap
import os
import platform
import socket
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tts.sandbox.guest import candidate, confine, seccomp, wire
else:
    import candidate
    import confine
    import seccomp
    import wire

LISTENING = 15  # a descriptor beyond a candidate's own
STREAMS = 3
THREAD_INTEGERS = (
    256  # of what glibc keeps of a thread, where its number is (at 0x2d0 bytes on x86-64, 0xd0 on aarch64)
)


def run(
    request: "wire.Request", fds: tuple[int, ...], confinement: "confine.Confinement", began: mmap.mmap
) -> NoReturn:
    """Serve the tests that come by the session, the second of the descriptors; the first is the program's text."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(STREAMS):  # else all tests of all programs could reach the zygote's own through /proc
        os.dup2(nothing, stream)
    confinement.apply_to_template()
    os.dup2(fds[1], LISTENING, inheritable=False)
    program = candidate.Program(request, fds[0])
    os.closerange(candidate.OWN_FILES, LISTENING)
    os.closerange(LISTENING + 1, 4096)
    program.try_compile()
    session = socket.socket(fileno=LISTENING)
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
    """fork(2) with the caller's parent as the parent of the child. The interpreter need not be told: there is one
    thread, which holds its lock all the while. glibc is, since it keeps the thread's number, by which it signals it.
    """

    def __init__(self) -> None:
        place, _ = seccomp.PROCESSORS[platform.machine()]
        self.call = ctypes.PyDLL(None, use_errno=True).syscall
        self.arguments = [ctypes.c_long(number) for number in (seccomp.CLONE[place], seccomp.FORK, 0, 0, 0, 0)]
        kept = (ctypes.c_int * THREAD_INTEGERS).from_address(threading.get_ident())  # glibc's pthread_t is its address
        found = [i for i, number in enumerate(kept) if number == threading.get_native_id()]
        self.kept, self.places = kept, found if len(found) == 1 else []

    def __call__(self) -> int:
        """The child's number, 0 in the child."""
        pid = int(self.call(*self.arguments))
        if pid == -1:
            raise OSError(ctypes.get_errno(), "clone")
        if pid == 0:
            for place in self.places:
                self.kept[place] = os.getpid()
        return pid
