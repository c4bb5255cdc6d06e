"""A virtualnetd on a private socket, for the parts that measure it."""
import json
import os
import subprocess
import time

from . import worker, workers

PATIENCE = 30  # seconds


class ServedError(Exception):
    """The daemon, or a program that asks it, did not do its work."""


def command(context, store, n_workers, name="daemon", **more):
    """(command line, socket) of a daemon whose files lie in the scratch folder; more: keys of its
    configuration."""
    socket = os.path.join(context.scratch, name + ".socket")
    config = os.path.join(context.scratch, name + ".json")
    with open(config, "w") as f:
        json.dump({"workers": n_workers, "queue_limit": 512, "connections_limit": 256, **more}, f)
    return [context.program("daemon/virtualnetd"), "--config", config, "--socket", socket,
            "--store", store, "--log-level", "error"], socket


def ask(program, *words):
    """The JSON that one of the bench's C programs prints."""
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=900,
                          env=workers.environment())
    if done.returncode:
        raise ServedError("%s: %s" % (os.path.basename(program), done.stderr.strip()))
    return json.loads(done.stdout)


class Daemon:
    def __init__(self, context, store, n_workers, **more):
        words, self.socket = command(context, store, n_workers, **more)
        self.process = subprocess.Popen(words, env=workers.environment(),
                                        stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                self.close()
                raise ServedError("virtualnetd did not start: %s" % self.process.stderr.read())
            time.sleep(0.01)

    def memory(self):
        """PSS and largest RSS in bytes."""
        return worker.memory(self.process.pid)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
