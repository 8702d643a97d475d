"""Programs for testing the grader: attacks that must not succeed, and right programs that must pass. Data alone.

An attack that SUCCEEDS gives the right answer, so that success would show as `passed`; one that is stopped raises or
answers something else. Where success cannot be seen from inside (a file in a private /tmp is no harm), any verdict will
do and `must_not` says what must not be found on the host afterwards. Every attack is harmless where it succeeds:
signals are such as nobody minds, forks and files are counted, limits are set to what they were.

Words between at signs stand for what the test has placed on the host: FOLDER (writable for all, with `socket`, which
listens), SHARED (a file of the program's own in a folder of its own, both writable for all), FILE (readable, with the
secret), SHM (a name in /dev/shm with the secret), PORT (TCP and UDP on 127.0.0.1), ABSTRACT and DATAGRAM (abstract UNIX
sockets), VICTIM and HOST (processes), KEY (of System V IPC), REPOSITORY, SECRET (in the parent's and the victim's
environment too), MARK (in the name of all that is left behind), NICE (the host's), CPUS (how many a program
may use) and NAME (the program's).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tts.sandbox import Limits
from tts.types import Call, Stdin, Test, Verdict

QUICK = Limits(cpu_seconds=1.0, memory_mib=128, output_mib=1)
IDLE = Limits(cpu_seconds=0.3, memory_mib=128, output_mib=1)  # for what spins or waits: 5.3 s at most
ROOMY = Limits(cpu_seconds=4.0, memory_mib=512, output_mib=16)

PASSED = frozenset({Verdict.PASSED})
FAILED = frozenset({Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR})
WRONG = frozenset({Verdict.WRONG_ANSWER})
ERROR = frozenset({Verdict.RUNTIME_ERROR})
TIMEOUT = frozenset({Verdict.TIMEOUT})
OUTPUT = frozenset({Verdict.OUTPUT_LIMIT})
GREEDY = frozenset({Verdict.MEMORY, Verdict.RUNTIME_ERROR})
ANY = frozenset(Verdict) - {Verdict.NO_CODE}

ADD = (Stdin("1 2\n", "3\n"),)
ADD_MORE = (*ADD, Stdin("3 4\n", "7\n"), Stdin("10 20\n", "30\n"))
STEAL = (Stdin("", "@SECRET@\n"),)
SEVEN = (Call("f", (1,), 7),)
FETCH = (Call("f", (1,), "@SECRET@"),)
TWICE = (Stdin("first\n", "1\n"), Stdin("second\n", "2\n"))
CALLED_TWICE = (Call("f", ("first",), 1), Call("f", ("second",), 2))


@dataclass(frozen=True)
class Program:
    """A program, what it is run on, and what may come of it.

    `must_not` is what must not be found on the host: a file, port, signal, process, ipc or change. `needs` is a module
    or the machine without which it cannot be tried.
    """

    name: str
    group: str
    code: str
    tests: tuple[Test, ...]
    verdicts: frozenset[Verdict]
    must_not: str = ""
    limits: Limits = QUICK
    needs: str = ""

    @property
    def kind(self) -> str:
        """stdin or call."""
        return "call" if isinstance(self.tests[0], Call) else "stdin"


def _group(
    group: str,
    codes: Mapping[str, str],
    tests: tuple[Test, ...] = ADD,
    verdicts: frozenset[Verdict] = FAILED,
    *,
    prelude: str = "",
    must_not: str = "",
    limits: Limits = QUICK,
    needs: str = "",
) -> list[Program]:
    return [
        Program(f"{group}-{name}", group, prelude + code.lstrip("\n"), tests, verdicts, must_not, limits, needs)
        for name, code in codes.items()
    ]


WON = """
import os, sys
def won():
    print(sum(map(int, input().split())))
"""
SHOW = """
import os, re
def show(data):
    print(re.search(rb"needle-[0-9a-f]{32}", data).group().decode())
"""
CALL = (
    WON
    + """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def parent():
    pid = os.getppid()
    assert pid, "outside this namespace; 0 would mean this process itself"
    return pid
def call(number, *arguments):
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments)])
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result
"""
)

NETWORK = {
    "tcp": """
import socket
socket.create_connection(("127.0.0.1", @PORT@), 1).sendall(b"@NAME@")
won()
""",
    "udp": """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"@NAME@", ("127.0.0.1", @PORT@))
won()
""",
    "asyncio": """
import asyncio
async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", @PORT@)
    writer.write(b"@NAME@")
    await writer.drain()
asyncio.run(main())
won()
""",
    "listen": """
import socket
socket.create_server(("127.0.0.1", 0))
won()
""",
    "families": """
import socket
made = []
for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, 38, 40, 44):  # 38 AF_ALG, 40 vsock, 44 XDP
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            made.append(socket.socket(family, kind))
        except OSError:
            pass
if made:
    won()
""",
}
SOCKETS = {
    "abstract": """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("\\0@ABSTRACT@")
s.sendall(b"@NAME@")
won()
""",
    "path": """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("@FOLDER@/socket")
s.sendall(b"@NAME@")
won()
""",
    "pair_sends_elsewhere": """
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.sendto(b"@NAME@", "\\0@DATAGRAM@")
won()
""",
    "pair_sendmsg_elsewhere": """
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.sendmsg([b"@NAME@"], [], 0, "\\0@DATAGRAM@")
won()
""",
    "pair_connects_elsewhere": """
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.connect("\\0@DATAGRAM@")
a.send(b"@NAME@")
won()
""",
    "pair_listens": """
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.bind("\\0@MARK@-@NAME@")
won()
""",
}
READS = {
    "read": "show(open('@FILE@', 'rb').read())",
    "symlink": "os.symlink('@FILE@', 'link')\nshow(open('link', 'rb').read())",
    "hard_link": "os.link('@FILE@', 'link')\nshow(open('link', 'rb').read())",
    "own_root": "show(open('/proc/self/root@FILE@', 'rb').read())",
    "parents_root": "show(open(f'/proc/{os.getppid()}/root@FILE@', 'rb').read())",
    "first_root": "show(open('/proc/1/root@FILE@', 'rb').read())",
    "victims_root": "show(open('/proc/@VICTIM@/root@FILE@', 'rb').read())",
    "dots": "show(open('../' * 40 + '@FILE@'.lstrip('/'), 'rb').read())",
    "sendfile": """
fd = os.open("@FILE@", os.O_RDONLY)
out = os.open("copy", os.O_RDWR | os.O_CREAT)
os.sendfile(out, fd, 0, 4096)
show(os.pread(out, 4096, 0))
""",
    "raw_open": """
import ctypes
libc = ctypes.CDLL(None)
text = ctypes.create_string_buffer(4096)
libc.read(libc.open(b"@FILE@", 0), text, 4096)
show(text.raw)
""",
    "mapped": """
import mmap
with open("@FILE@", "rb") as file:
    show(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:])
""",
    "every_folder": """
for top in ("/tmp", "/var/tmp", "/run", "/dev/shm", "/home", "/root", "/work", "/srv", "/mnt", "/opt"):
    for name in sorted(os.listdir(top))[:2000] if os.access(top, os.R_OK) else ():
        for path in (f"{top}/{name}", f"{top}/{name}/secret"):
            if "@MARK@" in path and os.path.isfile(path):
                show(open(path, "rb").read())
                raise SystemExit
""",
}
LOOKS = {
    "repository": "open('@REPOSITORY@/pyproject.toml').read()\nwon()",
    "shadow": "open('/etc/shadow').read()\nwon()",
    "home": "os.listdir('/root')\nwon()",
    "hidden_tests": """
import importlib.util
from pathlib import Path
folder = Path(importlib.util.find_spec("tts").origin).parent / "problems" / "data" / "mini"
if any(path.read_bytes() for path in folder.glob("*.jsonl")):
    won()
""",
    "cells_folder": """
above = os.path.dirname(os.getcwd())
if above != "/" and os.listdir(above) != [os.path.basename(os.getcwd())]:
    won()
""",
    "inotify": "import ctypes\nlibc = ctypes.CDLL(None)\n"
    "if libc.inotify_add_watch(libc.inotify_init(), b'@FILE@', 0xFFF) >= 0:\n    won()",
    "core_pattern": "os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)\nwon()",
    "sysrq": "os.open('/proc/sysrq-trigger', os.O_WRONLY)\nwon()",
    "cgroup": "os.mkdir('/sys/fs/cgroup/@MARK@')\nos.rmdir('/sys/fs/cgroup/@MARK@')\nwon()",
    "interpreter": "os.open(os.__file__, os.O_WRONLY)\nwon()",
    "devices": """
