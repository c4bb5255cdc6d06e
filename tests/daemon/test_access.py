"""Who may do what, asked by processes of other users. Needs root, as ./check has it."""

import os
import sys

from harness import as_user, check, fails_to_start, for_everybody, image, infer, main, pb, store

ASK = dict(infer=infer("garment", image(28, 28)))
STATUS = dict(status=pb.StatusRequest())
RELOAD = dict(reload=pb.ReloadRequest())
DESCRIBE = dict(describe=pb.DescribeRequest())


def daemon(**config):
    return for_everybody(store("small"), **config)


def allowed(c, *calls):
    """These calls are answered, the others are not allowed."""
    for call in (ASK, dict(plan=infer("garment")), DESCRIBE, STATUS, RELOAD):
        r = c.call(**call)
        refused = r.WhichOneof("result") == "error" and r.error.code == pb.NOT_ALLOWED
        check(refused != (list(call)[0] in calls), f"{list(call)[0]}: {r}"[:300])
        if refused:
            check("access_" in r.error.message and "uid" in r.error.message, str(r))


def test_default():
    with daemon() as d:
        as_user(65534, lambda c: allowed(c, "infer", "plan", "describe", "status"), d)
        as_user(0, lambda c: allowed(c, "infer", "plan", "describe", "status", "reload"), d)


def test_each_list():
    lists = dict(access_infer=["uid:4000", "gid:4100"], access_status=["gid:4200"],
                 access_admin=["user:nobody"])
    with daemon(**lists) as d:
        as_user(4000, lambda c: allowed(c, "infer", "plan", "describe"), d)
        as_user(4001, lambda c: allowed(c, "infer", "plan", "describe"), d, gid=4100)
        as_user(4001, lambda c: allowed(c, "infer", "plan", "describe", "status"), d, gid=4200,
                groups=[1, 2, 4100])
        as_user(4001, lambda c: allowed(c, "status"), d, groups=list(range(5000, 5500)) + [4200])
        as_user(65534, lambda c: allowed(c, "reload"), d)
        as_user(0, lambda c: allowed(c), d)


def test_control_class():
    urgent = infer("garment", image(28, 28), request_class=pb.CONTROL)

    def not_urgent(c):
        c.error(pb.NOT_ALLOWED, "the class CONTROL", "access_control", "uid 4001", infer=urgent)
        c.error(pb.NOT_ALLOWED, "the class CONTROL", plan=urgent)
        check(c.call(**ASK).infer.label, "no answer")

    with daemon(access_control=["uid:4000"], access_infer=["uid:4000", "uid:4001"]) as d:
        as_user(4000, lambda c: check(c.call(infer=urgent).infer.label, "no answer"), d)
        as_user(4001, not_urgent, d)
        as_user(4002, lambda c: c.error(pb.NOT_ALLOWED, "access_infer", infer=urgent), d)


def test_nobody():
    with daemon(access_infer=[], access_status=[], access_admin=[]) as d:
        as_user(0, lambda c: allowed(c), d)


def test_unknown_names():
    fails_to_start(store("small"), "access_infer[1]", "group:no-such-group", status=2,
                   access_infer=["*", "group:no-such-group"])


if os.geteuid():
    print("not root: skipped")
    sys.exit(77)
main(sys.modules[__name__])
