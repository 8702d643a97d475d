"""C++ programs for `test_sandbox_cpp.py`: right ones, ones that fail, and attacks.

An attack prints "out" if it gets what it should not have and "held" if not; one that can do no harm says `control`, and
must print "out" outside the sandbox. `@FILE@`, `@PORT@` and `@FOLDER@` stand for the test's own things on the host.
"""

import struct
from dataclasses import dataclass

from tts.sandbox import Status

OK, ERROR, TIMEOUT = Status.OK, Status.RUNTIME_ERROR, Status.TIMEOUT
MEMORY, OUTPUT = Status.MEMORY, Status.OUTPUT_LIMIT

HEAD = r"""
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <initializer_list>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>
static char *ECHO[] = {(char *)"echo", (char *)"out", 0}, *AGAIN[] = {(char *)"again", 0}, *NOTHING[] = {0};
static char HERE[999];  // the path of "x" in the working folder
__attribute__((constructor)) static void find() { strcat(getcwd(HERE, 900) ? HERE : HERE, "/x"); }
static void say(bool out) { puts(out ? "out" : "held"); }
"""


def _tiny() -> bytes:
    """An executable of x86-64 that prints "out" and ends."""
    code = bytes.fromhex("b801000000 bf01000000 488d3510000000 ba04000000 0f05 b83c000000 31ff 0f05") + b"out\n"
    base, head = 0x400000, 64 + 56
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(code)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code


TINY = f"static unsigned char TINY[] = {{{', '.join(map(str, _tiny()))}}};\n"


@dataclass(frozen=True)
class Case:
    """A program, what it reads, and what should come of it: one of `statuses`, and `prints` where that is ok."""

    name: str
    code: str
    statuses: tuple[Status, ...] = (OK,)
    prints: str = "held\n"
    given: str = ""
    control: bool = False
    says: str = ""  # in the outcome's detail


def attack(name: str, body: str, *statuses: Status, control: bool = False, before: str = "", says: str = "") -> Case:
    """A case whose `main` has this body."""
    code = f"{HEAD}{before}\nint main(int argc, char **argv) {{ {body} }}\n"
    return Case(name, code, statuses or (OK,), control=control, says=says)


GOOD = Case(
    "good",
    r"""
#include <cstdio>
#include <dirent.h>
int main() {
    long long a, b, files = 0;
    scanf("%lld %lld", &a, &b);
    DIR *room = opendir(".");
    while (room && readdir(room)) files++;
    printf("%lld %lld\n", a + b, files);
}
""",
    prints="5 2\n",  # of files only . and ..
    given="2 3\n",
)

