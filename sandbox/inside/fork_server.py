"""The fork server: a process with the libraries imported that forks a session for every request. It runs no cell.

`argv`: the descriptor of the control socket (SOCK_SEQPACKET), on which every packet is a JSON object.
The first packet is the settings; the answer tells what was imported, or why not. Then, one after the other:

- `{"fork": {...}}` with descriptors: the session's protocol socket, its stdout, its stderr, and one `cgroup.procs` for
  every cgroup it shall be in. Answer: `{"pid"}` with a pidfd of the session's first process.
- `{"reap": pid}`: the exit status of a session that has ended (128 + the signal, if there was one); -1 if it is still
  ending, and then it is waited for later.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confine
import worker

sys.path.pop(0)
for name in os.listdir(os.path.dirname(os.path.abspath(__file__))):
    sys.modules.pop(name.removesuffix(".py"), None)  # so that the names are free for the files of a session

PARTS = {
    "matplotlib": ("matplotlib.pyplot", "matplotlib.patches"),
    "PIL": ("PIL.Image", "PIL.ImageDraw", "PIL.ImageFont", "PIL.ImageOps", "PIL.ImageFilter", "PIL.ImageEnhance"),
}
"""What code asks for when it uses a library, and would wait for."""


def load(libraries: list[str]) -> dict[str, float]:
    """Import them; the seconds each took. Raises RuntimeError naming the one that cannot be shared by forking."""
    seconds = {}
    for name in libraries:
        started = time.monotonic()
        try:
            for part in (name, *PARTS.get(name, ())):
                importlib.import_module(part)
        except BaseException as error:
            raise RuntimeError(
                f"the library {name!r} cannot be imported ({type(error).__name__}: {error}). Install it (the extra "
                "`sandbox` has the usual ones), or take it out of sandbox.libraries"
            ) from None
        if len(os.listdir("/proc/self/task")) > 1:
            raise RuntimeError(f"the library {name!r} starts threads when it is imported, so it cannot be kept warm")
        seconds[name] = round(time.monotonic() - started, 3)
    return seconds


def rehearse() -> None:
    """Do once what loads more at its first use: image formats, fonts."""
    if "PIL.Image" in sys.modules:
        sys.modules["PIL.Image"].init()
    if "matplotlib.pyplot" in sys.modules:
        pyplot = sys.modules["matplotlib.pyplot"]
        figure, axes = pyplot.subplots()
        axes.set_title("0")
        figure.savefig(worker.io.BytesIO(), format="png")
        pyplot.close("all")


def be_first(child: int) -> None:
    """The first process of a session: takes in orphans, and ends with its child, and then all the others end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one signal that Python listens to, and its session could send
    confine.close_to_others()
    os.closerange(0, 1 << 16)
    os.chdir("/")
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def be_session(request: dict, program: bytes, descriptors: list[int]) -> None:
    """Become a session: the namespaces' first process, and its child, which runs the cells. Never returns."""
    try:
        channel, output, errors, *cgroups = descriptors
        os.dup2(output, 1)
        os.dup2(errors, 2)  # what goes wrong from here on is read by the supervisor
        confine.arrange(request["folders"], request["below"], cgroups)
        confine.drop_privileges()
        child = os.fork()
        if child:
            be_first(child)
        kept = os.dup2(channel, 3, inheritable=False) if channel != 3 else channel
        os.closerange(4, 1 << 16)
        os.chdir("/tmp")
        confine.limit(request["rlimits"])
        confine.install_filter(program)
        worker.serve(kept)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(1 << 20))
    try:
        if settings["become_user"]:
            confine.become_user()
        sys.path.extend(settings["packages"])
        answer = {"seconds": load(settings["libraries"])}
        rehearse()
    except (RuntimeError, OSError) as error:
        control.send(json.dumps({"error": str(error)}).encode())
        return
    program = bytes.fromhex(settings["filter"])
    sys.argv[:] = [""]
    sys.path.insert(0, "")
    worker.prepare()
    gc.collect()
    gc.freeze()  # so that no collection in a session writes to what it shares
    confine.collapse_pages()
    control.send(json.dumps(answer).encode())
    ending: set[int] = set()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 16)
        if not packet:
            return  # the supervisor is gone
        request = json.loads(packet)
        if "reap" in request:
            ending.add(request["reap"])
            ended = {pid: status for pid, status in (os.waitpid(each, os.WNOHANG) for each in ending) if pid}
            ending -= set(ended)
            status = ended.get(request["reap"])
            answer = {"status": -1 if status is None else os.waitstatus_to_exitcode(status)}
            control.send(json.dumps(answer).encode())
            continue
        try:
            pid = confine.clone()
            if pid == 0:
                be_session(request["fork"], program, descriptors)
            handle = os.pidfd_open(pid)
            socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [handle])
            os.close(handle)
        except OSError as error:
            control.send(json.dumps({"error": f"no process for a session: {error}"}).encode())
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


if __name__ == "__main__":
    main()
