"""What code may try, each a few lines that end quietly where they get through, and raise where they do not.

`T` names what is to be reached; `call` makes a system call by its number on x86-64 and on arm64.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

PREFACE = '''
import ctypes, errno, glob, mmap, os, platform, signal, socket, struct, sys
_libc = ctypes.CDLL(None, use_errno=True)
_column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
def call(x86_64, aarch64, *arguments):
    number = (x86_64, aarch64)[_column]
    if number is None:
        raise OSError(errno.ENOSYS, "no such call here")
    ctypes.set_errno(0)
    words = [ctypes.c_void_p(one) if isinstance(one, int) else one for one in arguments]
    done = _libc.syscall(ctypes.c_long(number), *words)
    if done == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done
def reach(*arguments):
    """Whether the kernel looks at a call at all: what it says of senseless arguments does not matter."""
    try:
        call(*arguments)
    except OSError as fault:
        if fault.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
def look_for(pattern, what):
    for path in glob.glob(pattern):
        try:
            with open(path, "rb") as file:
                if what in file.read():
                    return
        except OSError:
            pass
    raise OSError("not found")
'''


def in_a_child(code: str) -> str:
    """Return an attack that does not change the process that makes it."""
    return f"""
child = os.fork()
if child == 0:
    try:
        {code}
    except OSError:
        os._exit(1)
    os._exit(0)
if os.waitpid(child, 0)[1]:
    raise OSError("refused")
