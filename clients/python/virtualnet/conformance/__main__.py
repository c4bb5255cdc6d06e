"""The command line: python3 -m virtualnet.conformance --help."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..connection import default_socket
from . import about_frames, about_memfds  # noqa: F401: these and the next add their clauses
from . import about_requests, about_stores  # noqa: F401
from .clauses import Clause, all_of_them
from .wire import Daemon, NotJudged, NotKept

SHOWN = 4  # frames before one that was not right
EXIT_KEPT, EXIT_NOT_KEPT, EXIT_NO_DAEMON = 0, 1, 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m virtualnet.conformance",
        description="Plays every message of the protocol, good and bad, against a running daemon, "
        "and says which clause of docs/protocol.md is not kept.",
        epilog="Exit status: 0 all are kept, 1 one is not, 2 there is no daemon.",
    )
    parser.add_argument("--socket", default=default_socket(), help="where the daemon listens")
    parser.add_argument("--only", metavar="WORD", default="", help="clauses that have this word")
    parser.add_argument("--reload", action="store_true", help="also make it load its store again")
    parser.add_argument("--trace", action="store_true", help="show each clause's frames, in hex")
    parser.add_argument("--list", action="store_true", help="the clauses, without playing them")
    parser.add_argument("--json", action="store_true", help="one object for each clause")
    return parser.parse_args()


def play(c: Clause, d: Daemon, may_reload: bool) -> tuple[str, str]:
    """The outcome and what is to be said about it."""
    d.trace.clear()
    if c.reloads and not may_reload:
        return "not judged", "needs --reload"
    try:
        c.play(d)
    except NotJudged as e:
        return "not judged", str(e)
    except NotKept as e:
        return "NOT KEPT", str(e)
    except OSError as e:
        return "NOT KEPT", f"the connection: {e}"
    return "kept", ""


def show(c: Clause, outcome: str, why: str, trace: list[str], options: argparse.Namespace) -> None:
    if options.json:
        said: dict[str, Any] = {"section": c.section, "clause": c.text, "outcome": outcome}
        if why:
            said["why"] = why
        if options.trace:
            said["trace"] = trace
        print(json.dumps(said, ensure_ascii=False), flush=True)
        return
    print(f"{outcome:11}{c.section}: {c.text}", flush=True)
    if why:
        print(f"{'':11}-> {why}", flush=True)
    for line in trace if options.trace else trace[-SHOWN:] if outcome == "NOT KEPT" else ():
        print(f"{'':11}{line}", flush=True)


def main() -> int:
    options = arguments()
    clauses = [c for c in all_of_them if options.only in c.text or options.only in c.section]
    if options.list:
        for c in clauses:
            print(f"{c.section}: {c.text}")
        return EXIT_KEPT
    try:
        d = Daemon(options.socket)
    except (OSError, NotKept, NotJudged) as e:
        print(f"{options.socket}: {e}", file=sys.stderr)
        return EXIT_NO_DAEMON
    outcomes = {"kept": 0, "NOT KEPT": 0, "not judged": 0}
    for c in clauses:
        outcome, why = play(c, d, options.reload)
        outcomes[outcome] += 1
        show(c, outcome, why, d.trace, options)
    if not options.json:
        print(", ".join(f"{n} {what}" for what, n in outcomes.items()))
    return EXIT_NOT_KEPT if outcomes["NOT KEPT"] else EXIT_KEPT


if __name__ == "__main__":
    sys.exit(main())
