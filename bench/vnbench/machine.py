"""What was measured where: machine, commit, versions."""
import importlib.metadata
import os
import platform
import re
import subprocess
import sys

from . import workers

PACKAGES = ("onnxruntime", "ncnn", "ai-edge-litert", "numpy", "matplotlib")


def said(*command, cwd=None):
    """What a program prints, or nothing when it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd,
                              env=workers.environment())
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu():
    text = said("lscpu")
    found = {k: re.search(r"^%s:\s*(.+)$" % re.escape(k), text, re.M)
             for k in ("Model name", "L1d cache", "L2 cache", "L3 cache", "Flags")}
    found = {k: m.group(1) if m else "" for k, m in found.items()}
    flags = found.pop("Flags").split()
    found["vectors"] = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2"),
                                                     ("asimd", "NEON")) if flag in flags), "")
    return found


def memory_gib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def commit(root):
    name = said("git", "rev-parse", "--short=10", "HEAD", cwd=root)
    changed = said("git", "status", "--porcelain", "--untracked-files=no", cwd=root)
    return (name or "unknown") + (" with changes" if changed else "")


def shown(arguments):
    """Without files and folders of this machine."""
    private = ("--json", "--build", "--report")
    return [a for i, a in enumerate(arguments)
            if not a.startswith(private) and not (i and arguments[i - 1] in private)]


def describe(root, date):
    torch = said(workers.DEBIAN_PYTHON, "-c", "import torch; print(torch.__version__)")
    versions = {p: importlib.metadata.version(p) for p in PACKAGES}
    versions["torch"] = torch or "not installed"
    versions["compiler"] = said("gcc", "--version").partition("\n")[0]
    return {
        "date": date, "cpu": cpu(), "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_gib(), 1), "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(), "commit": commit(root), "versions": versions,
        "command": " ".join(["bench/run", *shown(sys.argv[1:])]),
    }