"""


class Attack(NamedTuple):
    """`counter`: where the same code gets through: on the host, or in a sandbox with fewer walls.

    `gvisor`: whether it is one there. What reaches the kernel does not reach the host's with gVisor.
    """

    code: str
    counter: Literal["host", "weak", ""] = "host"
    gvisor: bool = True
    root: bool = False  # on the host, it takes root


ATTACKS: dict[str, Attack] = {
    # --- what the server has
    "read the server's source": Attack('open(T["source"]).read()'),
    "read the server's data": Attack('open(T["data"]).read()'),
    "list the server's data": Attack('os.listdir(os.path.dirname(T["data"]))'),
    "read the server's environment": Attack('os.environ["ASSISTD_ATTACKED"]'),
    "read the environment of others": Attack('look_for("/proc/[0-9]*/environ", b"ASSISTD_ATTACKED=")'),
    "see the processes of others": Attack('look_for("/proc/[0-9]*/cmdline", T["marker"].encode())'),
    "read /etc/shadow": Attack('open("/etc/shadow").read()', root=True),
    "go through the root of the first process": Attack('open("/proc/1/root/etc/shadow").read()', ""),
    "go up from the working folder": Attack('open("../" * 40 + T["data"]).read()'),
    "read a disk": Attack('os.listdir("/sys/block")', gvisor=False),
    "connect to the database's socket": Attack("socket.socket(socket.AF_UNIX).connect(T['unix'])"),
    "connect to an abstract socket": Attack("socket.socket(socket.AF_UNIX).connect('\\0' + T['abstract'])", "weak"),
    # --- the network
    "connect to loopback": Attack("socket.create_connection(('127.0.0.1', T['port']), 5)", "weak"),
    "connect to loopback over IPv6": Attack("socket.create_connection(('::1', T['port']), 5)", ""),
    "have a way to the host's addresses": Attack(
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((T['address'], 9))", "weak"
    ),
    "ask the kernel for its routes": Attack("socket.socket(16, 3, 0).bind((0, 0))", "weak", gvisor=False),
    "send raw packets": Attack("socket.socket(17, 3, 0)", ""),
    "talk to the hypervisor": Attack("socket.socket(40, 1, 0)", ""),
    "use the kernel's ciphers": Attack("socket.socket(38, 5, 0)", ""),
    # --- other processes
    "signal a process outside": Attack('os.kill(T["victim"], 0)'),
    "hold a process outside": Attack('os.pidfd_open(T["victim"])'),
    "trace a process outside": Attack('call(101, 117, 0x4206, T["victim"], 0, 0)', root=True),  # PTRACE_SEIZE
    "trace a process of its own": Attack(in_a_child("call(101, 117, 0, 0, 0, 0)"), "weak", False),  # PTRACE_TRACEME
    "read the memory of a process": Attack("call(310, 270, os.getpid(), 0, 0, 0, 0, 0)", "weak", False),
    "compare processes": Attack("call(312, 272, os.getpid(), os.getpid(), 1, 0, 0)", "weak", False),
    "outlive the server": Attack("call(157, 167, 1, 0)", "weak", False),  # PR_SET_PDEATHSIG
    # --- namespaces, mounts
    "make a user namespace": Attack(in_a_child("call(272, 97, 0x10000000)"), "weak", False),
    "make a process in a user namespace": Attack(
        "pid = call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)", "weak", False
    ),
    "make a process by clone3": Attack("reach(435, 435, 0, 0)", "weak", False),
    "join a namespace": Attack("reach(308, 268, -1, 0)", "weak", False),
    "mount a disk": Attack("call(165, 40, b'none', b'/tmp', b'tmpfs', 0, 0)", ""),
    "unmount a disk": Attack("call(166, 39, b'/tmp', 2)", ""),
    "make the root writable": Attack("call(165, 40, b'none', b'/', 0, 0x20 | 0x1000, 0)", ""),
    "mount by the newer calls": Attack("call(430, 430, b'tmpfs', 0)", ""),
    "change the root": Attack("os.chroot('/tmp')", "", False),
    "pivot the root": Attack("reach(155, 41, b'/tmp', b'/tmp')", ""),
    "open a file by its handle": Attack("reach(304, 265, -1, 0, 0)", "", False),
    # --- the kernel's corners
    "keep keys": Attack("call(250, 219, 0, -3, 0)", "weak", False),
    "add a key": Attack("reach(248, 217, 0, 0, 0, 0, 0)", "weak", False),
    "load a program into the kernel": Attack("reach(321, 280, 5, 0, 0)", ""),
    "use io_uring": Attack("reach(425, 425, 1, 0)", "weak", False),
    "handle page faults": Attack("call(323, 282, 1)", "", False),
    "count performance events": Attack("reach(298, 241, 0, 0, -1, -1, 0)", "weak", False),
    "change its personality": Attack("call(135, 92, 0xFFFFFFFF)", "weak", False),
    "load a module": Attack("call(313, 273, 0, b'', 0)", ""),
    "read the kernel's log": Attack("call(103, 116, 10, 0, 0)", "", False),
    "set the clock": Attack("call(227, 112, 0, ctypes.byref((ctypes.c_long * 2)(0, 0)))", ""),
    "name the machine": Attack("socket.sethostname('mine')", ""),
    "restart the machine": Attack("reach(169, 142, 0, 0, 0, 0)", ""),
    "write to the kernel's settings": Attack("open('/proc/sys/kernel/core_pattern', 'w')", root=True),
    "press a magic key": Attack("open('/proc/sysrq-trigger', 'w')", ""),
    "map the kernel's memory": Attack("open('/dev/mem', 'rb')", ""),
    "type into a terminal": Attack(
        "import pty, fcntl\nfcntl.ioctl(pty.openpty()[1], 0x5412, b'x')", "", False
    ),
    "make calls of another table": Attack("call(0x40000000 + 39, None)", "", False),
    # --- memory that nobody counts
    "keep memory in a nameless file": Attack("os.memfd_create('x')", "weak", False),
    "keep memory in a segment": Attack("call(29, 194, 0, 4096, 0o1600)", "weak", False),
    "keep memory in a queue": Attack("reach(240, 180, 0, 0, 0, 0)", "weak", False),
    "keep memory in a shared mapping": Attack("mmap.mmap(-1, 4096)", "weak", False),
    "keep memory in huge pages": Attack("mmap.mmap(-1, 1 << 21, 0x40022)", "", False),
    "keep memory in a mapping of /dev/zero": Attack(
        "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)", "weak", False
    ),
    "make a socket's buffer larger": Attack(
        "socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 26)", "weak", False
    ),
    "make a socket's other buffer larger": Attack(
        "socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)", "weak", False
    ),
    "make a pipe larger": Attack("import fcntl\nfcntl.fcntl(os.pipe()[1], 1031, 1 << 20)", "weak", False),
    "keep a program at a socket": Attack("reach(54, 208, -1, 1, 26, 0, 0)", "weak", False),
    "keep a program at a process": Attack("reach(157, 167, 22, 99, 0, 0, 0)", "weak", False),  # PR_SET_SECCOMP
    "send descriptors on their way": Attack(
        "a, b = socket.socketpair()\nsocket.send_fds(a, [b'x'], [1])", "weak", False
    ),
    "send many messages": Attack("reach(307, 269, -1, 0, 0, 0)", "weak", False),
    "keep pages in a socket": Attack("reach(40, 71, -1, -1, 0, 1)", "weak", False),
    "keep pages in a pipe": Attack("reach(275, 76, -1, 0, -1, 0, 1, 0)", "weak", False),
    "keep pages in two pipes": Attack("reach(276, 77, -1, -1, 1, 0)", "weak", False),
    "watch files": Attack("call(294, 26, 0)", "weak", False),
    "watch a folder": Attack("import fcntl\nfcntl.fcntl(os.open('/tmp', os.O_RDONLY), 1026, 0)", "weak", False),
    "do asynchronous input and output": Attack("reach(206, 0, 1, 0)", "weak", False),
    "keep locks without end": Attack(
        "import fcntl\nfile = os.open('/tmp/locked', os.O_RDWR | os.O_CREAT)\n"
        "fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 1, 0))", "weak", False
    ),
    "have descriptors that its process has not": Attack(in_a_child("call(436, 436, 900, 900, 2)"), "weak", False),
    "make a thread with descriptors of its own": Attack("reach(56, 220, 0x10000, 0, 0, 0, 0)", "weak", False),
    "lock memory": Attack("reach(149, 228, ctypes.addressof(ctypes.create_string_buffer(1 << 16)), 1 << 16)", ""),
    # --- its own walls
    "write to its interpreter": Attack("open('/usr/bin/python3', 'r+b')", ""),
    "write into the standard library": Attack("open(os.__file__, 'a')", ""),
    "write beside its packages": Attack("open('/usr/lib/new', 'w')", ""),
    "write to the root": Attack("open('/new', 'w')", ""),
    "write to /dev": Attack("open('/dev/new', 'w')", ""),
    "change the mode of its interpreter": Attack("os.chmod('/usr/bin/python3', 0o777)", ""),
    "link to its interpreter": Attack("os.link('/usr/bin/python3', '/mnt/data/hard')", ""),
    "become root": Attack("os.setuid(0)", ""),
    "become another user": Attack("os.setresuid(61741, 61741, 61741)", ""),
    "own a file as root": Attack("open('/tmp/own', 'w').close()\nos.chown('/tmp/own', 0, 0)", ""),
    "make a device": Attack("os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))", "", False),
    "have its processor first": Attack("os.nice(-1)", "", False),
    "be a real-time process": Attack("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", ""),
    "raise a limit": Attack(
        "import resource\n"
        "for name in ('NPROC', 'NOFILE', 'AS', 'CPU', 'FSIZE', 'CORE', 'MEMLOCK'):\n"
        "    which = getattr(resource, 'RLIMIT_' + name)\n"
        "    hard = resource.getrlimit(which)[1]\n"
        "    assert hard != resource.RLIM_INFINITY, name\n"
        "    try:\n        resource.setrlimit(which, (hard + 1, hard + 1))\n"
        "    except ValueError:\n        refused = True\n"
        "    else:\n        break\n"
        "else:\n    raise OSError('refused')",
        "",
    ),
}  # fmt: skip


def wrapped(name: str, targets: dict[str, Any]) -> str:
    """Return a program that says "through" or "held"."""
    return f"""
T = {json.dumps(targets)}
{PREFACE}
try:
    exec({ATTACKS[name].code!r}, globals())
except (OSError, KeyError, ValueError) as fault:
    print("held", repr(fault))
else:
    print("through")
"""
