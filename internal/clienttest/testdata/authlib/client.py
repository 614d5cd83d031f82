"""A client process of the conformance test that uses Authlib's OAuth2Session.

docs/clients.md describes the protocol. Debian has the library as python3-authlib.
"""

import json
import sys
import threading
import time

# The clock stands still and moves by the operation advance.
NOW = [1772366400.0]  # 2026-03-01T12:00:00Z
time.time = lambda: NOW[0]

from authlib.integrations.requests_client import OAuth2Session  # noqa: E402

SOURCES = {}
WRITING = threading.Lock()


def write(line):
    with WRITING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Source:
    """What the documentation of OAuth2Session shows: fetch once, then let the session see to it."""

    def __init__(self, command):
        style = {"post": "client_secret_post"}.get(command.get("auth_style"))
        self.session = OAuth2Session(
            command["client_id"],
            command["client_secret"],
            scope=" ".join(command.get("scopes") or []) or None,
            token_endpoint=command["token_url"],
            grant_type="client_credentials",
            **({"token_endpoint_auth_method": style} if style else {}),
        )

    def token(self):
        if self.session.token:
            self.session.ensure_active_token(self.session.token)
        else:
            self.session.fetch_token()
        return self.session.token["access_token"]

    def call(self, command):
        body = command.get("body") or None
        if body and command.get("stream"):
            body = iter([body.encode()])
        self.token()
        return self.session.request(command["method"], command["url"], data=body)


def tokens(source, command):
    distinct, errors = set(), []

    def caller():
        try:
            distinct.add(source.token())
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    callers = [threading.Thread(target=caller) for _ in range(command.get("count") or 1)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    return {"tokens": sorted(distinct), "failed": len(errors), "error": errors[0] if errors else ""}


def call(source, command):
    try:
        response = source.call(command)
        return {"status": response.status_code, "body": response.text}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def serve(command):
    op, source = command["op"], SOURCES.get(command.get("source"))
    answer = {}
    if op == "token":
        answer = tokens(source, command)
    elif op == "call":
        answer = call(source, command)
    write({"id": command["id"], **answer})


def main():
    write({"ready": True, "name": "Authlib", "capabilities": ["clock", "call", "stream"]})
    working = []
    for line in sys.stdin:
        command = json.loads(line)
        if command["op"] in ("token", "call"):
            working.append(threading.Thread(target=serve, args=(command,)))
            working[-1].start()
            continue
        answer = {"id": command["id"]}
        if command["op"] == "open":
            SOURCES[command["source"]] = Source(command)
        elif command["op"] == "advance":
            NOW[0] += command["milliseconds"] / 1000
        elif command["op"] == "print":
            source = SOURCES[command["source"]]
            answer["text"] = f"{source.session!r} {source.session}"
        write(answer)
    for thread in working:
        thread.join()


main()
