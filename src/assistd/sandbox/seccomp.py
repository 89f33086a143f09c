"""Which system calls the sandbox's code may make: a filter for the kernel, as bubblewrap takes it.

Everything is allowed but what stands here. That is what a Python with its libraries has no use for, and what lets a
process reach out of its walls, or has often been the way through them: other namespaces and mounts, keys, BPF,
tracing, the memory of others, asynchronous calls that no filter sees. Calls that this list cannot know, because they
are younger than it, do not exist inside. Sources: seccomp(2), the kernel's tables of system calls.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Final

# The numbers on x86-64 and on arm64. Where an architecture lacks a call, it has none.
_FORBIDDEN: Final[dict[str, tuple[int | None, int | None]]] = {
    # namespaces, mounts, roots
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # keys
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # programs in the kernel, and ways around this filter
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "seccomp": (317, 277),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "vmsplice": (278, 75),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "lsm_set_self_attr": (460, 460),
    # memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # Descriptors in flight between two sockets are in no process's table, and counted for the user on the host.
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # the machine
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "vhangup": (153, 58),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
}

# Those that programs do without where a kernel has none of them, and that they ask for again where it says no.
_ABSENT: Final[dict[str, tuple[int | None, int | None]]] = {
    # The pages of a deleted file stay as long as a socket or pipe holds a byte of each.
    "sendfile": (40, 71),
    "splice": (275, 76),
    "tee": (276, 77),
    # Counted for the user, or for the machine, on the host; and the events that nobody reads are memory.
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
}

# Since 5.1 a call has the same number everywhere; this was the last one when this list was read through.
_LAST_KNOWN: Final = 469

# The architecture as the filter sees it, and the column above.
_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

_SOCKET: Final = (41, 198)
_CLONE: Final = (56, 220)
_CLONE3: Final = 435
_IOCTL: Final = (16, 29)
_MMAP: Final = (9, 222)
_PRCTL: Final = (157, 167)
_SETSOCKOPT: Final = (54, 208)
_FCNTL: Final = (72, 25)
_CLOSE_RANGE: Final = 436

_AF_UNIX: Final = 1
_NEW_NAMESPACES: Final = 0x7E020080  # every CLONE_NEW* there is
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP = 1, 22
_CLONE_THREAD, _CLONE_FILES, _CLOSE_RANGE_UNSHARE = 0x10000, 0x400, 2
# What makes a socket's buffer larger, and programs that the kernel keeps for it.
_SO_SNDBUF, _SO_RCVBUF, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 7, 8, 32, 33
_SO_ATTACH_FILTER, _SO_ATTACH_BPF, _SO_ATTACH_REUSEPORT_CBPF, _SO_ATTACH_REUSEPORT_EBPF = 26, 50, 51, 52
# What makes a pipe larger, and what the kernel keeps without end for one open file: locks, and marks of folders.
_F_SETPIPE_SZ, _F_OFD_SETLK, _F_OFD_SETLKW, _F_NOTIFY = 1031, 37, 38, 1026
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_HUGETLB = 0x01, 0x20, 0x40000

# Offsets in what the filter is shown, and the instructions it is made of.
_NR, _ARCH, _ARG0, _ARG1, _ARG2, _ARG3 = 0, 4, 16, 24, 32, 40
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def is_known(machine: str = "") -> bool:
    """Whether there is a filter for a machine, by its name in `platform.machine()`."""
    return (machine or platform.machine()) in _MACHINES


def program(machine: str = "") -> bytes:
    """Return the filter, as an array of `struct sock_filter` (8 bytes each) in the order of this machine's bytes.

    Raises KeyError for a machine whose calls are not known.
    """
    architecture, column = _MACHINES[machine or platform.machine()]
    forbidden = sorted(number for numbers in _FORBIDDEN.values() if (number := numbers[column]) is not None)
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
    ]
    # Not there: newer calls, x86-64's second table among them, and `clone3`, whose flags no filter can read.
    code += _refuse_from(_LAST_KNOWN + 1, errno.ENOSYS)
    code += _refuse(_CLONE3, errno.ENOSYS)
    for number in forbidden:
        code += _refuse(number, errno.EPERM)
    for absent in sorted(number for numbers in _ABSENT.values() if (number := numbers[column]) is not None):
        code += _refuse(absent, errno.ENOSYS)
    # With arguments; each block ends with the number loaded again.
    code += _block(_SOCKET[column], _ARG0, [(_EQUAL, _AF_UNIX, False)], errno.EACCES)
    code += _block(_CLONE[column], _ARG0, [(_ANY_BIT, _NEW_NAMESPACES, True)], errno.EPERM)
    code += _block(_IOCTL[column], _ARG1, [(_EQUAL, _TIOCSTI, True), (_EQUAL, _TIOCLINUX, True)], errno.EPERM)
    # The sandbox's first process dies with the server by the first, and the code may write to its memory.
    code += _block(_PRCTL[column], _ARG0, _any_of(_PR_SET_PDEATHSIG, _PR_SET_SECCOMP), errno.EPERM)
    sizes = _any_of(_SO_SNDBUF, _SO_RCVBUF, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE)
    programs = _any_of(_SO_ATTACH_FILTER, _SO_ATTACH_BPF, _SO_ATTACH_REUSEPORT_CBPF, _SO_ATTACH_REUSEPORT_EBPF)
    code += _block(_SETSOCKOPT[column], _ARG2, sizes + programs, errno.EPERM)
    code += _block(_FCNTL[column], _ARG1, _any_of(_F_SETPIPE_SZ, _F_OFD_SETLK, _F_OFD_SETLKW, _F_NOTIFY), errno.EPERM)
    code += _uncounted_descriptors(_CLONE[column])
    code += _block(_CLOSE_RANGE, _ARG2, [(_ANY_BIT, _CLOSE_RANGE_UNSHARE, True)], errno.EPERM)
    code += _uncounted_memory(_MMAP[column])
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _uncounted_memory(number: int) -> list[tuple[int, int, int, int]]:
    """Refuse to map memory that stays when it is no longer in any process's tables, and so in no count."""
    inside = [
        (_LOAD, 0, 0, _ARG3),
        (_ANY_BIT, 2, 0, _MAP_HUGETLB),
        (_ANY_BIT, 0, 2, _MAP_ANONYMOUS),
        (_ANY_BIT, 0, 1, _MAP_SHARED),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _NR),
    ]
    return [(_EQUAL, 0, len(inside), number), *inside]