RIGHT = [
    Case(
        "integers",
        "#include <bits/stdc++.h>\nusing namespace std;\n"
        "int main() { int n; cin >> n; long long s = 0, x; while (n--) { cin >> x; s += x; } cout << s << endl; }",
        prints="6\n",
        given="3\n1 2 3\n",
    ),
    Case(
        "long_output",
        '#include <cstdio>\nint main() { for (int i = 0; i < 100000; i++) printf("%d\\n", i); }',
        prints="".join(f"{i}\n" for i in range(100_000)),
    ),
    Case(
        "deep_recursion",
        "#include <cstdio>\nint f(int n) { volatile char room[64]; room[0] = n; return n ? 1 + f(n - 1) + room[0] * 0 : 0; }"
        '\nint main() { printf("%d\\n", f(1000000)); }',
        prints="1000000\n",
    ),
    Case(
        "numeric",
        "#include <cstdio>\nint main() { double s = 0; for (long i = 1; i < 200000000; i++) s += 1.0 / i;"
        ' printf("%.6f\\n", s); }',
        prints="19.691044\n",
    ),
    Case(
        "threads",
        "#include <atomic>\n#include <cstdio>\n#include <thread>\n#include <vector>\nint main() {"
        " std::atomic<int> n{0}; std::vector<std::thread> all; for (int i = 0; i < 50; i++)"
        ' all.emplace_back([&] { n++; }); for (auto &one : all) one.join(); printf("%d\\n", n.load()); }',
        prints="50\n",
    ),
    Case(
        "exceptions",
        "#include <cstdio>\n#include <map>\n#include <stdexcept>\nint main() { std::map<int, int> m;"
        ' try { m.at(3); } catch (const std::out_of_range &) { puts("caught"); } }',
        prints="caught\n",
    ),
    Case(
        "files_in_its_folder",
        HEAD + 'int main() { FILE *f = fopen("x", "w"); puts(f ? "made" : "not"); }',
        prints="made\n",
    ),
    Case(
        "reopened_input",
        HEAD + 'int main() { int n; freopen("/dev/stdin", "r", stdin); scanf("%d", &n); printf("%d", n); }',
        prints="7",
        given="7",
    ),
    Case(
        "destructors",
        'struct S { ~S(); }; S s;\n#include <cstdio>\nS::~S() { puts("gone"); }\nint main() {}',
        prints="gone\n",
    ),
    Case(
        "online_judge",
        HEAD + '#ifndef ONLINE_JUDGE\nstatic FILE *f = freopen("input.txt", "r", stdin);\n#endif\n'
        'int main() { int n; scanf("%d", &n); printf("%d", n); }',
        prints="7",
        given="7",
    ),
    Case(
        "of_2020",
        "#include <algorithm>\n#include <cstdio>\n#include <vector>\nint main() { std::vector<int> v{3, 1};"
        ' std::ranges::sort(v); printf("%d", v[0]); }',
        prints="1",
    ),
    Case("of_2017", '#include <cstdio>\nint requires = 1;\nint main() { printf("%d", requires); }', prints="1"),
    Case(
        "deep_folders",
        HEAD
        + "int main() { char s[251]; memset(s, 'e', 250); s[250] = 0; for (int i = 0; i < 25; i++) { mkdir(s, 0300);"
        ' chdir(s); } close(open("f", O_CREAT | O_WRONLY, 0600)); puts("made"); }',
        prints="made\n",
    ),
    Case("no_newline_in_the_end", "#include <cstdio>\nint main() { putchar(65); }", prints="A"),
    Case(
        "much_reserved_memory",
        '#include <cstdio>\nstatic char room[800 << 20];\nint main() { room[5] = 1; puts("fine"); }',
        prints="fine\n",
    ),
    Case("a_closed_error_stream", '#include <cstdio>\nint main() { fclose(stderr); puts("fine"); }', prints="fine\n"),
]

FAILING = [
    Case("wrong_answer", "#include <cstdio>\nint main() { puts(\"4\"); }", prints="4\n"),
    Case("exit_code", "int main() { return 3; }", (ERROR,), says="exit code 3"),
    Case("abort", "#include <cstdlib>\nint main() { abort(); }", (ERROR,), says="SIGABRT"),
    Case("segfault", "int main() { *(volatile int *)8 = 1; }", (ERROR,), says="SIGSEGV"),
    Case("division", "int main() { volatile int zero = 0; return 1000 / zero; }", (ERROR,), says="SIGFPE"),
    Case("uncaught", "int main() { throw 1; }", (ERROR,), says="terminate called"),
    Case("endless_recursion", "int f(int n) { volatile char room[999]; room[0] = n; return f(n + 1) + room[0]; }\n"
         "int main() { return f(0); }", (ERROR, MEMORY)),
    Case("bad_alloc", "#include <vector>\nint main() { std::vector<char> v(10ll << 30); return v[5]; }", (MEMORY,)),
    Case("reserved_and_used", "#include <cstdio>\n#include <cstdlib>\n#include <cstring>\nint main() { for (;;) {"
         " char *p = (char *)malloc(1 << 20); if (p) memset(p, 1, 1 << 20); } }", (MEMORY,)),
    Case("shared_memory", HEAD + "int main() { char *p = (char *)mmap(0, 1 << 20, PROT_READ | PROT_WRITE,"
         " MAP_SHARED | MAP_ANONYMOUS, -1, 0); return p == MAP_FAILED ? 3 : 0; }", (ERROR,), says="exit code 3"),
    Case("much_static_memory", "static volatile char room[1900ll << 20];\nint main() { room[5] = 1; return 0; }", (ERROR, MEMORY)),
    Case("endless_loop", "int main() { for (volatile int i = 0;; i++); }", (TIMEOUT,)),
    Case("endless_sleep", "#include <unistd.h>\nint main() { for (;;) pause(); }", (TIMEOUT,)),
    Case("output_flood", "#include <cstdio>\nint main() { for (;;) puts(\"flood flood flood\"); }", (OUTPUT,)),
    Case("error_flood", "#include <cstdio>\nint main() { for (;;) fputs(\"flood flood\", stderr); }", (OUTPUT,)),
    Case("file_flood", HEAD + "int main() { char name[20]; for (int i = 0;; i++) {"
         " sprintf(name, \"%d\", i); close(open(name, O_CREAT | O_WRONLY, 0600)); } }", (OUTPUT, TIMEOUT)),
    Case("large_file", HEAD + "int main() { static char b[1 << 20]; int f = open(\"x\", O_CREAT | O_WRONLY, 0600);"
         " for (;;) write(f, b, sizeof b); }", (ERROR,), says="SIGXFSZ"),
]  # fmt: skip