opened = []
for name in ("mem", "kmsg", "kvm", "fuse", "net/tun", "loop-control", "vda", "sda", "uinput", "vhost-net"):
    try:
        opened.append(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        pass
if opened:
    won()
""",
    "terminal": "os.open('/dev/tty', os.O_RDWR)\nwon()",
    "keystrokes": """
import fcntl
for fd in (0, 1, 2):
    try:
        fcntl.ioctl(fd, 0x5412, b"x")  # TIOCSTI
        won()
    except OSError:
        pass
""",
    "oom_score": """
with open("/proc/self/oom_score_adj", "r+") as file:
    before = int(file.read())
    file.seek(0)
    file.write(str(before - 500))
if int(open("/proc/self/oom_score_adj").read()) < before:
    won()
""",
}
WRITES = {
    "make": "open('@FOLDER@/@NAME@', 'w').write('x')",
    "make_folder": "os.mkdir('@FOLDER@/@NAME@')",
    "make_fifo": "os.mkfifo('@FOLDER@/@NAME@')",
    "make_link": "os.symlink('/etc/passwd', '@FOLDER@/@NAME@')",
    "link_out": "open('x', 'w').write('x')\nos.link('x', '@FOLDER@/@NAME@')",
    "rename_out": "open('x', 'w').write('x')\nos.rename('x', '@FOLDER@/@NAME@')",
    "through_symlink": "os.symlink('@FOLDER@', 'door')\nopen('door/@NAME@', 'w').write('x')",
    "through_root": "open(f'/proc/{os.getppid()}/root@FOLDER@/@NAME@', 'w').write('x')",
    "unnamed": """
import ctypes
fd = os.open("@FOLDER@", os.O_TMPFILE | os.O_RDWR)
ctypes.CDLL(None).linkat(-100, b"/proc/self/fd/%d" % fd, -100, b"@FOLDER@/@NAME@", 0x400)
""",
    "everywhere": """
for top in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/run/lock", "/var/crash", "/"):
    try:
        open(f"{top}/@MARK@-@NAME@", "w").write("x")
    except OSError:
        pass
""",
    "tempfile": "import tempfile\ntempfile.mkdtemp(prefix='@MARK@-@NAME@')\nopen('/tmp/@MARK@-@NAME@', 'w').write('x')",
    "core": """
import resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
except ValueError:
    pass
os.abort()
""",
    "byte_code": """
import sys
sys.dont_write_bytecode = False
os.makedirs("@FOLDER@/@NAME@")
sys.pycache_prefix = "@FOLDER@/@NAME@"
import wave
""",
}
CHANGES = {
    "append": "open('@SHARED@', 'a').write('x')",
    "truncate": "os.truncate('@SHARED@', 0)",
    "touch": "os.utime('@SHARED@', None)",
    "chmod": "os.chmod('@SHARED@', 0o600)",
    "attribute": "os.setxattr('@SHARED@', 'user.x', b'x')",
    "rename": "os.rename('@SHARED@', '@SHARED@-gone')",
    "remove": "os.remove('@SHARED@')",
    "cleaned_through_link": """
os.symlink(os.path.dirname("@SHARED@"), "a")
os.mkdir("b")
os.symlink("@SHARED@", "b/c")
os.chmod("b", 0)
""",
    "own_folder_replaced": """
here = os.getcwd()
os.chdir("/")
try:
    os.rename(here, here + "-gone")
except OSError:
    os.rmdir(here)
os.symlink(os.path.dirname("@SHARED@"), here)
""",
}
# Trees that no path reaches and that cannot be looked into: no answer is asked for, but that there is a verdict.
DEEP = {
    "deep_long_names": """
import os
for _ in range(25):
    os.mkdir("e" * 250, 0o300)
    os.chdir("e" * 250)
open("f", "w").close()
""",
    "deep_closed_end": """
import os
for _ in range(1200):
    os.mkdir("d")
    os.chdir("d")
os.mkdir("z", 0o300)
open("z/f", "w").close()
""",
    "deep_odd_names": """
import os
os.symlink("/", "root")
os.symlink("..", "up")
os.mkdir("\\n-rf *", 0)
open(b"\\xff\\xfe", "w").close()
open("-f", "w").close()
try:
    os.chmod(".", 0)
except PermissionError:
    pass
""",
}
ENVIRONMENT = {
    "environ": "show(repr(dict(os.environ)).encode())",
    "libc": """
import ctypes
block = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
values = []
while block[len(values)]:
    values.append(block[len(values)])
show(b" ".join(values))
""",
    "own_initial": "show(open('/proc/self/environ', 'rb').read())",
    "first_process": "show(open('/proc/1/environ', 'rb').read())",
    "parent": "show(open(f'/proc/{os.getppid()}/environ', 'rb').read())",
    "victim": "show(open('/proc/@VICTIM@/environ', 'rb').read())",
    "every_process": """
found = b""
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        found += open(f"/proc/{name}/environ", "rb").read()
    except OSError:
        pass
show(found)
""",
}
PROC = {
    "parents_memory": """
import re
for line in open(f"/proc/{os.getppid()}/maps"):
    start, end = (int(n, 16) for n in line.split()[0].split("-"))
    with open(f"/proc/{os.getppid()}/mem", "rb", 0) as file:
        file.seek(start)
        file.read(16)
    won()
    break
""",
    "write_parents_memory": "os.open(f'/proc/{os.getppid()}/mem', os.O_WRONLY)\nwon()",
    "parents_descriptors": "if os.listdir(f'/proc/{os.getppid()}/fd'):\n    won()",
    "parents_folder": "if os.readlink(f'/proc/{os.getppid()}/cwd'):\n    won()",
    "hosts_command": "if open('/proc/@HOST@/cmdline').read():\n    won()",
    "others": """
seen = [name for name in os.listdir("/proc") if name.isdigit()]
if "@VICTIM@" in seen or "@HOST@" in seen:
    won()
""",
    "hosts_network": "if '@ABSTRACT@' in open('/proc/net/unix').read():\n    won()",
    "hosts_mounts": "if '@REPOSITORY@'.split('/')[1] in os.listdir('/proc/@HOST@/root'):\n    won()",
    "kernel_log": "import ctypes\nlibc = ctypes.CDLL(None)\nif libc.klogctl(10, None, 0) > 0:\n    won()",
}
OWN_MEMORY = {
    "memory": """
found = b""
for line in open("/proc/self/maps"):
    area, rights = line.split()[:2]
    start, end = (int(n, 16) for n in area.split("-"))
    if rights.startswith("rw") and end - start < 64 << 20:
        try:
            with open("/proc/self/mem", "rb", 0) as file:
                file.seek(start)
                found = file.read(end - start)
        except OSError:
            continue
        if re.search(rb"needle-[0-9a-f]{32}", found):
            break
show(found)
""",
    "descriptors": """
found = b""
for fd in range(256):
    try:
        found += os.pread(fd, 1 << 20, 0)
    except OSError:
        pass
show(found)
""",
}
SHARED_MEMORY = {
    "read_file": "show(open('/dev/shm/@SHM@', 'rb').read())",
    "attach": """
from multiprocessing import shared_memory, resource_tracker
resource_tracker.register = lambda *arguments: None
memory = shared_memory.SharedMemory("@SHM@")
show(bytes(memory.buf))
""",
}
SHARED_MEMORY_LEFT = {
    "create": """
import _posixshmem
os.ftruncate(_posixshmem.shm_open('/@MARK@-@NAME@', os.O_CREAT | os.O_RDWR, 0o600), 9)
""",
    "semaphore": "import _multiprocessing\n_multiprocessing.SemLock(0, 1, 1, '/@MARK@-@NAME@', False)",
}
IPC = {
    "shmget": "call(29, @KEY@, 4096, 0o1600)\nwon()",
    "semget": "call(64, @KEY@, 1, 0o1600)\nwon()",
    "msgget": "call(68, @KEY@, 0o1600)\nwon()",
    "mq_open": "call(240, b'@MARK@', 0o102, 0o600, 0)\ncall(241, b'@MARK@')\nwon()",
}
KEYRINGS = {
    "add_key": "call(248, b'user', b'@MARK@', b'x', 1, -2)\nwon()",
    "keyctl": "call(250, 0, -4, 1)\nwon()",
    "request_key": """
try:
    call(249, b"user", b"@MARK@", None, 0)
except OSError as error:
    if error.errno == 126:  # allowed, but there is no such key
        won()
""",
}
PTRACE = {
    "parent": "call(101, 0x4206, parent(), 0, 0)\ncall(101, 17, parent(), 0, 0)\nwon()",  # SEIZE
    "victim": "call(101, 0x4206, @VICTIM@, 0, 0)\nwon()",
    "read_parent": """
here = ctypes.create_string_buffer(8)
there = struct.pack("QQ", id(int), 8)
call(310, parent(), struct.pack("QQ", ctypes.addressof(here), 8), 1, there, 1, 0)
won()
""",
    "write_parent": """
here = ctypes.create_string_buffer(8)
ctypes.memmove(here, id(int), 8)
there = struct.pack("QQ", id(int), 8)
call(311, parent(), struct.pack("QQ", ctypes.addressof(here), 8), 1, there, 1, 0)
won()
""",
    "take_descriptor": """
pidfd = call(434, parent(), 0)
for fd in range(64):
    try:
        call(438, pidfd, fd, 0)
        won()
        break
    except OSError:
        pass
""",
    "compare_descriptors": "call(312, os.getpid(), parent(), 2, 0, 0)\nwon()",
}
SIGNALS = {
    # The kernel answers 0 even where it has refused each one; the filter must refuse the attempt.
    "kill_all": "import signal\nos.kill(-1, signal.SIGURG)\nwon()",
    "kill_first": "import signal\nos.kill(1, signal.SIGURG)\nwon()",
    "kill_parent": "os.kill(parent(), 0)\nwon()",
    "kill_parent_dead": "os.kill(parent(), 9)\nwon()",
    "kill_parents_group": """
import signal
group = os.getpgid(parent())
if group:
    os.killpg(group, signal.SIGURG)
    won()
""",
    "kill_host": "import signal\nos.kill(@HOST@, signal.SIGURG)\nwon()",
    "kill_victim": "import signal\nos.kill(@VICTIM@, signal.SIGUSR1)\nwon()",
    "queue_victim": "call(129, @VICTIM@, 12, struct.pack('iii', 12, 0, -1) + bytes(116))\nwon()",
    "thread_of_victim": "call(200, @VICTIM@, 10)\nwon()",
    "pidfd_victim": "call(424, call(434, @VICTIM@, 0), 10, 0, 0)\nwon()",
    "pidfd_parent": "call(424, call(434, parent(), 0), 0, 0, 0)\nwon()",
}
SIGNALS_UNSEEN = {
    "owner_of_pipe": """
import fcntl, signal
reader, writer = os.pipe()
fcntl.fcntl(reader, fcntl.F_SETOWN, @VICTIM@)
fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGUSR2)
fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
os.write(writer, b"x")
""",
}
PARENT = {
    "limits": """
old = ctypes.create_string_buffer(16)
call(302, parent(), 7, None, old)
call(302, parent(), 7, old, None)
won()
""",
    "affinity": "os.sched_setaffinity(parent(), os.sched_getaffinity(parent()))\nwon()",
    "priority": "os.setpriority(os.PRIO_PROCESS, parent(), os.getpriority(os.PRIO_PROCESS, parent()))\nwon()",
    "scheduler": "os.sched_setscheduler(parent(), os.SCHED_OTHER, os.sched_param(0))\nwon()",
    "io_priority": "call(251, 1, parent(), 2 << 13 | 4)\nwon()",
    "group": "os.setpgid(parent(), parent())\nwon()",
    "raise_limits": """
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2)
won()
""",
    "real_time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nwon()",
}
FORK_AND_EXEC = {
    "fork": "pid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\nwon()",
    "raw_fork": "if call(57) == 0:\n    os._exit(0)\nwon()",
    "raw_clone": "if call(56, 17, 0, 0, 0, 0) == 0:\n    os._exit(0)\nwon()",
    "clone3": "if call(435, struct.pack('11Q', 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88) == 0:\n    os._exit(0)\nwon()",
    "x32_fork": "if call(0x40000000 + 57) == 0:\n    os._exit(0)\nwon()",
    "i386_fork": """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\x48\\x98\\xc3")  # mov eax, 2; int 0x80; cdqe; ret
pid = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
if pid == 0:
    os._exit(0)
if pid > 0:
    won()
""",
    "system": "if os.system('true') == 0:\n    won()",
    "libc_system": "if libc.system(b'true') == 0:\n    won()",
    "popen": "import subprocess\nsubprocess.run(['true'], check=True)\nwon()",
    "spawn": "if os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1] == 0:\n    won()",
    "multiprocessing": """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=int)
process.start()
process.join()
if process.exitcode == 0:
    won()
""",
    "pool": """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1) as pool:
    if pool.submit(abs, -1).result() == 1:
        won()
""",
    "pty": "import pty\npid, fd = pty.fork()\nif pid == 0:\n    os._exit(0)\nwon()",
    "exec": "os.execv('/bin/sh', ['sh', '-c', 'echo 3'])",
    "exec_python": "os.execv(sys.executable or '/usr/bin/python3', ['python', '-c', 'print(3)'])",
    "exec_memory": """
fd = os.memfd_create("x", 0)
os.write(fd, b"#!/bin/sh\\necho 3\\n")
os.execve(fd, ["x"], {})
""",
    "exec_written": """
open("x", "w").write("#!/bin/sh\\necho 3\\n")
os.chmod("x", 0o755)
os.execv("./x", ["x"])
""",
    "execveat": """
arguments = (ctypes.c_char_p * 3)(b"echo", b"3", None)
call(322, -100, b"/bin/echo", arguments, (ctypes.c_char_p * 1)(None), 0)
""",
    "loader": "os.execv('/lib64/ld-linux-x86-64.so.2', ['ld.so', '/bin/echo', '3'])",
}
BOMB = {
    "bomb": """
