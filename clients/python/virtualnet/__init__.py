"""Ask virtualnetd what is in an image, for a task, within a memory budget.

    import virtualnet

    with virtualnet.Client() as client:
        answer = client.infer(image, task="garment", budget_bytes=1 << 20)
        print(answer.label, answer.probability, answer.path, answer.bytes.total)
"""

from .client import Client
from .connection import DEFAULT_SOCKET, default_socket
from .errors import (
    BadFrame,
    BadImage,
    BadRequest,
    BudgetTooSmall,
    Busy,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    InternalError,
    NotAllowed,
    ProtocolError,
    Refused,
    ReloadFailed,
    ShuttingDown,
    StoreDamaged,
    Superseded,
    Timeout,
    UnknownStore,
    UnknownTask,
    VirtualnetError,
)
from .stream import Stream
from .types import (
    Answer,
    Bytes,
    Description,
    Label,
    Measured,
    Reloaded,
    Status,
    Store,
    StoreStatus,
    Task,
    TaskStatus,
    Times,
)

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BadFrame",
    "BadImage",
    "BadRequest",
    "BudgetTooSmall",
    "Busy",
    "Bytes",
    "Cancelled",
    "Client",
    "ConnectionLost",
    "DEFAULT_SOCKET",
    "DeadlineExceeded",
    "Description",
    "InternalError",
    "Label",
    "Measured",
    "NotAllowed",
    "ProtocolError",
    "Refused",
    "ReloadFailed",
    "Reloaded",
    "ShuttingDown",
    "StoreDamaged",
    "Status",
    "Store",
    "StoreStatus",
    "Stream",
    "Superseded",
    "Task",
    "TaskStatus",
    "Timeout",
    "Times",
    "UnknownStore",
    "UnknownTask",
    "VirtualnetError",
    "default_socket",
]
