"""What a process has in memory when it has loaded a path and run it once: its PSS then, and the
largest RSS it had on the way there.

The other runtimes are measured as people use them, in Python; what the bare interpreter with numpy
needs is taken off ("beyond Python"). ONNX Runtime is measured in a C program too."""
from . import cases, served, workers

NETWORK, LEVEL = "ResNet-42", 2
MIB = 1 << 20
# A process of ours: params + scratch + this at most.
ALLOWANCE = 12 * MIB
TARGET = 0.6
OURS = (workers.OURS, "virtualnetd")


def measure(case, runtime, program=None):
    """(PSS, largest RSS) after one run."""
    files = case.files(runtime.partition("-c")[0], from_file=True) if runtime != "bare" else []
    with workers.Worker(runtime, 1, program) as w:
        w.load(files or ["nothing"], case.image)
        w.run(0, 1)
        if runtime != "bare":
            case.check(w)
        pss, largest = (int(x) for x in w.ask("memory"))
        plan = [float(x) for x in w.ask("plan")] if runtime == workers.OURS else None
    return {"runtime": runtime, "pss": pss, "largest_rss": largest}, plan


def measure_daemon(context, case, plan):
    """A virtualnetd that answered a few requests for the path, which is its default budget."""
    levels, budget = ",".join(map(str, case.levels)), int(sum(plan[1:4]))
    with served.Daemon(context, case.store, 1, default_budget_bytes=budget) as d:
        served.ask(context.program("bench-load"), "daemon", d.socket, levels, 1, 1)
        pss, largest = d.memory()
    return {"runtime": "virtualnetd", "pss": pss, "largest_rss": largest}


def rows_of(context, case):
    rows, plan = [], None
    for runtime in [*context.runtimes, "onnxruntime-c", "bare"]:
        if runtime == "onnxruntime-c" and "onnxruntime" not in context.runtimes:
            continue
        program = context.program({workers.OURS: "bench-engine",
                                   "onnxruntime-c": "bench-onnxruntime"}.get(runtime, ""))
        try:
            row, its_plan = measure(case, runtime, program)
        except workers.WorkerError as e:
            context.say("left out: %s" % e)
            continue
        rows.append(row)
        if its_plan:
            plan = its_plan
            rows.append(measure_daemon(context, case, plan))
    bare = next((r["pss"] for r in rows if r["runtime"] == "bare"), 0)
    for row in rows:
        in_python = row["runtime"] not in (*OURS, "onnxruntime-c", "bare")
        row["own"] = row["pss"] - bare if in_python else row["pss"]
    return rows, plan


def part(context):
    network = context.networks[0] if context.networks else "0.7M" if context.quick else NETWORK
    context.title("memory: a process that ran %s once at level %g" % (network, LEVEL / 4))
    with cases.Case(context, network, LEVEL) as case:
        rows, plan = rows_of(context, case)
    context.say("%-20s%12s%15s%15s" % ("", "PSS", "beyond Python", "largest RSS"))
    for r in rows:
        context.say("%-20s%8.1f MiB%11.1f MiB%11.1f MiB" % (
            workers.TITLES[r["runtime"]], r["pss"] / MIB, r["own"] / MIB, r["largest_rss"] / MIB))
    found = {"network": network, "level": LEVEL, "rows": rows}
    others = [r for r in rows if r["runtime"] not in (*OURS, "bare")]
    ours = next((r for r in rows if r["runtime"] == workers.OURS), None)
    if ours and plan:
        found["promised"] = {"params": plan[0], "params_resident": plan[1], "scratch": plan[2]}
        found["beyond"] = ours["pss"] - plan[0] - plan[2]
        context.say("beyond params + scratch: %.1f MiB (target: at most %d MiB)" % (
            found["beyond"] / MIB, ALLOWANCE / MIB))
    if ours and others:
        leanest = min(others, key=lambda r: r["own"])
        found["leanest"], found["ratio"] = leanest["runtime"], ours["pss"] / leanest["own"]
        context.say("of the leanest other (%s): %.2f (target: at most %g)" % (
            workers.TITLES[leanest["runtime"]], found["ratio"], TARGET))
    return found