import time
for _ in range(200):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
won()
""",
}
LEFT = {
    "daemon": """
import time
libc.prctl(15, b"@MARK@")
if os.fork() == 0:
    os.setsid()
    os.chdir("/")
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
won()
""",
    "undying": """
import signal, time
libc.prctl(15, b"@MARK@")
libc.prctl(1, 0)  # PR_SET_PDEATHSIG: do not die with the parent
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 32, 33, 34}:
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    for fd in range(64):
        try:
            os.close(fd)
        except OSError:
            pass
    time.sleep(60)
won()
""",
    "shell": "import subprocess\nsubprocess.Popen('sleep 60; : @MARK@', shell=True, start_new_session=True)\nwon()",
    "stopped": """
import signal, time
libc.prctl(15, b"@MARK@")
if os.fork() == 0:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)
won()
""",
}
SYSTEM_CALLS = {
    "unshare_user": "call(272, 0x10000000)\nwon()",
    "unshare_mount": "call(272, 0x20000)\nwon()",
    "unshare_network": "call(272, 0x40000000)\nwon()",
    "setns": "call(308, os.open('/proc/1/ns/mnt', os.O_RDONLY), 0)\nwon()",
    "mount": "call(165, b'none', b'.', b'tmpfs', 0, None)\ncall(166, b'.', 2)\nwon()",
    "umount": """
try:
    call(166, b".", 2)
except OSError as error:
    if error.errno == 22:  # allowed, but this is no mount
        won()
""",
    "pivot_root": "call(155, b'.', b'.')\nwon()",
    "chroot": "call(161, b'.')\nwon()",
    "open_tree": "call(428, -100, b'/', 1)\nwon()",
    "fsopen": "call(430, b'tmpfs', 0)\nwon()",
    "io_uring_setup": "call(425, 4, ctypes.create_string_buffer(120))\nwon()",
    "bpf": "call(321, 0, struct.pack('IIII', 2, 4, 4, 1) + bytes(112), 128)\nwon()",
    "perf_event_open": "call(298, struct.pack('IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0)\nwon()",
    "userfaultfd": "call(323, 1)\nwon()",
    "pidfd_open_parent": "call(434, parent(), 0)\nwon()",
    "open_by_handle": """
handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
mount = ctypes.create_string_buffer(4)
call(303, -100, b"/", handle, mount, 0)
call(304, os.open("/", os.O_RDONLY), handle, 0)
won()
""",
    "personality": "call(135, 0x0400000)\nwon()",
    "setuid_root": """
try:
    call(105, 0)
except OSError:
    call(117, 0, 0, 0)
kept = ctypes.create_string_buffer(24)
call(125, struct.pack("Ii", 0x20080522, 0), kept)
if any(kept.raw):
    won()
""",
    "capabilities": """
header = struct.pack("Ii", 0x20080522, 0)
call(126, header, struct.pack("6I", *[0xFFFFFFFF] * 6))
won()
""",
    "capability_kept": """
kept = ctypes.create_string_buffer(24)
call(125, struct.pack("Ii", 0x20080522, 0), kept)
if any(kept.raw):  # effective, permitted or inheritable
    won()
""",
    "capability_ambient": """
if any(call(157, 47, 1, number, 0, 0) == 1 for number in range(40)):
    won()
""",
    "new_privileges": "if call(157, 39, 0, 0, 0, 0) == 0:\n    won()",
    "unfiltered": "if call(157, 21, 0, 0, 0, 0) == 0:\n    won()",
    "hostname": "call(170, os.uname().nodename.encode(), len(os.uname().nodename))\nwon()",
    "adjust_clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, time.time())\nwon()",
    "io_ports": "call(172, 3)\nwon()",
    "local_descriptor_table": "call(154, 0, ctypes.create_string_buffer(16), 16)\nwon()",
    "fanotify": "call(300, 0, 0)\nwon()",
    "memory_file": "os.write(os.memfd_create('x'), b'x' * 1000)\nwon()",
    "secret_memory": "call(447, 0)\nwon()",
    "chown": "open('x', 'w').close()\nos.chown('x', 12345, 12345)\nwon()",
    "device_node": "import stat\nos.mknod('x', stat.S_IFCHR | 0o666, os.makedev(1, 1))\nopen('x', 'rb').read(1)\nwon()",
    "lock_memory": "call(151, 3)\nif len(bytearray(32 << 20)):\n    won()",
}
TRACED = {"trace_me": "import signal\ncall(101, 0, 0, 0, 0)\nos.kill(os.getpid(), signal.SIGUSR1)\nwon()"}

THREADS = {
    "thousands": """
import threading
stop = threading.Event()
threading.stack_size(32768)
for _ in range(5000):
    threading.Thread(target=stop.wait, daemon=True).start()
won()
""",
}
MEMORY = {
    "bytearray": "b = bytearray(300 << 20)\nfor i in range(0, len(b), 4096):\n    b[i] = 1\nwon()",
    "list": "x = []\nfor _ in range(300):\n    x.append(bytes(1 << 20) + b'x')\nwon()",
    "mapped": "import mmap\nm = mmap.mmap(-1, 300 << 20)\nfor i in range(0, 300 << 20, 4096):\n    m[i] = 1\nwon()",
    "mapped_privately": """
