"""What can go wrong, as exceptions. Catch VirtualnetError for everything; the daemon's refusals are
Refused, with one subclass per code and the numbers that matter as attributes."""

from __future__ import annotations

from . import virtualnet_pb2 as _pb


class VirtualnetError(Exception):
    """Base class of all errors of this package."""


class ConnectionLost(VirtualnetError, ConnectionError):
    """No daemon there, or it hung up. The client is closed: make another."""


class Timeout(VirtualnetError, TimeoutError):
    """No reply within the timeout. The client stays usable, unless the request was half sent."""


class ProtocolError(VirtualnetError):
    """The daemon sent something that is no reply. The client is closed."""


class Refused(VirtualnetError):
    """The daemon answered with an error. `code` is its name on the wire, e.g. "BUSY"."""

    code: str = "CODE_UNSPECIFIED"

    def __init__(self, message: str, error: _pb.Error) -> None:
        super().__init__(message)
        self.message = message


class BadFrame(Refused):
    """The daemon could not read what was sent, and hung up."""


class BadRequest(Refused):
    """A field of the request has no legal value; the message names it."""


class UnknownTask(Refused):
    """The store has no such task; the message lists what there is."""


class UnknownStore(Refused):
    """There is no store of this name, or its file could not be loaded."""


class BadImage(Refused):
    """Format, size, stride and data of the image do not fit each other."""


class BudgetTooSmall(Refused):
    """`needed_bytes` is what the smallest path needs."""

    def __init__(self, message: str, error: _pb.Error) -> None:
        super().__init__(message, error)
        self.needed_bytes: int = error.needed_bytes


class Busy(Refused):
    """A limit is reached: `limit_name`, its value `limit`, and how much is in use, `current`.
    `retry_after_s`: when there may be room; 0: waiting alone will not help."""

    def __init__(self, message: str, error: _pb.Error) -> None:
        super().__init__(message, error)
        self.limit_name: str = error.limit_name
        self.limit: int = error.limit
        self.current: int = error.current
        self.retry_after_s: float = error.retry_after_ms / 1000


class DeadlineExceeded(Refused):
    """The request's deadline passed in the daemon; `phase` says in what: "queue", "agent" or
    "compute"."""

    def __init__(self, message: str, error: _pb.Error) -> None:
        super().__init__(message, error)
        self.phase: str = error.phase


class Cancelled(Refused):
    """The daemon gave up the request."""


class NotAllowed(Refused):
    """This user may not make this call."""


class ReloadFailed(Refused):
    """The new store is broken; the running one stays."""


class InternalError(Refused):
    """A fault of the daemon; its log says more."""


class ShuttingDown(Refused):
    """The daemon is about to end."""


class StoreDamaged(Refused):
    """A part of the store that the run needs is not what was written; the message names it."""


class Superseded(Refused):
    """A newer request of its stream took its place before it began."""


_CLASSES: dict[int, type[Refused]] = {
    _pb.BAD_FRAME: BadFrame,
    _pb.BAD_REQUEST: BadRequest,
    _pb.UNKNOWN_TASK: UnknownTask,
    _pb.BAD_IMAGE: BadImage,
    _pb.BUDGET_TOO_SMALL: BudgetTooSmall,
    _pb.BUSY: Busy,
    _pb.DEADLINE: DeadlineExceeded,
    _pb.CANCELLED: Cancelled,
    _pb.NOT_ALLOWED: NotAllowed,
    _pb.RELOAD_FAILED: ReloadFailed,
    _pb.INTERNAL: InternalError,
    _pb.SHUTTING_DOWN: ShuttingDown,
    _pb.STORE_DAMAGED: StoreDamaged,
    _pb.SUPERSEDED: Superseded,
    _pb.UNKNOWN_STORE: UnknownStore,
}
for _code, _class in _CLASSES.items():
    _class.code = _pb.Code.Name(_code)


def refused(error: _pb.Error) -> Refused:
    """The exception for an error of the wire; a code that this version does not know is a plain
    Refused."""
    message = error.message or "(no reason was given)"
    return _CLASSES.get(error.code, Refused)(message, error)