def _uncounted_descriptors(number: int) -> list[tuple[int, int, int, int]]:
    """Refuse to make a thread that has descriptors of its own: those of a process are counted at its first thread."""
    inside = [
        (_LOAD, 0, 0, _ARG0),
        (_ANY_BIT, 0, 2, _CLONE_THREAD),
        (_ANY_BIT, 1, 0, _CLONE_FILES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _NR),
    ]
    return [(_EQUAL, 0, len(inside), number), *inside]


def _any_of(*values: int) -> list[tuple[int, int, bool]]:
    return [(_EQUAL, value, True) for value in values]


def _refuse(number: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | error)]


def _refuse_from(number: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(_AT_LEAST, 0, 1, number), (_RETURN, 0, 0, _ERRNO | error)]


def _block(
    number: int, argument: int, tests: list[tuple[int, int, bool]], error: int
) -> list[tuple[int, int, int, int]]:
    """Refuse a call by an argument: where a test is true, or where it is not, as its third member says."""
    inside: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, argument)]
    for test, value, refused in tests:
        inside.append((test, 0, 1, value) if refused else (test, 1, 0, value))
        inside.append((_RETURN, 0, 0, _ERRNO | error))
    inside.append((_LOAD, 0, 0, _NR))
    return [(_EQUAL, 0, len(inside), number), *inside]