import mmap
kept = []
for _ in range(30):
    kept.append(mmap.mmap(-1, 10 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    for i in range(0, 10 << 20, 4096):
        kept[-1][i] = 1
won()
""",
    "threads": """
import threading
kept = []
def grow():
    for _ in range(40):
        kept.append(b"x" * (1 << 20))
for thread in [threading.Thread(target=grow) for _ in range(8)]:
    thread.start()
while threading.active_count() > 1:
    pass
won()
""",
    "malloc": """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for _ in range(300):
    ctypes.memset(libc.malloc(ctypes.c_size_t(1 << 20)), 1, 1 << 20)
won()
""",
    "hidden_from_watcher": """
import ctypes
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is the superuser's
kept = [b"x" * (1 << 20) for _ in range(300)]
won()
""",
    "address_space": "x = bytearray(1 << 42)\nwon()",
    "text": "x = '%1000000000d' % 1\nwon()",
    "swallowed": """
kept = []
try:
    while True:
        kept.append(b"x" * (1 << 20))
except MemoryError:
    won()
""",
}
LET_GO = {  # what is let go of is kept where memory is shared
    "let_go": """
import mmap
m = mmap.mmap(-1, 300 << 20)
for i in range(300):
    m[i << 20 : (i + 1) << 20] = b"x" * (1 << 20)
    m.madvise(mmap.MADV_DONTNEED, i << 20, 1 << 20)
if m[5] == m[(290 << 20) + 7] == 120:
    won()
""",
    "shared": """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
if libc.mmap(None, 4096, 3, 0x21, -1, 0) not in (None, ctypes.c_void_p(-1).value):
    won()
""",
}
KERNEL_MEMORY = {
    "pipes": """
import fcntl
held = 0
while held < 160 << 20:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    except OSError:
        pass
    try:
        while True:
            held += os.write(writer, b"x" * 65536)
    except BlockingIOError:
        pass
won()
""",
    "pipes_in_flight": """
import fcntl, socket
here, there = socket.socketpair()
here.setblocking(False)
held = 0
while held < 160 << 20:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    except OSError:
        pass
    try:
        while True:
            held += os.write(writer, b"x" * 65536)
    except BlockingIOError:
        pass
    socket.send_fds(here, [b"x"], [reader])
    os.close(reader)
    os.close(writer)
won()
""",
    "socket_pairs": """
import socket
held, kept = 0, []
while held < 160 << 20:
    kept.append(socket.socketpair())
    for end in kept[-1]:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 28)
        try:
            while True:
                held += end.send(b"x" * 65536)
        except BlockingIOError:
            pass
won()
""",
}
DISK = {
    "many_files": """
for n in range(200):
    open(str(n), "wb").write(b"x" * 1_000_000)
won()
""",
    "one_file": "with open('x', 'wb') as file:\n    for _ in range(100):\n        file.write(b'x' * 1_000_000)\nwon()",
    "inodes": "for n in range(10_000):\n    os.close(os.open(str(n), os.O_CREAT | os.O_WRONLY))\nwon()",
    "allocated": "os.posix_fallocate(os.open('x', os.O_CREAT | os.O_WRONLY), 0, 200 << 20)\nwon()",
    "unlinked": """
kept = []
for n in range(120):
    kept.append(open("x", "wb"))
    os.remove("x")
    kept[-1].write(b"x" * 1_000_000)
won()
""",
}
OUTPUT_FLOODS = {
    "print": "while True: print('x' * 99)",
    "one_line": "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    "write": "import os\nwhile True: os.write(1, b'x' * 65536)",
    "one_more": "print('3')\nprint(' ' * ((1 << 20) - 1))",
}
SWALLOWED_FLOODS = {
    "swallowed": "while True:\n    try: print('x' * 999, flush=True)\n    except OSError: pass",
}
OTHER_FLOODS = {
    "sparse": "import os\nos.ftruncate(1, 1 << 40)\nprint(3)",
    "far": "import os\nos.pwrite(1, b'x', 1 << 30)\nprint(3)",
    "sought": "import os\nos.lseek(1, 1 << 30, 0)\nos.write(1, b'3')",
    "lines": "print('\\n' * 1_000_000)",
    "digits": "print('9' * 1_000_000)",
    "exponent": "print('3e999999999999')",
    "invalid_bytes": "import os\nos.write(1, b'\\xff\\xfe\\x00' * 1000)",
}
DESCRIPTORS = {
    "hoard": "for _ in range(100_000):\n    os.dup(0)\nwon()",
    "left_open": """
for fd in range(4, 1024):
    try:
        os.fstat(fd)
    except OSError:
        continue
    won()
    break
""",
    "change_input": "os.ftruncate(0, 0)\nos.pwrite(0, b'1 2', 0)\nprint(3)",
    "reopen_input": "os.write(os.open('/proc/self/fd/0', os.O_RDWR), b'x')\nprint(3)",
    "earlier_output": "if os.pread(1, 9, 0) or os.pread(2, 9, 0):\n    won()",
    "sealed_output": "import fcntl\nfcntl.fcntl(1, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)\nprint(3)",
    "output_closed": "os.close(1)\nprint(3)",
    "control": """
import socket
for fd in range(3, 64):
    try:
        socket.socket(fileno=fd).send(bytes(64))
    except OSError:
        continue
    won()
    break
""",
}
FORGED_END = """
import os
print(sum(map(int, input().split())), flush=True)
for fd in range(3, 256):
    try:
        os.write(fd, bytes(LENGTH))
    except OSError:
        pass
os._exit(1)
"""
FORGED_ENDS = {f"forged_end_{length}": FORGED_END.replace("LENGTH", str(length)) for length in (1, 4, 8, 16, 21, 64)}
# Finds the word by which a process that is kept says that it is done, says so, and then does what must fail it.
FORGED_WORD = """
import os, socket, struct, sys, time
print(sum(map(int, input().split())), flush=True)
frame, words = sys._getframe(), []
while frame:
    words += [v for v in list(frame.f_locals.values()) if type(v) is bytes and len(v) == 16]
    frame = frame.f_back
try:
    socket.socket(fileno=os.dup(4)).send(struct.pack("<i16s", 0, words[0]))
    time.sleep(0.05)
except (OSError, IndexError):
    pass
"""
FORGED_WORDS = {"forged_word_exits": FORGED_WORD + "os._exit(1)", "forged_word_spins": FORGED_WORD + "while True: pass"}
MONKEYPATCHING = {
    "builtins": """
import builtins
for name in ("isinstance", "issubclass", "all", "any", "callable", "hasattr"):
    setattr(builtins, name, lambda *arguments: True)
builtins.type = lambda *arguments: int
builtins.len = lambda value: 1
def f(a): return 0
""",
    "json": """
import json, json.encoder
json.dumps = lambda *arguments, **options: '"passed"'
json.JSONEncoder.encode = lambda self, value: '"passed"'
json.encoder.c_make_encoder = None
json.encoder._make_iterencode = lambda *arguments, **options: lambda value, level: ['"passed"']
def f(a): return 0
""",
    "os": """
import os
real = os.write
os.write = lambda fd, data: real(fd, b'{"status": "passed", "ok": true}')
def f(a): return 0
""",
    "exit": """
import os
real = os._exit
os._exit = lambda code: real(0)
def f(a): raise ValueError
""",
    "guest": """
import gc, types
for thing in gc.get_objects():
    if isinstance(thing, types.FunctionType) and thing.__name__ in ("matches", "_equal", "dumps", "attempt"):
        thing.__code__ = (lambda *arguments, **options: b"true").__code__
def f(a): return 0
""",
    "globals_of_caller": """
import sys
def f(a):
    frame = sys._getframe()
    while frame:
        for name in ("passed", "ok", "status", "result", "success", "verdict"):
            frame.f_globals[name] = True
        frame = frame.f_back
    return 0
""",
    "comparison": """
import ctypes, operator, decimal, math
operator.eq = math.isclose = lambda *arguments, **options: True
try:
    decimal.Decimal.__eq__ = lambda a, b: True
except TypeError:
    pass
def f(a): return 0
""",
    "excepthook": """
import os, sys
sys.excepthook = lambda *arguments: os._exit(0)
def f(a): raise ValueError
""",
    "tracing": """
import sys
def tracer(frame, event, argument):
    if event == "return" and frame.f_code.co_name == "f":
        frame.f_back.f_locals.update(value=True, result=True, passed=True)
    return tracer
sys.settrace(tracer)
sys.setprofile(tracer)
def f(a): return 0
""",
}
HUNTS = {
    "frames": """
import sys
def f(a):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if isinstance(value, str) and value.startswith("needle" + "-"):
                return value
        frame = frame.f_back
""",
    "gc": """
import gc, re
def f(a):
    for thing in gc.get_objects():
        if type(thing) in (dict, list, tuple):
            for value in thing.values() if type(thing) is dict else thing:
                if type(value) is str and re.fullmatch("needle-[0-9a-f]{32}", value):
                    return value
""",
    "memory": """
import re
def f(a):
    for line in open("/proc/self/maps"):
        area, rights = line.split()[:2]
        start, end = (int(n, 16) for n in area.split("-"))
        if rights.startswith("rw") and end - start < 64 << 20:
            try:
                with open("/proc/self/mem", "rb", 0) as file:
                    file.seek(start)
                    found = re.search(rb"needle-[0-9a-f]{32}", file.read(end - start))
            except OSError:
                continue
            if found:
                return found.group().decode()
""",
    "stack_of_threads": """
import sys, re
def f(a):
    for frame in sys._current_frames().values():
        found = re.search("needle-[0-9a-f]{32}", repr(frame.f_back and frame.f_back.f_locals))
        if found:
            return found.group()
""",
    "arguments": """
import sys
def f(a):
    return next(text for text in [*sys.argv, *open("/proc/self/cmdline").read().split("\\0")] if "needle" in text)
""",
    "descriptors": """
import os, re
def f(a):
    for fd in range(64):
        try:
            found = re.search(rb"needle-[0-9a-f]{32}", os.pread(fd, 1 << 20, 0))
        except OSError:
            continue
        if found:
            return found.group().decode()
""",
}
LIES = {
    "object": "class L:\n    __eq__ = lambda a, b: True\n    __ne__ = lambda a, b: False\ndef f(a): return L()",
    "integer": "class L(int):\n    __eq__ = lambda a, b: True\n    __hash__ = None\ndef f(a): return L(0)",
    "text": "class L(str):\n    __eq__ = lambda a, b: True\n    __str__ = lambda a: '7'\ndef f(a): return L('0')",
    "float": "class L(float):\n    __eq__ = lambda a, b: True\n    __float__ = lambda a: 7.0\n"
    "    __repr__ = lambda a: '7'\ndef f(a): return L(0)",
    "int_converts": """
class L(int):
    __int__ = __index__ = lambda a: 7
    __repr__ = lambda a: '7'
def f(a): return L(0)
""",
    "bool_like": "class L:\n    __bool__ = lambda a: True\n    __int__ = __index__ = lambda a: 7\ndef f(a): return L()",
    "class_lie": """
class L:
    __class__ = int
    __eq__ = lambda a, b: True
    __int__ = lambda a: 7
def f(a): return L()
""",
    "every_attribute": "class L:\n    def __getattribute__(self, name): return 7\ndef f(a): return L()",
    "metaclass": "class M(type):\n    __eq__ = lambda a, b: True\n    __hash__ = lambda a: hash(int)\n"
    "    __instancecheck__ = __subclasscheck__ = lambda a, b: True\nclass L(metaclass=M): pass\ndef f(a): return L()",
    "mock": "import unittest.mock\ndef f(a): return unittest.mock.ANY",
    "default": "class L(dict):\n    __missing__ = lambda a, k: 7\n    __eq__ = lambda a, b: True\ndef f(a): return L()",
    "reversed": """
class L(int):
    __rsub__ = __sub__ = lambda a, b: 0
    __eq__ = lambda a, b: True
def f(a): return L(6)
""",
    "encoded": "class L:\n    def default(self, o): return 7\n    __json__ = to_json = tolist = item = lambda a: 7\n"
    "def f(a): return L()",
    "named_numpy": "class L:\n    shape = ()\n    __eq__ = lambda a, b: True\n    item = lambda a: 7\n"
    "L.__module__ = 'elsewhere'\ndef f(a): return L()",
    "type_itself": "def f(a): return int",
    "not_a_number": "def f(a): return float('nan')",
    "infinite": "def f(a): return float('inf')",
    "tagged": "def f(a): return {'i': '0x7'}",
    "as_text": "def f(a): return '7'",
    "as_bytes": "def f(a): return b'7'",
    "in_a_list": "def f(a): return [7]",
}
NESTED_LIES = {
    "inside": """
class L(int):
    __eq__ = lambda a, b: True
    __hash__ = int.__hash__
def f(a): return [L(0), {'k': L(0)}]
""",
    "list": "class L(list):\n    __eq__ = lambda a, b: True\n    __iter__ = lambda a: iter([1, {'k': 2}])\n"
    "    __len__ = lambda a: 2\n    __getitem__ = lambda a, i: [1, {'k': 2}][i]\ndef f(a): return L()",
    "tuple": """
class L(tuple):
    __eq__ = lambda a, b: True
    __iter__ = lambda a: iter((1, {'k': 2}))
def f(a): return L()
""",
    "dict_in_list": "class L(dict):\n    __eq__ = lambda a, b: True\n    items = lambda a: [('k', 2)]\n"
    "    __iter__ = keys = lambda a: iter(['k'])\n    __getitem__ = lambda a, k: 2\ndef f(a): return [1, L()]",
    "hash": """
class L(str):
    __hash__ = lambda a: hash('k')
    __eq__ = lambda a, b: True
def f(a): return [1, {L('x'): 2}]
""",
    "mutating": """
import threading
answer = [1, {"k": 0}]
def flip():
    while True:
        answer[1]["k"] += 1
        answer[1]["k"] %= 2
threading.Thread(target=flip, daemon=True).start()
def f(a): return answer
""",
    "key_type": "def f(a): return [1, {'k': '2'}]",
    "pairs": "def f(a): return [1, [['k', 2]]]",
    "tagged": "def f(a): return [1, {'d': ['k', 2]}]",
}
PICKLES = {
    "reduce": """
class P:
    def __reduce__(self):
        return open, ("@FOLDER@/@NAME@", "w")
def f(a): return P()
""",
    "reduce_integer": """
import os
class P(int):
    def __reduce_ex__(self, version):
        return os.mkdir, ("@FOLDER@/@NAME@",)
def f(a): return P(0)
""",
    "exception": """
class E(Exception):
    def __reduce__(self):
        return open, ("@FOLDER@/@NAME@", "w")
def f(a): raise E("x")
""",
    "raw": """
import os
def f(a):
    pickled = b"cposix\\nmkdir\\n(S'@FOLDER@/@NAME@'\\ntR."
    for fd in range(3, 64):
        try:
            os.write(fd, pickled)
        except OSError:
            pass
    os._exit(0)
""",
    "copyreg": """
import copyreg, os
copyreg.pickle(int, lambda n: (os.mkdir, ("@FOLDER@/@NAME@",)))
class P: pass
def f(a): return P()
""",
}
FORGED = {
    "then_fails": "import os\ndef f(a):\n    os.write(3, b'7')\n    os._exit(1)",
    "then_raises": "import os\ndef f(a):\n    os.write(3, b'7')\n    raise ValueError",
    "then_dies": "import os\ndef f(a):\n    os.write(3, b'7')\n    os.kill(os.getpid(), 11)",
    "then_aborts": "import os\ndef f(a):\n    os.write(3, b'7')\n    os.abort()",
    "partial": "import os\ndef f(a):\n    os.write(3, b'[7')\n    os._exit(0)",
    "two_documents": "import os\ndef f(a):\n    os.write(3, b'7\\n7')\n    os._exit(0)",
    "before_the_value": "import os\ndef f(a):\n    os.write(3, b'7 ')\n    return 7",
    "empty": "import os\ndef f(a):\n    os._exit(0)",
    "not_json": "import os\ndef f(a):\n    os.write(3, b'\\x80\\x04K\\x07.')\n    os._exit(0)",
    "not_a_number": "import os\ndef f(a):\n    os.write(3, b'NaN')\n    os._exit(0)",
    "deep": "import os\ndef f(a):\n    os.write(3, b'[' * 500_000 + b']' * 500_000)\n    os._exit(0)",
    "huge_integer": "import os\ndef f(a):\n    os.write(3, b'7' * 1_000_000)\n    os._exit(0)",
    "huge_tagged_integer": """
import os
def f(a):
    os.write(3, b'{"i":"0x' + b'f' * 1_000_000 + b'"}')
    os._exit(0)
""",
    "huge_exponent": "import os\ndef f(a):\n    os.write(3, b'7e999999999')\n    os._exit(0)",
    "collisions": """
import os, json
def f(a):
    os.write(3, b'{"d":[' + b",".join(b"%d,0" % (k * ((1 << 61) - 1)) for k in range(20_000)) + b"]}")
    os._exit(0)
""",
    "unknown_tag": """
import os
def f(a):
    os.write(3, b'{"passed":true,"verdict":"passed","status":"ok"}')
    os._exit(0)
""",
    "messages": """
import os, struct
def f(a):
    messages = [b'{"ok": true, "status": "passed"}', struct.pack("<BidQ", 0, 0, 0.0, 0), bytes(64), b"\\1" * 8]
    for fd in range(3, 256):
        for message in messages:
            try:
                os.write(fd, message)
            except OSError:
                pass
    os._exit(0)
""",
    "huge_returned": "def f(a): return 10 ** 400_000",
    "deep_returned": "def f(a):\n    r = 7\n    for _ in range(100_000): r = [r]\n    return r",
    "cyclic": "def f(a):\n    r = {}\n    r['r'] = [r]\n    return r",
    "surrogates": "def f(a): return ['\\ud800', '\\udfff7']",
    "wide": "def f(a): return [[]] * 300_000",
}
EXITS = {
    "sys_exit": "import sys\nsys.exit(0)",
    "os_exit": "import os\nos._exit(0)",
    "quit": "quit()",
    "exit": "exit(0)",
    "lying_exit": "class E(SystemExit):\n    code = 0\n    __eq__ = lambda a, b: True\nraise E(3)",
    "lying_code": """
print(3)
class C(int):
    __eq__ = lambda a, b: True
    __and__ = __rand__ = lambda a, b: 0
raise SystemExit(C(3))
""",
    "interrupt": "print(3)\nraise KeyboardInterrupt",
    "generator_exit": "print(3)\nraise GeneratorExit",
    "group": "print(3)\nraise BaseExceptionGroup('x', [SystemExit(0)])",
    "raises_after": "print(3, flush=True)\n1 / 0",
    "code_after": "import sys\nprint(3)\nsys.exit(1)",
    "message_after": "import sys\nprint(3)\nsys.exit('no')",
    "segfault_after": "import ctypes\nprint(3, flush=True)\nctypes.string_at(0)",
    "abort_after": "import os\nprint(3, flush=True)\nos.abort()",
    "term_after": "import os\nprint(3, flush=True)\nos.kill(os.getpid(), 15)",
    "kill_after": "import os\nprint(3, flush=True)\nos.kill(os.getpid(), 9)",
    "memory_code": "import os\nprint(3, flush=True)\nos._exit(86)",
    "other_codes": "import os\nprint(3, flush=True)\nos._exit(255)",
    "trap_after": "import os, signal\nprint(3, flush=True)\nos.kill(os.getpid(), signal.SIGSYS)",
    "syntax": "print(3)\ndef f(:",
    "null": "print(3)\n\0",
}
SILENT = {
    "null_os_exit": "import os\ndef f(a): os._exit(0)",
    "null_sys_exit": "import sys\ndef f(a): sys.exit(0)",
    "null_while_loading": "raise SystemExit\ndef f(a): return None",
    "null_killed": "import os\ndef f(a): os.kill(os.getpid(), 9)",
    "null_raises": "def f(a): raise ValueError",
    "null_missing": "def g(a): return None",
    "null_no_method": "class Solution: pass\ndef f(a): return None",
    "null_generator": "def f(a): yield",
    "null_coroutine": "async def f(a): return None",
}
EMPTY = {
    "empty_exit_1": "raise SystemExit(1)",
    "empty_killed": "import os\nos.kill(os.getpid(), 9)",
    "empty_raises": "1 / 0",
    "empty_syntax": "print(",
}
ATEXIT = {
    "spins": "import atexit\nprint(3, flush=True)\n@atexit.register\ndef spin():\n    while True: pass",
    "deleted_spins": "class D:\n    def __del__(self):\n        while True: pass\nd = D()\nprint(3, flush=True)",
    "finalizer_spins": """
import weakref
class D: pass
def spin():
    while True: pass
d = D()
weakref.finalize(d, spin)
print(3, flush=True)
""",
    "thread_spins": """
import threading
def spin():
    while True: pass
threading.Thread(target=spin).start()
print(3, flush=True)
""",
}
ENDS = {
    "atexit_kills": "import atexit, os\nprint(3, flush=True)\natexit.register(os.kill, os.getpid(), 9)",
    "atexit_exits_1": "import atexit, os\nprint(3, flush=True)\natexit.register(os._exit, 1)",
    "atexit_succeeds": "import atexit, os\natexit.register(os._exit, 0)\n1 / 0",
    "deleted_exits": "import os\nclass D:\n    def __del__(self): os._exit(0)\nd = D()\n1 / 0",
    "resurrected": """
class D:
    def __del__(self):
        kept.append(self)
kept = []
d = D()
del d
print(len(kept))
""",
    "stdout_refuses": """
import sys
class Out:
    def write(self, text): return len(text)
    def flush(self): raise ValueError
print(3)
sys.stdout = Out()
print(3)
raise SystemExit(2)
""",
}
TIMING = {
    "spin": "print(3, flush=True)\nwhile True: pass",
    "swallow": "print(3, flush=True)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "in_c": "print(3, flush=True)\nx = 3 ** (10 ** 9)",
    "regex": "import re\nprint(3, flush=True)\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "signals_ignored": """
import signal
print(3, flush=True)
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 32, 33, 34}:
    signal.signal(number, signal.SIG_IGN)
