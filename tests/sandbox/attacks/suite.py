"""All attacks together."""

from . import (
    bombs,
    exhaustion,
    files,
    forgeries,
    hoards,
    images,
    kernel,
    leftovers,
    network,
    output,
    processes,
    sessions,
    shared,
    supervisor,
)
from .case import Attack

GROUPS: dict[str, list[Attack]] = {
    "network": network.ATTACKS,
    "files": files.ATTACKS,
    "other sessions": sessions.ATTACKS,
    "what all share": shared.ATTACKS,
    "privileges": kernel.ATTACKS,
    "processes and memory": exhaustion.ATTACKS,
    "files and kernel objects": hoards.ATTACKS,
    "time": bombs.ATTACKS,
    "what goes on": processes.ATTACKS,
    "text": output.ATTACKS,
    "images": images.ATTACKS,
    "the next session": leftovers.ATTACKS,
    "the supervisor": supervisor.ATTACKS,
    "what the supervisor believes": forgeries.ATTACKS,
}
ATTACKS = [attack for group in GROUPS.values() for attack in group]
