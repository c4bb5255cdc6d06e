"""bench/run, inside its virtual environment: parts, one after the other."""
import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import (cases, ceilings, daemon, growth, latency, machine, memory, networks, report, served,
               start, streaming, training, workers)

PARTS = {"ceilings": ceilings.part, "latency": latency.part, "growth": growth.part,
         "memory": memory.part, "start": start.part, "streaming": streaming.part,
         "daemon": daemon.part, "training": training.part}
PROGRAMS = ["daemon/virtualnetd", "clients/cli/virtualnet"] + ["bench/bench-" + name for name in (
    "ceilings", "engine", "load", "make_store", "onnxruntime", "overhead", "start", "streaming")]
FAILURES = (cases.Different, served.ServedError, workers.WorkerError, subprocess.SubprocessError)
FEWEST_ROUNDS = 3


class Context:
    """What every part needs: options, programs, folders, and where to print."""

    def __init__(self, options, root):
        self.root, self.build = root, options.build
        self.quick = options.quick
        self.rounds = options.rounds or (3 if options.quick else 15)
        self.seconds = 0.008 if options.quick else 0.03
        self.patience = 5 if options.quick else 30  # seconds of all rounds of a case
        self.threads = options.threads
        self.runtimes = [r for r in workers.RUNTIMES if not options.runtimes
                         or r in options.runtimes]
        self.networks, self.levels = options.networks, options.levels
        self.cache = os.path.join(cache_folder(), "stores")
        self.ceilings = None
        self.scratch = tempfile.mkdtemp(prefix="vnbench-")

    def program(self, name):
        return os.path.join(self.build, name if "/" in name else "bench/" + name)

    def some_rounds(self, most=1000):
        """Numbers of rounds: as many as are wanted, fewer where they take too long."""
        began = time.monotonic()
        for r in range(min(self.rounds, most)):
            if r >= FEWEST_ROUNDS and time.monotonic() - began > self.patience:
                return
            yield r

    def title(self, text):
        print("\n%s" % text, flush=True)

    def say(self, text):
        print(text, flush=True)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "virtualnet-bench")


def build(context):
    """Brings the programs up to date; says what went wrong, and nothing else."""
    commands = [["ninja", "-C", context.build, *PROGRAMS]]
    if not os.path.exists(os.path.join(context.build, "build.ninja")):
        commands.insert(0, ["meson", "setup", "-Dbuildtype=release", context.build, context.root])
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout)
            done.check_returncode()


def words(text):
    return [w for w in text.split(",") if w]


def integers(text):
    return [int(w) for w in words(text)]


def parser(root):
    p = argparse.ArgumentParser(
        prog="bench/run", description="Measures the engine beside other runtimes, and the daemon.")
    p.add_argument("--quick", action="store_true",
                   help="few cases and rounds: under three minutes, for a first look")
    p.add_argument("--only", type=words, metavar="PART,...", help="of " + ", ".join(PARTS))
    p.add_argument("--json", metavar="FILE", help="write everything that was measured")
    p.add_argument("--from", dest="source", metavar="FILE",
                   help="measure nothing: take what --json wrote")
    p.add_argument("--report", metavar="FOLDER", help="write speed.md and its pictures")
    p.add_argument("--no-plots", action="store_true", help="without the pictures")
    p.add_argument("--threads", type=integers, default=[1, 2], metavar="N,...")
    p.add_argument("--runtimes", type=words, metavar="NAME,...",
                   help="of " + ", ".join(workers.RUNTIMES))
    p.add_argument("--networks", type=words, metavar="NAME,...",
                   help="of " + ", ".join(networks.NETWORKS))
    p.add_argument("--levels", type=integers, metavar="N,...",
                   help="of latency, 1 to %d" % networks.GROUPS)
    p.add_argument("--rounds", type=int, help="interleaved rounds of every case")
    p.add_argument("--build", default=os.path.join(root, "build"), help="build folder (build)")
    return p


def read_options(root):
    p = parser(root)
    options = p.parse_args()
    for what, known in ((options.only, PARTS), (options.runtimes, workers.RUNTIMES),
                        (options.networks, networks.NETWORKS)):
        for name in what or []:
            if name not in known:
                p.error("%s: not one of %s" % (name, ", ".join(known)))
    options.build = os.path.abspath(options.build)
    return options


def measure(options, root):
    """Everything that is asked for; what was found so far lives in the result as it grows."""
    context, found = Context(options, root), {}
    try:
        build(context)
        context.ceilings = workers.Ceilings(context.program("bench-ceilings"))
        for name in options.only or PARTS:
            found[name] = PARTS[name](context)
    finally:
        if context.ceilings:
            context.ceilings.close()
        shutil.rmtree(context.scratch, ignore_errors=True)
    where = machine.describe(root, datetime.date.today().isoformat())
    # threads are keys of objects in JSON, where keys are text: one form for both ways
    return json.loads(json.dumps({"machine": where, "found": found}))


def main(root):
    options, began = read_options(root), time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with cleaning up
    try:
        if options.source:
            with open(options.source) as f:
                result = json.load(f)
        else:
            result = measure(options, root)
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    except FAILURES as e:
        print("bench/run: %s" % e, file=sys.stderr)
        return 1
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    print("\ntargets")
    report.print_targets(result["found"], print)
    if options.report:
        report.write(result["machine"], result["found"], options.report, not options.no_plots)
    print("\n%.0f s" % (time.monotonic() - began))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
    except BrokenPipeError:  # nobody reads what is printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
