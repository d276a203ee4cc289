"""Starting livekit-server: death, silence and lost ports are seen, with a stand-in for the program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from parley.demo.livekit_server import LiveKitServerUnavailable, livekit_server

HEAD = """#!{python} -S
import sys
if "--version" in sys.argv:
    print("livekit-server version 9.8.7")
    sys.exit(0)
"""
SERVES = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Serve(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"OK")
    def do_POST(self):
        self.send_response(200); self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Serve).serve_forever()
"""


def program(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "livekit-server"
    path.write_text(HEAD.replace("{python}", sys.executable) + body)
    path.chmod(0o755)
    return path


async def test_ready_when_it_answers(tmp_path: Path) -> None:
    async with livekit_server(binary=program(tmp_path, SERVES)) as server:
        assert server.version == "9.8.7"
        assert server.url == server.http_url.replace("http", "ws")
        assert len(server.api_secret) >= 32
        assert server.api_secret not in repr(server)


async def test_death_is_told_with_the_last_words(tmp_path: Path) -> None:
    binary = program(tmp_path, "sys.exit('could not parse config: field foo not found')")
    with pytest.raises(LiveKitServerUnavailable, match="status 1: could not parse config: field foo"):
        async with livekit_server(binary=binary, log_path=tmp_path / "log"):
            pass


async def test_silence_is_told_after_the_deadline(tmp_path: Path) -> None:
    binary = program(tmp_path, "import signal; signal.pause()")
    with pytest.raises(LiveKitServerUnavailable, match=r"no answer within 0\.2 s"):
        async with livekit_server(binary=binary, start_timeout_s=0.2):
            pass


async def test_a_lost_port_is_tried_again(tmp_path: Path) -> None:
    first_dies = f"""
from pathlib import Path
mark = Path({str(tmp_path / "mark")!r})
if not mark.exists():
    mark.write_text(sys.argv[sys.argv.index("--port") + 1])
    sys.exit("listen tcp: bind: address already in use")
"""
    async with livekit_server(binary=program(tmp_path, first_dies + SERVES)) as server:
        assert (tmp_path / "mark").read_text() not in server.url


async def test_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "livekit-server"
    path.write_text("#!/bin/sh\necho hello\n")
    path.chmod(0o755)
    with pytest.raises(LiveKitServerUnavailable, match="no livekit-server"):
        async with livekit_server(binary=path):
            pass
