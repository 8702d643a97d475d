"""In a candidate's process: becomes a compiled program, which it executes from a descriptor.

The filter of system calls lets `execveat` by, on one descriptor. What else that could be used for, once the program
runs, is taken away otherwise. The descriptor closes with the execution, and its number is then beyond the limit of open
files, so that nothing can be put in its place. A path, which the filter cannot see, may be given as well, but Landlock
lets no file be executed by one. Memory files, which Landlock does not look at, are without that right (`Cell.execute`),
and no call is left that gives it to them. What remains is the program itself, through /proc/self/exe: it can start
over, bound as before.
"""

import mmap
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tts.sandbox.guest import candidate, confine, seccomp, wire
else:
    import candidate
    import confine
    import seccomp
    import wire

STREAMS = 3
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by the interpreter, which an execution would pass on
NOT_EXECUTABLE = 126  # the exit code that shells have for it


def run(fds: tuple[int, ...], confinement: confine.Confinement, began: mmap.mmap) -> NoReturn:
    """Bind this process and become the program, with the descriptors that the host gave and nothing else."""
    confinement.apply(seccomp.Filter(False, confinement.libc, wire.EXECUTABLE))
    executable, *streams = fds
    for target, given in enumerate(streams[:STREAMS]):
        os.dup2(given, target)
    os.dup2(executable, wire.EXECUTABLE, inheritable=False)
    os.closerange(STREAMS, wire.EXECUTABLE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wire.EXECUTABLE, wire.EXECUTABLE))
    # Without a limit, glibc gives threads 2 MiB each; with one, all of it, of which few fit.
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    candidate.begin(began)
    try:
        os.execve(wire.EXECUTABLE, ["program"], {})
    except OSError as error:  # which a program can bring about, such as by asking for an interpreter of its own
        print(f"The kernel does not execute the program: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_EXECUTABLE)