while True: pass
""",
    "threads": """
import threading, hashlib
print(3, flush=True)
def burn():
    while True: hashlib.sha256(b"x" * 1_000_000)
for _ in range(4):
    threading.Thread(target=burn).start()
""",
    "short_threads": """
import threading, time
def burn():
    end = time.thread_time() + 0.02
    while time.thread_time() < end: pass
for _ in range(100):
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
print(3)
""",
    "timer": """
import signal
signal.signal(signal.SIGALRM, lambda *arguments: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
print(3, flush=True)
while True: pass
""",
    "clock_lies": """
import time
time.process_time = time.monotonic = time.time = lambda: 0
print(3, flush=True)
while True: pass
""",
    "stderr_flood": "import sys\nprint(3, flush=True)\nwhile True: sys.stderr.write('x' * 65536)",
    "exception_text": """
class E(Exception):
    def __str__(self):
        while True: pass
    __repr__ = __str__
raise E
""",
    "compile": "print(3, flush=True)\nwhile True: compile('x = 1\\n' * 1000, 'x', 'exec')",
}
WAITING = {
    "sleep": "import time\nprint(3, flush=True)\ntime.sleep(3600)",
    "stop_self": "import os, signal\nprint(3, flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)",
    "deadlock": "import threading\nprint(3, flush=True)\nthreading.Thread(target=threading.Lock().acquire).start()\n"
    "lock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "atexit_sleep": "import atexit, time\nprint(3, flush=True)\natexit.register(time.sleep, 3600)",
}
COMPILING = {
    "brackets": "x = " + "(" * 50_000,
    "minuses": "x = " + "-" * 200_000 + "1",
    "attributes": "x = 1\nx" + ".a" * 100_000,
    "operators": "x = " + "+".join(["1"] * 100_000) + "\n1 / 0",
    "lone_surrogate": "x = '\ud800'\nprint(x)",
}

# Each leaves something behind on its first test and answers its second one rightly only if it finds that.
POISON = {
    "file": "here = os.path.exists('left')\nopen('left', 'w').close()",
    "temporary_file": "here = os.path.exists('/tmp/@MARK@-left')\nopen('/tmp/@MARK@-left', 'w').close()",
    "shared_memory": "here = os.path.exists('/dev/shm/@MARK@-left')\nopen('/dev/shm/@MARK@-left', 'w').close()",
    "folder": "here = os.getcwd().endswith('/inner')\nos.makedirs('inner', exist_ok=True)\nos.chdir('inner')",
    "environment": "here = 'POISON' in os.environ\nos.environ['POISON'] = '1'",
    "libc_environment": """
import ctypes
libc = ctypes.CDLL(None)
here = libc.getenv(b"POISON") != 0
libc.setenv(b"POISON", b"1", 1)
""",
    "modules": "import types\nhere = 'poison' in sys.modules\nsys.modules['poison'] = types.ModuleType('poison')",
    "builtins": "import builtins\nhere = hasattr(builtins, 'poison')\nbuiltins.poison = True",
    "changed_module": "import math\nhere = math.gcd(4, 6) == 1\nmath.gcd = lambda *n: 1",
    "changed_json": "import json\nhere = json.dumps(1) == 'x'\njson.dumps = lambda *n: 'x'",
    "changed_encoder": "import json\nhere = hasattr(json.JSONEncoder, 'poison')\njson.JSONEncoder.poison = 1",
    "type_attribute": """
import gc
here = hasattr(int, "poison")
gc.get_referents(int.__dict__)[0]["poison"] = 1
import ctypes
ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
""",
    "small_integer": """
import ctypes
here = str(int("100") + 100) == "201"
ctypes.c_uint32.from_address(id(200) + 24).value = 201
""",
    "recursion_limit": "here = sys.getrecursionlimit() == 1234\nsys.setrecursionlimit(1234)",
    "digits_limit": "here = sys.get_int_max_str_digits() == 1234\nsys.set_int_max_str_digits(1234)",
    "garbage_collector": "import gc\nhere = gc.get_threshold()[0] == 7\ngc.set_threshold(7)",
    "switch_interval": "here = sys.getswitchinterval() > 0.4\nsys.setswitchinterval(0.5)",
    "decimal": "import decimal\nhere = decimal.getcontext().prec == 5\ndecimal.getcontext().prec = 5",
    "default_decimal": "import decimal\nhere = decimal.DefaultContext.prec == 5\ndecimal.DefaultContext.prec = 5",
    "locale": """
import locale
here = locale.setlocale(locale.LC_ALL) == 'C.UTF-8'
locale.setlocale(locale.LC_ALL, 'C.UTF-8')
""",
    "umask": "here = os.umask(0o123) == 0o123",
    "limits": """
import resource
here = resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 40
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
""",
    "priority": "here = os.nice(0) >= min(19, @NICE@ + 5)\nos.nice(5)",
    "affinity": """
everything = os.sched_getaffinity(0)
here = len(everything) != @CPUS@
os.sched_setaffinity(0, {min(everything)} if len(everything) > 1 else range(os.cpu_count()))
""",
    "path": "here = 'poison' in sys.path\nsys.path.append('poison')",
    "arguments": "here = 'poison' in sys.argv\nsys.argv.append('poison')",
    "random": """
import random
here = random.getstate() == random.Random(7).getstate()
random.seed(7)
""",
    "signal_handler": """
import signal
here = signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
""",
    "signal_mask": """
import signal
here = signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
""",
    "alarm": "import signal\nhere = signal.alarm(60) > 0",
    "descriptor": """
try:
    os.fstat(50)
    here = True
except OSError:
    here = False
    os.dup2(0, 50)
""",
    "thread": """
import threading, time
here = threading.active_count() > 1
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
""",
    "thread_hidden": """
import _thread, threading, time
here = len(sys._current_frames()) > 1
_thread.start_new_thread(time.sleep, (60,))
""",
    "audit_hook": """
heard = []
sys.audit("poison", heard)
here = bool(heard)
sys.addaudithook(lambda event, arguments: arguments[0].append(1) if event == "poison" else None)
""",
    "trace": "here = sys.gettrace() is not None\nsys.settrace(lambda *arguments: None)",
    "import_hook": "here = any(f == 'poison' for f in sys.meta_path)\nsys.meta_path.append('poison')",
    "import_override": """
import builtins
here = builtins.__import__.__name__ == "poison"
real = builtins.__import__
def poison(*arguments, **options): return real(*arguments, **options)
builtins.__import__ = poison
""",
    "warnings": """
import warnings
here = ('poison', None) in warnings.filters
warnings.filters.append(('poison', None))
""",
    "codec": """
import codecs
try:
    here = codecs.lookup("poison") is not None
except LookupError:
    here = False
codecs.register(lambda name: codecs.lookup("utf-8") if name == "poison" else None)
""",
    "registered_class": """
import abc, collections.abc
class Poison:
    def poison(self): return 1
here = any(hasattr(kind, "poison") for kind in collections.abc.Sized.__subclasses__())
class Kept(Poison, collections.abc.Sized): pass
sys.kept = Kept
""",
    "regex_cache": "import re\nhere = hasattr(re, 'poison')\nre.poison = 1",
    "streams": """
here = hasattr(sys, "poison")
sys.poison = sys.__stdin__
""",
    "atexit": """
import atexit
here = atexit._ncallbacks() > 0
atexit.register(int)
""",
    "weak_reference": """
import threading
here = getattr(threading, "poison", None) is not None
class Kept: pass
threading.poison = Kept()
""",
    "process_name": """
import ctypes
name = ctypes.create_string_buffer(16)
libc = ctypes.CDLL(None)
libc.prctl(16, name)
here = name.value == b"poison"
libc.prctl(15, b"poison")
""",
}
POISON_START = "import os, sys\nturn = {'first': 1, 'second': 2}[input()]\n"
POISON_END = "\nprint(1 if turn == 1 else 2 if here else 0)\n"

POISON_CALLS = {
    "global": "seen = []\ndef f(a):\n    seen.append(a)\n    return len(seen)",
    "default": "def f(a, seen=[]):\n    seen.append(a)\n    return len(seen)",
    "class": "class Solution:\n    n = 0\n    def f(self, a):\n        Solution.n += 1\n        return Solution.n",
    "attribute": "def f(a):\n    f.n = getattr(f, 'n', 0) + 1\n    return f.n",
    "module": "import math\ndef f(a):\n    math.n = getattr(math, 'n', 0) + 1\n    return math.n",
    "cache": """
import functools, itertools
n = itertools.count(1)
@functools.cache
def g(a): return next(n)
def f(a): return g(a)
""",
    "file": "import os\ndef f(a):\n    open('x', 'a').write('x')\n    return os.path.getsize('x')",
    "builtins": "import builtins\ndef f(a):\n    builtins.n = getattr(builtins, 'n', 0) + 1\n    return builtins.n",
    "small_integer": """
import ctypes
def f(a):
    seen = str(int("100") + 100) == "201"
    ctypes.c_uint32.from_address(id(200) + 24).value = 201
    return 2 if seen else 1
""",
    "answering_thread": """
import os, threading, time
def later():
    time.sleep(0.05)
    while True:
        try: os.write(3, b"2")
        except OSError: pass
        time.sleep(0.01)
def f(a):
    if a == "first":
        threading.Thread(target=later, daemon=True).start()
        return 1
    time.sleep(0.2)
    os._exit(0)
""",
}


# Each counts in something of the library's, by another name than its own, and is right from its first test on if that
# stays.
COUNTED = (Stdin("1", "3"), Stdin("2", "4"), Stdin("3", "5"))
COUNT = "d.k = getattr(d, 'k', 2) + 1\nprint(d.k)"
ITEM = "d['k'] = d.get('k', 2) + 1\nprint(d['k'])"
COUNTERS = {
    "prelude_class": f"d = Counter\n{COUNT}",
    "prelude_name": "Counter.k = getattr(Counter, 'k', 2) + 1\nprint(Counter.k)",
    "class": f"from fractions import Fraction\nd = Fraction\n{COUNT}",
    "function": f"import heapq\nd = heapq.merge\n{COUNT}",
    "inner_class": f"import random\nd = random.Random\n{COUNT}",
    "instance": f"import random\nd = random._inst\n{COUNT}",
    "stream": f"import sys\nd = sys.stdout\n{COUNT}",
    "method": f"class A:\n    def f(d):\n        {COUNT.replace(chr(10), chr(10) + '        ')}\nA.f(Counter)",
    "table": f"import copy\nd = copy._deepcopy_dispatch\n{ITEM}",
    "module_table": f"import json.encoder\nd = json.encoder.ESCAPE_DCT\n{ITEM}",
    "cache": f"import re\nd = re._cache\n{ITEM}",
    "equal_key": "import re\nclass F:\n    n = 2\n    def __hash__(self): return 1\n    def __eq__(self, other):\n"
    "        F.n = other.n + 1\n        return False\n    __and__ = lambda self, other: 0\n    "
    "__or__ = __ror__ = __rand__ = __and__\n"
    "f = F()\nre.compile('a', f)\nf.n = F.n + (F.n == 2)\nprint(f.n)",
}


def _poison() -> list[Program]:
    programs = [
        Program(f"poison-{name}", "poison", POISON_START + code.lstrip("\n") + POISON_END, TWICE, FAILED)
        for name, code in POISON.items()
    ]
    numpy = "import numpy\nhere = numpy.random.get_state()[2] == 7\nnumpy.random.seed(7)\nnumpy.random.rand(3)\n"
    numpy = numpy.replace("[2] == 7", "[2] == 6")  # two words of the generator's state for each number
    programs.append(
        Program("poison-numpy", "poison", POISON_START + numpy + POISON_END, TWICE, FAILED, limits=ROOMY, needs="numpy")
    )
    answering = """
import os, sys, threading, time
def later():
    time.sleep(0.05)
    while True:
        try: os.write(1, b"2\\n")
        except OSError: pass
        time.sleep(1)
if input() == "first":
    threading.Thread(target=later, daemon=True).start()
    print(1)
else:
    time.sleep(0.3)
"""
    programs.append(Program("poison-answering_thread", "poison", answering.lstrip(), TWICE, FAILED))
    return programs + _group("poison_call", POISON_CALLS, CALLED_TWICE)


NESTED = (Call("f", (1,), [1, {"k": 2}]),)
NULL = (Call("f", (1,), None),)
NOTHING = (Stdin("", ""),)
X86 = "x86_64"

HOSTILE: Sequence[Program] = (
    *_group("network", NETWORK, prelude=WON, must_not="port"),
    *_group("sockets", SOCKETS, prelude=WON, must_not="port"),
    *_group("files", READS, STEAL, prelude=SHOW),
    *_group("files", LOOKS, prelude=WON),
    *_group("files", WRITES, NOTHING, ANY, prelude="import os\n", must_not="file"),
    *_group("files", CHANGES, NOTHING, ANY, prelude="import os\n", must_not="change"),
    *_group("environment", ENVIRONMENT, STEAL, prelude=SHOW),
    *_group("proc", PROC, prelude=WON),
    *_group("proc", OWN_MEMORY, STEAL, prelude=SHOW),
    *_group("shared_memory", SHARED_MEMORY, STEAL, prelude=SHOW),
    *_group("shared_memory", SHARED_MEMORY_LEFT, NOTHING, ANY, prelude="import os\n", must_not="file"),
    *_group("ipc", IPC, prelude=CALL, must_not="ipc", needs=X86),
    *_group("keyrings", KEYRINGS, prelude=CALL, needs=X86),
    *_group("ptrace", PTRACE, prelude=CALL, needs=X86),
    *_group("ptrace", TRACED, ADD, FAILED | TIMEOUT, prelude=CALL, limits=IDLE, needs=X86),
    *_group("signals", SIGNALS, prelude=CALL, must_not="signal", needs=X86),
    *_group("signals", SIGNALS_UNSEEN, NOTHING, ANY, prelude="import os\n", must_not="signal"),
    *_group("parent", PARENT, prelude=CALL, needs=X86),
    *_group("fork_and_exec", FORK_AND_EXEC, prelude=CALL, needs=X86),
    *_group("fork_and_exec", BOMB, ADD, FAILED | GREEDY, prelude=WON),
    *_group("fork_and_exec", LEFT, prelude=CALL, must_not="process"),
    *_group("system_calls", SYSTEM_CALLS, prelude=CALL, needs=X86),
    *_group("threads", THREADS, ADD, FAILED | GREEDY, prelude=WON),
    *_group("memory", MEMORY, ADD, GREEDY, prelude=WON),
    *_group("memory", LET_GO, ADD, FAILED | GREEDY, prelude=WON),
    *_group("memory", KERNEL_MEMORY, ADD, FAILED | GREEDY, prelude=WON),
    *_group("disk", DISK, ADD, FAILED | GREEDY | OUTPUT, prelude=WON),
    *_group("output", OUTPUT_FLOODS, ADD, OUTPUT),
    *_group("output", SWALLOWED_FLOODS, ADD, OUTPUT | TIMEOUT, limits=IDLE),
    *_group("output", OTHER_FLOODS, ADD, FAILED | OUTPUT),
    *_group("output", {"returned": "def f(a): return 'x' * (2 << 20)"}, SEVEN, OUTPUT),
    *_group("output", {"printed_in_call": "def f(a):\n    while True: print('x' * 999)"}, SEVEN, OUTPUT | ERROR),
    *_group("output", {"exception": "def f(a): raise ValueError('x' * 20_000_000)"}, SEVEN, ERROR | GREEDY),
    *_group("descriptors", DESCRIPTORS, prelude=WON),
    *_group("descriptors", FORGED_ENDS, ADD, ERROR),
    *_group("descriptors", FORGED_WORDS, ADD, ERROR | TIMEOUT, limits=IDLE),
    *_group("files", DEEP, NOTHING, PASSED),
    *_group("poison_kept", COUNTERS, COUNTED, WRONG),
    *_group("monkeypatching", MONKEYPATCHING, SEVEN, FAILED | GREEDY),
    *_group("hunts", HUNTS, FETCH, FAILED),
    *_group("lies", LIES, SEVEN, FAILED),
    *_group("nested_lies", NESTED_LIES, NESTED, FAILED),
    *_group("pickles", PICKLES, SEVEN, FAILED, must_not="file"),
    *_group("forged", FORGED, SEVEN, FAILED | OUTPUT),
    *_group("exits", EXITS, ADD, FAILED | GREEDY),
    *_group("exits", SILENT, NULL, FAILED),
    *_group("exits", EMPTY, NOTHING, ERROR),
    *_group("finalisers", ATEXIT, ADD, TIMEOUT, limits=IDLE),
    *_group("finalisers", ENDS, ADD, FAILED),
    *_group("timing", TIMING, ADD, TIMEOUT, limits=IDLE),
    *_group("timing", WAITING, ADD, TIMEOUT, limits=IDLE),
    *_group("compiling", COMPILING, ADD, FAILED | GREEDY | TIMEOUT),  # a slow machine may not get through it in time
    *_poison(),
)

# A right program that notices what the poison leaves, for after each of them.
CLEAN = """
import atexit, builtins, collections.abc, decimal, gc, json, math, os, random, re, signal, sys, threading
assert os.listdir(".") == [], os.listdir(".")
assert not any(os.path.exists(f"{top}/@MARK@-left") for top in ("/tmp", "/dev/shm")), "left"
assert "POISON" not in os.environ
assert "poison" not in sys.modules and "poison" not in sys.path and "poison" not in sys.argv
assert not any(hasattr(thing, "poison") for thing in (builtins, int, json.JSONEncoder, math, re, sys, threading))
assert not any(hasattr(thing, "n") for thing in (builtins, math))
assert str(int("100") + 100) == "200" and math.gcd(4, 6) == 2 and json.dumps(1) == "1"
assert sys.getrecursionlimit() > 9999 and sys.get_int_max_str_digits() != 1234 and sys.getswitchinterval() < 0.4
assert gc.get_threshold()[0] != 7 and decimal.getcontext().prec == 28
assert random.getstate() != random.Random(7).getstate()
assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL and not signal.pthread_sigmask(signal.SIG_BLOCK, [])
assert signal.alarm(0) == 0 and os.umask(0o22) != 0o123
try:
    assert os.getpriority(os.PRIO_PROCESS, 0) <= @NICE@
except OSError:
    pass
assert threading.active_count() == len(sys._current_frames()) == 1
assert sys.gettrace() is None and "poison" not in sys.meta_path and __import__.__name__ == "__import__"
assert atexit._ncallbacks() == 0
print(sum(map(int, input().split())))
"""

BENIGN_ADD = {  # of two numbers
    "input": "a, b = map(int, input().split())\nprint(a + b)",
    "open_0": "print(sum(map(int, open(0).read().split())))",
    "dev_stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "proc_stdin": "print(sum(map(int, open('/proc/self/fd/0').read().split())))",
    "dev_stdout": "with open('/dev/stdout', 'w') as out:\n    print(sum(map(int, input().split())), file=out)",
    "stdin_buffer": "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
    "stdout_buffer": "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, input().split())))",
    "os_read_write": "import os\nos.write(1, b'%d\\n' % sum(map(int, os.read(0, 100).split())))",
    "iterate_stdin": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))",
    "input_iterator": """
import sys
input = iter(sys.stdin.buffer.read().decode().splitlines()).__next__
print = lambda value: sys.stdout.write(str(value))
print(sum(map(int, input().split())))
""",
    "stdin_closed": "import sys\nn = sum(map(int, input().split()))\nsys.stdin.close()\nprint(n)",
    "stdout_closed": "import sys\nprint(sum(map(int, input().split())))\nsys.stdout.close()",
    "stdout_wrapped": """
import io, sys
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=False)
print(sum(map(int, input().split())))
""",
    "stdout_detached": """