ATTACKS = [
    attack("shell", 'int s = system("exit 7"); say(s != -1 && WIFEXITED(s) && WEXITSTATUS(s) == 7);', control=True),
    attack("execute", 'execve("/bin/echo", ECHO, NOTHING); execve("/usr/bin/python3", ECHO, NOTHING); say(0);', control=True),
    attack("execute_by_path",
           'for (int fd : {127, -100, 0}) syscall(SYS_execveat, fd, "/bin/echo", ECHO, NOTHING, AT_EMPTY_PATH); say(0);',
           control=True),
    attack("execute_a_script", 'int f = open("x", O_CREAT | O_RDWR, 0777); write(f, "#!/bin/echo out\\n", 16); close(f);'
           ' syscall(SYS_execveat, 127, HERE, NOTHING, NOTHING, AT_EMPTY_PATH);'
           ' syscall(SYS_execveat, AT_FDCWD, "x", ECHO, NOTHING, 0); say(0);'),
    attack("execute_an_open_file",
           'int f = open("/bin/echo", O_RDONLY); for (int to = 3; to < 1024; to++) if (to != f) { dup2(f, to);'
           ' syscall(SYS_execveat, to, "", ECHO, NOTHING, AT_EMPTY_PATH); } say(0);', control=True),
    attack("raise_the_limit_of_files", "rlimit l = {1024, 1024}; setrlimit(RLIMIT_NOFILE, &l); say(dup2(1, 127) == 127 ||"
           " fcntl(1, F_DUPFD, 127) >= 0);", control=True),
    attack("execute_its_output",
           'write(1, TINY, sizeof TINY); for (int to : {127, 1}) {'
           ' fchmod(1, 0777); chmod("/proc/self/fd/1", 0777); fchmodat(AT_FDCWD, "/proc/self/fd/1", 0777, 0);'
           ' syscall(452, 1, "", 0777, AT_EMPTY_PATH);'
           ' syscall(SYS_execveat, to, "", NOTHING, NOTHING, AT_EMPTY_PATH);'
           ' syscall(SYS_execveat, 127, "/proc/self/fd/1", NOTHING, NOTHING, AT_EMPTY_PATH); }'
           ' ftruncate(1, 0); lseek(1, 0, 0); say(0);', before=TINY),
    attack("execute_its_own_file",
           'int f = open("x", O_CREAT | O_RDWR, 0777); write(f, TINY, sizeof TINY); close(f); f = open("x", O_RDONLY);'
           ' syscall(SYS_execveat, 127, HERE, NOTHING, NOTHING, AT_EMPTY_PATH); execve("x", NOTHING, NOTHING);'
           ' for (int to : {f, dup2(f, 127)}) syscall(SYS_execveat, to, "", NOTHING, NOTHING, AT_EMPTY_PATH); say(0);',
           before=TINY, control=True),
    attack("execute_a_memory_file",
           'int f = memfd_create("x", 0); write(f, TINY, sizeof TINY); fexecve(f, NOTHING, NOTHING); say(0);',
           before=TINY, control=True),
    attack("use_its_executable",
           'for (int mode : {O_RDONLY, O_WRONLY, O_RDWR}) if (open("/proc/self/exe", mode) >= 0) { say(1); return 0; }'
           ' say(chmod("/proc/self/exe", 0777) == 0);', control=True),
    attack("leave_a_core", "say(prctl(PR_GET_DUMPABLE) == 1);", control=True),
    attack("be_what_it_was_once_more",  # which is allowed, and changes nothing
           'if (strcmp(argv[0], "again")) syscall(SYS_execveat, 127, "/proc/self/exe", AGAIN, NOTHING, AT_EMPTY_PATH);'
           ' execve("/bin/echo", ECHO, NOTHING); rlimit l; getrlimit(RLIMIT_NOFILE, &l);'
           ' say(strcmp(argv[0], "again") || l.rlim_max > 127 || socket(AF_INET, SOCK_STREAM, 0) >= 0);'),
    attack("be_itself_for_ever", 'for (;;) syscall(SYS_execveat, 127, "/proc/self/exe", NOTHING, NOTHING, AT_EMPTY_PATH);',
           TIMEOUT),
    attack("be_itself_in_a_thread", 'pthread_t t; pthread_create(&t, 0, [](void *) -> void * { for (;;) syscall('
           'SYS_execveat, 127, "/proc/self/exe", NOTHING, NOTHING, AT_EMPTY_PATH); }, 0); for (;;);',
           TIMEOUT, ERROR),
    attack("have_capabilities", "unsigned head[2] = {0x20080522, 0}, sets[6] = {0}; syscall(SYS_capget, head, sets);"
           " say(sets[0] | sets[1] | sets[2] | sets[3] | sets[4] | sets[5]);"),
    attack("fork", "int done = 0; for (int i = 0; i < 100; i++) { pid_t p = fork(); if (!p) _exit(0); done += p > 0; }"
           " say(done);", control=True),
    attack("clone", "for (long flags : {(long)SIGCHLD, (long)0x4000 | SIGCHLD, (long)0x10000000 | SIGCHLD}) {"
           " long p = syscall(SYS_clone, flags, 0, 0, 0, 0); if (!p) _exit(0); if (p > 0) { say(1); return 0; } }"
           " long args[11] = {0, 0, 0, 0, SIGCHLD}; long p = syscall(SYS_clone3, args, 64); if (!p) _exit(0); say(p > 0);",
           control=True),
    attack("fork_bomb", "for (;;) fork();", TIMEOUT),
    attack("thread_bomb", "pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 16384); for (;;) {"
           " pthread_t t; pthread_create(&t, &a, [](void *) -> void * { pause(); return 0; }, 0); }", TIMEOUT, ERROR, MEMORY),
    attack("socket", "say(socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0);", control=True),
    attack("connect", "int s = socket(AF_INET, SOCK_STREAM, 0); sockaddr_in a = {}; a.sin_family = AF_INET;"
           " a.sin_port = htons(@PORT@); a.sin_addr.s_addr = htonl(0x7f000001);"
           " say(connect(s, (sockaddr *)&a, sizeof a) == 0);"),
    attack("read_files", 'for (const char *p : {"@FILE@", "/etc/passwd", "/proc/self/environ", "/proc/1/environ",'
           ' "/proc/cmdline", "/sys/kernel/notes", "/proc/self/maps"}) if (open(p, O_RDONLY) >= 0) { say(1); return 0; }'
           ' say(0);', control=True),
    attack("list_folders", 'for (const char *p : {"/", "/proc", "/etc", "@FOLDER@", "/tts"}) if (opendir(p))'
           ' { say(1); return 0; } say(0);', control=True),
    attack("write_files", 'for (const char *p : {"@FOLDER@/made", "/made", "/dev/shm/made", "/usr/made", "/var/tmp/made"})'
           ' if (open(p, O_CREAT | O_WRONLY, 0600) >= 0) { say(1); return 0; } say(0);'),
    attack("trace", "say(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 || ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0);", control=True),
    attack("own_memory_as_a_file", 'static long word; int f = open("/proc/self/mem", O_RDWR); long one = 1;'
           ' pwrite(f, &one, 8, (off_t)&word); say(*(volatile long *)&word);', control=True),
    attack("signal_others", "int done = 0; for (pid_t p : {getppid(), 1, -1, 0}) done |= kill(p, 0) == 0; say(done);",
           control=True),
    attack("kill_the_zygote", "kill(getppid(), 9); kill(1, 9); kill(-1, 9); syscall(SYS_tgkill, 1, 1, 9);"
           " syscall(SYS_rt_sigqueueinfo, 1, 9, 0); say(0);"),
    attack("other_calls", "int done = 0; for (long n : std::initializer_list<long>{SYS_unshare, SYS_setns, SYS_mount, SYS_bpf, SYS_keyctl, SYS_chroot,"
           " SYS_personality, SYS_setsid, SYS_setpgid, SYS_shmget, SYS_memfd_create, SYS_userfaultfd, SYS_perf_event_open,"
           " SYS_io_uring_setup, SYS_process_vm_readv, SYS_inotify_init1, SYS_timer_create, SYS_seccomp, SYS_iopl,"
           " SYS_pidfd_open, SYS_name_to_handle_at, SYS_setuid, SYS_chmod, SYS_execve})"
           " done |= syscall(n, 0, 0, 0, 0, 0, 0) != -1 || errno != EPERM; say(done);"),
    attack("other_interfaces", "long got; asm volatile(\"int $0x80\" : \"=a\"(got) : \"a\"(20)); say(got > 0);", ERROR,
           says="SIGSYS"),
    attack("x32_calls", "say(syscall(0x40000000 | SYS_getpid) > 0 || syscall(0x40000000 | 545, \"/bin/echo\", ECHO, NOTHING,"
           " 0, 0x1000) >= 0);"),
    attack("outlive_the_test", "prctl(PR_SET_PDEATHSIG, 0); signal(SIGTERM, SIG_IGN); signal(SIGXCPU, SIG_IGN); daemon(0, 0);"
           " for (;;);", TIMEOUT),
    attack("leave_files", 'mkdir("left", 0700); close(open("left/x", O_CREAT | O_WRONLY, 0600)); symlink("/", "link");'
           ' rename("left", ".."); say(0);'),
    attack("other_descriptors", "int done = 0; for (int i = 3; i < 4096; i++) done |= fcntl(i, F_GETFD) >= 0; say(done);"),
    attack("environment", "extern char **environ; say(*environ != 0);"),
    attack("an_interpreter_of_its_own", "say(1);", ERROR,
           before='asm(".section .interp,\\"a\\"\\n.string \\"/lib64/ld-linux-x86-64.so.2\\"\\n.text");'),
    attack("read_the_wrong_end", "static char b[9]; say(read(1, b, 9) > 0 || write(0, b, 9) > 0);"),
]  # fmt: skip

