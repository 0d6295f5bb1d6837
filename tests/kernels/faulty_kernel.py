"""A kernel that does on demand what no kernel should: the first word of a cell says what.

Started by ``python faulty_kernel.py -f CONNECTION_FILE``, as any kernel.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class FaultyKernel(Kernel):
    """Its language is ``faults``."""

    implementation = "faulty"
    implementation_version = "1"
    banner = "faulty"
    language_info = {"name": "faults", "mimetype": "text/plain", "file_extension": ".faults"}  # noqa: RUF012

    def say(self, kind: str, **content: Any) -> None:
        self.send_response(self.iopub_socket, kind, content)

    def pause(self, number: int) -> None:
        """A PUB socket drops what is more than 1,000 messages ahead of its reader."""
        if number % 500 == 0:
            time.sleep(0.02)

    def do_execute(self, code: str, silent: bool, *_: Any, **__: Any) -> dict[str, Any]:
        word, _, rest = code.partition(" ")
        replied = getattr(self, f"do_{word}")(rest)
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
            **(replied or {}),
        }

    def do_say(self, rest: str) -> None:
        self.say("stream", name="stdout", text=rest)

    def do_die(self, rest: str) -> None:
        self.say("stream", name="stdout", text="last words\n")
        time.sleep(0.1)  # PUB sockets send in a thread of their own
        os.kill(os.getpid(), int(rest or signal.SIGKILL))

    def do_hang(self, rest: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.say("stream", name="stdout", text="hanging\n")
        time.sleep(600)

    def do_flood(self, rest: str) -> None:
        for number in range(int(rest)):
            self.say("stream", name="stdout", text=f"{number}\n")
            self.pause(number)

    def do_displays(self, rest: str) -> None:
        for number in range(int(rest)):
            self.say(
                "update_display_data",
                data={"text/plain": str(number)},
                metadata={},
                transient={"display_id": "a"},
            )
            self.pause(number)

    def do_comms(self, rest: str) -> None:
        self.say("comm_open", comm_id="1", target_name="x", data={})
        for number in range(int(rest)):
            self.say("comm_msg", comm_id="1", data={"number": number})
        self.say("stream", name="stdout", text="done\n")

    def do_nonsense(self, rest: str) -> None:
        self.iopub_socket.send_multipart([b"<IDS|MSG>", b"not signed", b"{}", b"{}", b"{}", b"{}"])
        self.say("stream", name=3, text=["a", "list"])
        self.say("display_data", data="no mapping")
        self.say("display_data")
        self.say("error")
        self.say("unheard_of", what="this")
        self.say("stream", name="stdout", text="after\n")

    def do_send(self, rest: str) -> None:
        """A message of any kind and content."""
        kind, _, content = rest.partition(" ")
        self.say(kind, **json.loads(content))

    def do_deep(self, rest: str) -> None:
        """A display of so many lists in each other, signed as any."""
        content = '{"data": {"text/plain": "text", "application/json": %s}}'
        lists = "[" * int(rest) + "]" * int(rest)
        header = {"msg_type": "display_data", "session": self.session.session}
        frames = [
            json.dumps(part, default=str).encode() for part in (header, self.get_parent()["header"], {})
        ]
        frames.append((content % lists).encode())
        self.iopub_socket.send_multipart([b"<IDS|MSG>", self.session.sign(frames), *frames])

    def do_reply(self, rest: str) -> dict[str, Any]:
        return dict(json.loads(rest))

    def do_raise(self, rest: str) -> None:
        """ipykernel sends no reply then."""
        raise RuntimeError(rest)

    def do_forget_idle(self, rest: str) -> None:
        publish = self._publish_status_and_flush
        self.say("stream", name="stdout", text="ran")

        def forget(*_: Any, **__: Any) -> None:
            self._publish_status_and_flush = publish

        self._publish_status_and_flush = forget


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=FaultyKernel)