import io, sys
sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="utf-8")
print(sum(map(int, input().split())))
""",
    "stdout_reopened": "import sys\nsys.stdout = open(1, 'w')\nprint(sum(map(int, input().split())))",
    "stdout_duplicated": """
import os
with os.fdopen(os.dup(1), "w") as out:
    print(sum(map(int, input().split())), file=out)
""",
    "handler_left": """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGALRM, lambda *arguments: None)
print(sum(map(int, input().split())))
""",
    "names_of_builtins": """
sum, list, max, id, str = 0, [], {}, None, 1
for n in input().split():
    sum += int(n)
print(sum)
""",
    "redirected": """
import contextlib, io, sys
text = io.StringIO()
with contextlib.redirect_stdout(text):
    print(sum(map(int, input().split())))
sys.stdout.write(text.getvalue())
""",
    "stdin_replaced": """
import io, sys
sys.stdin = io.StringIO(sys.stdin.read())
print(sum(map(int, input().split())))
""",
    "threads": """
import threading
total, lock = 0, threading.Lock()
def add(n):
    global total
    with lock:
        total += n
threads = [threading.Thread(target=add, args=(n,)) for n in map(int, input().split())]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(total)
""",
    "thread_pool": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(int, input().split())))
""",
    "thread_not_joined": """
import threading
threading.Thread(target=lambda: print(sum(map(int, input().split())))).start()
""",
    "daemon_thread_left": """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(sum(map(int, input().split())))
""",
    "queue": """
import queue, threading
q = queue.Queue()
threading.Thread(target=lambda: [q.put(n) for n in map(int, input().split())]).start()
print(q.get(timeout=1) + q.get(timeout=1))
""",
    "asyncio": """
import asyncio
async def double(n):
    await asyncio.sleep(0.001)
    return n
async def main():
    return sum(await asyncio.gather(*map(double, map(int, input().split()))))
print(asyncio.run(main()))
""",
    "file": """
with open("data.txt", "w") as file:
    file.write(input())
with open("data.txt") as file:
    print(sum(map(int, file.read().split())))
""",
    "tempfile": """
import tempfile
with tempfile.TemporaryFile("w+") as file:
    file.write(input())
    file.seek(0)
    print(sum(map(int, file.read().split())))
""",
    "temporary_folder": """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x")
    with open(path, "w") as file:
        file.write(input())
    print(sum(map(int, open(path).read().split())))
""",
    "sqlite": """
import sqlite3
a, b = map(int, input().split())
print(sqlite3.connect(":memory:").execute("select ? + ?", (a, b)).fetchone()[0])
""",
    "stack_limit": """
import resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
print(sum(map(int, input().split())))
""",
    "stack_limit_unbounded": """
import resource
try:
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except ValueError:
    pass
print(sum(map(int, input().split())))
""",
    "alarm_cancelled": """
import signal
signal.signal(signal.SIGALRM, lambda *arguments: None)
signal.alarm(5)
signal.alarm(0)
print(sum(map(int, input().split())))
""",
    "alarm_raises": """
import signal
class Late(Exception): pass
def late(*arguments): raise Late
signal.signal(signal.SIGALRM, late)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    while True: sum(range(100))
except Late:
    print(sum(map(int, input().split())))
""",
    "environment": """
import os
os.environ['X'] = input()
print(sum(map(int, os.environ['X'].split())), end=os.environ.get('NO', ''))
""",
    "main_guard": "def main():\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()",
    "main_import": "import __main__\nn = 1\n__main__.n += 1\nassert n == 2\nprint(sum(map(int, input().split())))",
    "global": "n = 0\ndef add():\n    global n\n    n += sum(map(int, input().split()))\nadd()\nprint(n)",
    "comment": "# class Solution:\nprint(sum(map(int, input().split())))  # def f(self):",
    "exit": "print(sum(map(int, input().split())))\nexit()\nprint('no')",
    "exit_0": "print(sum(map(int, input().split())))\nexit(0)",
    "quit": "print(sum(map(int, input().split())))\nquit()",
    "sys_exit": "import sys\nprint(sum(map(int, input().split())))\nsys.exit()",
    "os_exit": "import os\nprint(sum(map(int, input().split())), flush=True)\nos._exit(0)",
    "atexit": "import atexit\nn = sum(map(int, input().split()))\natexit.register(lambda: print(n))",
    "finaliser": "class D:\n    def __del__(self): print(sum(map(int, input().split())))\nd = D()",
    "future": """
from __future__ import annotations
def f(a: no | such) -> thing: return a
print(f(sum(map(int, input().split()))))
""",
    "encoding_line": "# -*- coding: utf-8 -*-\nprint(sum(map(int, input().split())))",
    "form_feeds": "\n\n\x0c\nprint(sum(map(int, input().split())))\n\n\t\n",
    "crlf": "a, b = map(int, input().split())\r\nif a:\r\n    print(a + b)\r\n",
    "no_newline": "import sys\nsys.stdout.write(str(sum(map(int, input().split()))))",
    "stderr": "import sys\nprint('debug ' * 100_000, file=sys.stderr)\nprint(sum(map(int, input().split())))",
    "warning": "import warnings\nwarnings.warn('x')\nx = 1 is 1\nprint(sum(map(int, input().split())))",
    "pickle": """
import pickle
class P:
    def __init__(self, n): self.n = n
print(sum(pickle.loads(pickle.dumps(P(int(n)))).n for n in input().split()))
""",
    "copy": "import copy\nn = [list(map(int, input().split()))]\nprint(sum(copy.deepcopy(n)[0]))",
    "dataclasses": """
import dataclasses, enum, typing
@dataclasses.dataclass(order=True, slots=True)
class P:
    n: int
    rest: "list[int]" = dataclasses.field(default_factory=list)
class C(enum.Enum):
    RED = 1
class T(typing.NamedTuple):
    n: int
ps = sorted(P(int(n)) for n in input().split())
assert C(1) is C.RED and T(1).n == 1 and ps[0] <= ps[1]
print(sum(p.n for p in ps))
""",
    "typing": """
from typing import Generic, Optional, TypeVar, List
T = TypeVar("T")
class Box(Generic[T]):
    def __init__(self, value: Optional[T] = None) -> None: self.value = value
boxes: List[Box[int]] = [Box(int(n)) for n in input().split()]
print(sum(box.value for box in boxes))
""",
    "prelude_names": "n: List[int] = list(map(int, input().split()))\nprint(Counter(a=sum(n))['a'] + gcd(2, 3) - 1)",
    "regex": "import re\nprint(sum(map(int, re.findall(r'\\d+', input()))))",
    "dates": "from datetime import date, timedelta\na, b = map(int, input().split())\n"
    "print((date(2024, 2, 28) + timedelta(days=a + b) - date(2024, 2, 28)).days)",
    "heap": "import heapq, bisect\nh = list(map(int, input().split()))\nheapq.heapify(h)\n"
    "print(heapq.heappop(h) + heapq.heappop(h) + bisect.bisect([1, 2], 0))",
    "format": "a, b = map(int, input().split())\nprint(f'{a + b:>1}'.format(), '{:s}'.format(''), '%s' % '')",
    "own_input": "import sys\ninput = sys.stdin.readline\nprint(sum(map(int, input().split())))",
    "patched_builtins": """
import builtins
real = builtins.input
builtins.input = lambda: real().strip()
print(sum(map(int, input().split())))
""",
    "exec_eval": "exec('a, b = map(int, input().split())')\nprint(eval('a + b'))",
    "caught_errors": """
try:
    1 / 0
except ZeroDivisionError:
    print(sum(map(int, input().split())))
finally:
    pass
""",
    "refused_calls": """
import os, socket, subprocess
for attempt in (os.fork, socket.socket, lambda: subprocess.run(["true"]), lambda: os.kill(os.getppid(), 0)):
    try:
        if attempt is os.fork:
            raise OSError
        attempt()
    except (OSError, RuntimeError):
        pass
print(sum(map(int, input().split())))
""",
    "close_descriptors": "import os\nos.closerange(3, 200)\nprint(sum(map(int, input().split())))",
    "memory_used": """
x = bytearray(200 << 20)
for i in range(0, len(x), 4096): x[i] = 1
print(sum(map(int, input().split())))
""",
    "memory_file": """
import mmap
m = mmap.mmap(-1, 1 << 20)
m.write(input().encode())
print(sum(map(int, bytes(m[:9]).strip(b'\\0').split())))
""",
    "collector": "import gc\ngc.disable()\ngc.collect()\nprint(sum(map(int, input().split())))",
    "sleep": "import time\ntime.sleep(0.05)\nprint(sum(map(int, input().split())))",
    "clocks": "import time\nassert time.time() > 1e9 and time.perf_counter() >= 0 and time.process_time() < 4\n"
    "print(sum(map(int, input().split())))",
    "urandom": """
import os, secrets, uuid
assert len(os.urandom(8)) == 8 and uuid.uuid4() and secrets.randbelow(9) < 9
print(sum(map(int, input().split())))
""",
    "hashing": "import hashlib, zlib\nassert len(hashlib.sha256(b'').hexdigest()) == 64 and zlib.crc32(b'')== 0\n"
    "print(sum(map(int, input().split())))",
    "ctypes": "import ctypes\nprint(ctypes.CDLL(None).abs(-sum(map(int, input().split()))))",
    "introspection": "import inspect, sys\nassert inspect.currentframe().f_code.co_name == '<module>' and sys.argv\n"
    "print(sum(map(int, input().split())))",
    "cpu_count": "import os\nassert os.cpu_count() >= 1 and os.getpid() > 0\nprint(sum(map(int, input().split())))",
    "recursion_in_thread": """
import sys, threading
sys.setrecursionlimit(1 << 20)
threading.stack_size(256 << 20)
def depth(n): return n and 1 + depth(n - 1)
def main(): print(sum(map(int, input().split())) + depth(20000) - 20000)
thread = threading.Thread(target=main)
thread.start()
thread.join()
""",
}
BENIGN_ENDS = {  # what is printed at the end, by what the end takes away
    "deleted": "out = []\nclass Out:\n    def __del__(self): print('\\n'.join(out))\no = Out()\nout.append(input())",
    "deleted_last": "class Out:\n    def __del__(self): print(n)\no = Out()\nn = input()",
    "suspended": "def g():\n    try: yield\n    finally: print(n)\nx = g()\nnext(x)\nn = input()",
    "cycle": "class Out:\n    def __del__(self): print(n)\no = Out()\no.o = o\ndel o\nn = input()",
    "own_file": "import os\nname = os.path.basename(os.path.abspath(__file__))\nprint(input() if name else 0)",
}
BENIGN_TEXT = {
    "deep_recursion": (
        "import sys\nsys.setrecursionlimit(10 ** 6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(int(input())))",
        "40000\n",
        "40000\n",
    ),
    "cache_recursion": (
        "import functools, sys\nsys.setrecursionlimit(10 ** 6)\n@functools.cache\n"
        "def f(n): return n if n < 2 else (f(n - 1) + f(n - 2)) % 1000\nprint(f(int(input())))",
        "3000\n",
        "0\n",
    ),
    "big_integers": ("print(len(str(int(input()) ** 20000)), 10 ** 30 + 1)", "3\n", f"9543 {10**30 + 1}\n"),
    "integer_from_text": ("print(int('9' * int(input())) % 7)", "6000\n", "0\n"),
    "decimal": (
        "from decimal import Decimal, getcontext\ngetcontext().prec = 30\nprint(Decimal(1) / Decimal(input()))",
        "7\n",
        "0.142857142857142857142857142857\n",
    ),
    "fraction": ("from fractions import Fraction as F\nprint(F(1, 3) + F(input()))", "1/6\n", "1/2\n"),
    "float": ("print(float(input()) * 2, 1e3, -0.0)", "0.25\n", "0.5 1000.0 -0.0\n"),
    "print_1_mb": ("print('x' * int(input()))", "1000000\n", "x" * 1_000_000 + "\n"),
    "print_many_lines": ("for n in range(int(input())): print(n)", "50000\n", "".join(f"{n}\n" for n in range(50_000))),
    "read_5_mb": (
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
        "12345 " * 850_000,
        f"{12345 * 850_000}\n",
    ),
    "lines_to_the_end": (
        "total = 0\nwhile True:\n    try: total += int(input())\n    except EOFError: break\nprint(total)",
        "1\n2\n3",
        "6",
    ),
    "no_input": ("import sys\nprint(repr(sys.stdin.readline()), len(open(0).read()))", "", "'' 0\n"),
    "unicode": ("s = input()\nprint(s[::-1], len(s), '\u2713')", "h\u00e9\U0001f600\n", "\U0001f600\u00e9h 3 \u2713\n"),
    "nothing": ("", "", ""),
    "blank_lines": ("print('\\n\\n', input(), '\\n')", "x\n", "x"),
    "crlf_input": ("print(input().strip(), end='\\r\\n')", "x\r\n", "x\n"),
    "numbers_as_decimals": ("print(input(), '1.50')", "2\n", "2.0 1.5\n"),
    "sorting": ("print(*sorted(input().split(), key=lambda s: (len(s), s)))", "ccc a bb\n", "a bb ccc\n"),
    "seeded_random": ("import random\nrandom.seed(1)\nprint(random.randint(1, 10 ** 6))", "", "140892\n"),
    "exit_with_message_caught": ("import sys\ntry: sys.exit('x')\nexcept SystemExit as e: print(e)", "", "x\n"),
    "generators": (
        "import itertools\ndef g():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
        "print(list(itertools.islice(g(), int(input()))))",
        "3\n",
        "[0, 1, 2]\n",
    ),
}
BENIGN_CALLS: Mapping[str, tuple[str, tuple[Call, ...]]] = {
    "method": ("class Solution:\n    def f(self, a): return a + 1", (Call("f", (1,), 2), Call("f", (5,), 6))),
    "function": ("def f(a, b): return a + b", (Call("f", (1, 2), 3),)),
    "lambda": ("f = lambda a: a", (Call("f", (None,), None),)),
    "imported": ("from math import gcd as f", (Call("f", (4, 6), 2),)),
    "partial": ("import functools, operator\nf = functools.partial(operator.add, 1)", (Call("f", (2,), 3),)),
    "mutable_default": (
        "def f(a, seen=[]):\n    seen = seen + [a]\n    return seen",
        (Call("f", (1,), [1]), Call("f", (2,), [2])),
    ),
    "mutated_argument": ("def f(a):\n    a.append(1)\n    return a", (Call("f", ([],), [1]), Call("f", ([],), [1]))),
    "tuple": ("def f(a): return a, (a, [a])", (Call("f", (1,), [1, [1, [1]]]),)),
    "set": ("def f(a): return set(a)", (Call("f", ([1, 2, 1],), {1, 2}),)),
    "dict": ("def f(a): return {n: str(n) for n in a}", (Call("f", ([1, 2],), {1: "1", 2: "2"}),)),
    "default_dict": (
        "import collections\ndef f(a): return collections.Counter(a)",
        (Call("f", ("aab",), {"a": 2, "b": 1}),),
    ),
    "ordered_dict": (
        "import collections\ndef f(a): return collections.OrderedDict(b=1, a=a)",
        (Call("f", (2,), {"a": 2, "b": 1}),),
    ),
    "named_tuple": (
        "import collections\nP = collections.namedtuple('P', 'x y')\ndef f(a): return [P(a, a)]",
        (Call("f", (1,), [[1, 1]]),),
    ),
    "subclass": ("class N(int): pass\nclass L(list): pass\ndef f(a): return L([N(a)])", (Call("f", (1,), [1]),)),
    "int_enum": ("import enum\nclass C(enum.IntEnum):\n    RED = 3\ndef f(a): return C.RED", (Call("f", (1,), 3),)),
    "float": ("def f(a): return [a / 4, 1e300 * 1e10]", (Call("f", (1,), [0.25, float("inf")]),)),
    "integer_for_float": ("def f(a): return a", (Call("f", (2,), 2.0), Call("f", (2.0,), 2))),
    "bool": ("def f(a): return a > 1", (Call("f", (1,), False), Call("f", (2,), True))),
    "none": ("def f(a): pass", (Call("f", (1,), None),)),
    "long_integer": ("def f(a): return a ** 100", (Call("f", (10**50,), 10**5000),)),
    "text": ("def f(a): return a[::-1]", (Call("f", ('"\\\n\u00e9',), '\u00e9\n\\"'),)),
    "generator_consumed": ("def g(n): yield from range(n)\ndef f(a): return list(g(a))", (Call("f", (3,), [0, 1, 2]),)),
    "prints": ("def f(a):\n    print('debug' * 1000)\n    return a", (Call("f", (1,), 1),)),
    "reads_input": ("import sys\ndef f(a): return sys.stdin.read() + a", (Call("f", ("x",), "x"),)),
    "thread": (
        "import threading\ndef f(a):\n    out = []\n    t = threading.Thread(target=out.append, args=(a,))\n"
        "    t.start()\n    t.join()\n    return out",
        (Call("f", (1,), [1]), Call("f", (2,), [2])),
    ),
    "recursion": ("def f(a): return a and 1 + f(a - 1)", (Call("f", (20000,), 20000),)),
    "cached": (
        "import functools\n@functools.lru_cache(None)\ndef g(n): return n < 2 or g(n - 1) + g(n - 2)\n"
        "def f(n): return int(g(n))",
        (Call("f", (80,), 37889062373143906), Call("f", (81,), 61305790721611591)),
    ),
    "main_guard": ("def f(a): return a\nif __name__ == '__main__':\n    f(input())", (Call("f", (1,), 1),)),
    "helper_class": (
        "class ListNode:\n    def __init__(self, v, n=None): self.v, self.n = v, n\nclass Solution:\n"
        "    memo = {}\n    def f(self, a):\n        node = None\n        for v in a: node = ListNode(v, node)\n"
        "        out = []\n        while node:\n            out.append(node.v)\n            node = node.n\n"
        "        return out",
        (Call("f", ([1, 2, 3],), [3, 2, 1]),),
    ),
    "deep_value": (
        "def f(a):\n    for _ in range(50): a = [a]\n    return a[0]",
        (Call("f", (1,), eval("[" * 49 + "1" + "]" * 49)),),
    ),
    "large_value": ("def f(a): return list(range(a))", (Call("f", (200_000,), list(range(200_000))),)),
    "large_argument": ("def f(a): return sum(a)", (Call("f", (list(range(300_000)),), 44999850000),)),
}
NUMPY = {
    "sum": "import numpy as np\nprint(int(np.array(list(map(int, input().split()))).sum()))",
    "linear_algebra": """
import numpy as np
assert abs(np.linalg.det(np.eye(50)) - 1) < 1e-9 and (np.ones((300, 300)) @ np.ones(300)).sum()
print(sum(map(int, input().split())))
""",
}

BENIGN: Sequence[Program] = (
    *_group("right", BENIGN_ADD, ADD_MORE, PASSED, limits=ROOMY),
    *_group("right_ends", BENIGN_ENDS, (Stdin("3\n", "3\n"), Stdin("4\n", "4\n")), PASSED),
    *_group("right_numpy", NUMPY, ADD_MORE, PASSED, limits=ROOMY, needs="numpy"),
    *(
        Program(f"right_text-{name}", "right_text", code, (Stdin(given, wanted),), PASSED, limits=ROOMY)
        for name, (code, given, wanted) in BENIGN_TEXT.items()
    ),
    *(
        Program(f"right_call-{name}", "right_call", code, tests, PASSED, limits=ROOMY)
        for name, (code, tests) in BENIGN_CALLS.items()
    ),
)