BOMB = "\n".join(f"#define A{i} A{i - 1} A{i - 1} A{i - 1} A{i - 1}" for i in range(1, 40))
TEMPLATES = """
template <int N, int M> struct T { static const long v = T<N - 1, M * 2>::v + T<N - 1, M * 2 + 1>::v; };
template <int M> struct T<0, M> { static const long v = M; };
int main() { return T<30, 1>::v; }
"""
REFUSED = [
    Case("no_program", "", (ERROR,), says="main"),
    Case("wrong_type", 'int main() { int n = "x"; }', (ERROR,), says="invalid conversion"),
    Case("python", "print(1)", (ERROR,), says="error:"),
    Case("unknown_header", "#include <windows.h>\nint main() {}", (ERROR,), says="windows.h: No such file"),
    Case("no_text", "\0\ud800\udcff", (ERROR,)),
    Case("include_a_host_file", '#include "/etc/passwd"\nint main() {}', (ERROR,), says="No such file"),
    Case("include_a_secret", '#include "@FILE@"\nint main() {}', (ERROR,), says="No such file"),
    Case("include_a_device", '#include "/dev/random"\nint main() {}', (ERROR,), says="No such file"),
    Case("include_the_terminal", '#include "/dev/stdin"\nint main() {}', (ERROR,), says="No such file"),
    Case("include_of_proc", '#include "/proc/self/mountinfo"\nint main() {}', (ERROR,), says="No such file"),
    Case("include_a_folder", '#include "/usr"\nint main() {}', (ERROR,)),
    Case("assemble_a_host_file", 'asm(".incbin \\"/etc/passwd\\"");\nint main() {}', (ERROR,), says="not found"),
    Case("assemble_of_proc", 'asm(".incbin \\"/proc/self/environ\\"");\nint main() {}', (ERROR,), says="not found"),
    Case("assembler_bomb", 'asm(".rept 2000000000\\n.long 1\\n.endr");\nint main() {}', (ERROR,)),
    Case("assembler_room", 'asm(".fill 2000000000");\nint main() {}', (ERROR,)),
    Case("macro_bomb", f"#define A0 1 +\n{BOMB}\nint main() {{ return A39 0; }}", (ERROR,)),
    Case("template_bomb", TEMPLATES, (ERROR,)),
    Case("deep_templates", "template <int N> struct T : T<N + 1> {};\nT<0> t;\nint main() {}", (ERROR,), says="depth"),
    Case("compile_time_loop", "constexpr int f(int n) { while (true) n ^= 1; return n; }\nstatic_assert(f(1));", (ERROR,)),
    Case("large_data", "char room[1 << 30] = {1};\nint main() {}", (ERROR,)),
    Case("large_text", f"int main() {{}} //{'x' * 50_000_000}", (ERROR,), says="MiB"),
    Case("many_words", "int a = 1 " + "+ 1 " * 900_000 + ";\nint main() {}", (ERROR, OK), prints=""),
    Case("many_messages", "int main() {" + "x;" * 100_000 + "}", (ERROR,)),
]  # fmt: skip
