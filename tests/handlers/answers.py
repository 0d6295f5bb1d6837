"""How the tests read what the server answers."""

from __future__ import annotations

import json
from typing import Any


def read(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.code == status, response.body
    return json.loads(response.body)


def told(response: Any) -> tuple[int, str, str | None]:
    """The status, reason and field of an error, whose form is checked."""
    reply = json.loads(response.body)
    assert set(reply) <= {"message", "reason", "field"}
    assert reply["message"]
    assert "Traceback" not in reply["message"]
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.code, reply["reason"], reply.get("field")
