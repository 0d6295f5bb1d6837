"""Prints what a process in a container may do, as JSON. Runs inside: standard library only."""

import json
import os
import resource
import socket


def status():
    wanted = (
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    )
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").partition(":")[::2] for line in file)
    return {name: " ".join(lines[name].split()) for name in wanted}


def mounts():
    """Those that the engine makes of each container alike; what it masks below /proc and /sys differs."""
    found = {}
    with open("/proc/self/mounts") as file:
        for line in file:
            _, place, kind, options = line.split()[:4]
            if place in ("/proc", "/sys") or not place.startswith(("/proc/", "/sys/")):
                kept = ("rw", "ro", "nosuid", "nodev", "noexec")
                words = [word for word in options.split(",") if word in kept or word.startswith("size=")]
                known = kind in ("tmpfs", "proc", "sysfs", "devpts", "mqueue")
                found[place] = " ".join([kind if known else "*", *words])
    return found


def writable_below_proc_and_sys():
    """Mounts below /proc and /sys that are neither read-only nor an empty mask of the engine's."""
    with open("/proc/self/mounts") as file:
        lines = [line.split()[:4] for line in file]
    return [
        place
        for _, place, kind, options in lines
        if place.startswith(("/proc/", "/sys/")) and "ro" not in options.split(",") and kind != "tmpfs"
    ]


def limits():
    names = {"core": "RLIMIT_CORE", "open files": "RLIMIT_NOFILE", "file size": "RLIMIT_FSIZE"}
    return {name: resource.getrlimit(getattr(resource, key)) for name, key in names.items()}


def first(*paths):
    for path in paths:
        try:
            with open(path) as file:
                return file.read().strip()
        except OSError:
            continue
    return None


def group_limits():
    one = "/sys/fs/cgroup/"
    swap = first(one + "memory/memory.memsw.limit_in_bytes", one + "memory.swap.max")
    memory = first(one + "memory/memory.limit_in_bytes", one + "memory.max")
    cpu = first(one + "cpu/cpu.cfs_quota_us", one + "cpu.max").split()[0]
    return {
        "memory": memory,
        "swap": "none" if swap in (memory, "0", None) else swap,
        "processes": first(one + "pids/pids.max", one + "pids.max"),
        "cpu microseconds of 100000": cpu,
    }


def attempts():
    """What must fail."""
    tried = {
        "write /": lambda: open("/written", "w"),
        "write the supervisor": lambda: open("/opt/jupyter-exec/main.py", "a"),
        "read /etc/shadow": lambda: open("/etc/shadow"),
        "make a device": lambda: os.mknod("/workspace/device", 0o20666, os.makedev(1, 3)),
        "become root": lambda: os.setuid(0),
        "change the host's name": lambda: socket.sethostname("x"),
        "connect": lambda: socket.create_connection(("192.0.2.1", 80), 1),
        "engine's socket": lambda: os.stat("/var/run/docker.sock"),
    }
    said = {}
    for name, attempt in tried.items():
        try:
            attempt()
            said[name] = "works"
        except OSError as error:
            said[name] = error.strerror
    return said


print(
    json.dumps(
        {
            "status": status(),
            "mounts": mounts(),
            "writable below /proc and /sys": writable_below_proc_and_sys(),
            "interfaces": sorted(os.listdir("/sys/class/net")),
            "limits": limits(),
            "group": group_limits(),
            "devices": sorted(os.listdir("/dev")),
            "user": [os.environ[name] for name in ("HOME", "USER", "LOGNAME")],
            "directory": os.getcwd(),
            "attempts": attempts(),
        }
    )
)
