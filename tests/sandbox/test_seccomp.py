"""The filter of system calls, run by hand for both architectures; test_walls.py tries it for real."""

from __future__ import annotations

import errno
import struct

import pytest

from assistd.sandbox import seccomp

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Of calls that the tests name, by their number on x86-64 and arm64; see the kernel's tables of system calls.
CALLS = {
    "read": (0, 63),
    "mmap": (9, 222),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "prctl": (157, 167),
    "chroot": (161, 51),
    "mount": (165, 40),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "openat": (257, 56),
    "bpf": (321, 280),
    "memfd_create": (319, 279),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
}


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Return what the filter says of a call, as the kernel would run it; see seccomp(2)."""
    architecture = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    loaded = at = 0
    while True:
        operation, if_true, if_false, value = program[at]
        at += 1
        if operation == 0x20:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            return value
        else:
            true = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[operation]
            at += if_true if true else if_false


@pytest.fixture(params=[0, 1], ids=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> tuple[str, int]:
    return ("x86_64", "aarch64")[request.param], request.param


def refused(error: int) -> int:
    return ERRNO | error


@pytest.mark.parametrize(
    "name", ["ptrace", "mount", "chroot", "unshare", "keyctl", "bpf", "io_uring_setup", "memfd_create"]
)
def test_forbidden_calls_are_refused(machine: tuple[str, int], name: str) -> None:
    assert decide(machine[0], CALLS[name][machine[1]]) == refused(errno.EPERM)


@pytest.mark.parametrize("name", ["read", "openat", "execve", "socketpair"])
def test_everyday_calls_are_allowed(machine: tuple[str, int], name: str) -> None:
    assert decide(machine[0], CALLS[name][machine[1]]) == ALLOW


def test_sockets_are_only_those_between_the_sandbox_s_own_processes(machine: tuple[str, int]) -> None:
    name, column = machine
    for family in range(64):
        allowed = decide(name, CALLS["socket"][column], family)
        assert allowed == (ALLOW if family == 1 else refused(errno.EACCES))
    assert decide(name, CALLS["socket"][column], (1 << 32) | 2) == refused(errno.EACCES)


def test_processes_and_threads_can_be_made_but_no_namespaces(machine: tuple[str, int]) -> None:
    name, column = machine
    clone = CALLS["clone"][column]
    assert decide(name, clone, 17) == ALLOW  # SIGCHLD: fork
    assert decide(name, clone, 0x3D0F00) == ALLOW  # pthread_create
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(name, clone, flag | 17) == refused(errno.EPERM)
    assert decide(name, CALLS["clone3"][column]) == refused(errno.ENOSYS)


def test_no_characters_are_put_into_terminals(machine: tuple[str, int]) -> None:
    name, column = machine
    assert decide(name, CALLS["ioctl"][column], 0, 0x5401) == ALLOW  # TCGETS
    for request in (0x5412, 0x541C, (7 << 32) | 0x5412):
        assert decide(name, CALLS["ioctl"][column], 0, request) == refused(errno.EPERM)


def test_memory_that_nothing_counts_is_not_mapped(machine: tuple[str, int]) -> None:
    name, column = machine
    shared, private, anonymous, huge = 1, 2, 0x20, 0x40000
    for flags, verdict in {
        private | anonymous: ALLOW,
        shared: ALLOW,  # of a file, whose disk is limited
        private: ALLOW,
        shared | anonymous: refused(errno.EPERM),
        3 | anonymous: refused(errno.EPERM),  # MAP_SHARED_VALIDATE
        private | anonymous | huge: refused(errno.EPERM),
        private | huge: refused(errno.EPERM),
    }.items():
        assert decide(name, CALLS["mmap"][column], 0, 4096, 3, flags) == verdict


def test_nobody_is_kept_from_dying_with_the_server(machine: tuple[str, int]) -> None:
    name, column = machine
    assert decide(name, CALLS["prctl"][column], 1) == refused(errno.EPERM)  # PR_SET_PDEATHSIG
    assert decide(name, CALLS["prctl"][column], 15) == ALLOW  # PR_SET_NAME


def test_calls_that_are_younger_than_the_list_do_not_exist(machine: tuple[str, int]) -> None:
    for number in (470, 500, 0x40000000, 0x40000000 + 41, 0xFFFFFFFF):
        assert decide(machine[0], number) == refused(errno.ENOSYS)


def test_another_architecture_s_calls_kill(machine: tuple[str, int]) -> None:
    for architecture in (0x40000003, 0x40000028, 0):  # i386, 32-bit ARM, none
        assert decide(machine[0], 0, architecture=architecture) == KILL


def test_a_machine_without_a_list_has_no_filter() -> None:
    assert not seccomp.is_known("riscv64")
    with pytest.raises(KeyError):
        seccomp.program("riscv64")
