"""A tool library from JSON, called over HTTP: no model, just the library's way of making a call.

The library is examples/tools.json. The shop that it names does not exist, so this program starts one on this machine, and points the
library there.

    python examples/json_tools.py
"""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from toolverifier import ToolCall, Toolset
from toolverifier.tools import execute

LIBRARY = Path(__file__).with_name("tools.json")
ORDERS = {
    "A-1042": {"customer": "Ada", "state": "shipped"},
    "A-1043": {"customer": "Ada", "state": "open"},
}

CALLS = (
    ToolCall(id="1", name="get_order", arguments={"order_id": "A-1042"}),
    ToolCall(id="2", name="find_orders", arguments={"customer": "Ada"}),
    ToolCall(id="3", name="get_order", arguments={"order_id": "A-1"}),
    ToolCall(id="4", name="get_order", arguments={"order_id": "1042"}),
    ToolCall(id="5", name="cancel_order", arguments={"order_id": "A-1043"}),
)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        wanted = url.path.removeprefix("/orders").lstrip("/")
        customer = parse_qs(url.query).get("customer", [""])[0]
        found = [name for name, order in ORDERS.items() if order["customer"] == customer]
        if self.headers["Authorization"] != "Bearer open sesame":
            self.reply(401, "no key, no orders")
        elif wanted in ORDERS:
            self.reply(200, ORDERS[wanted])
        elif wanted:
            self.reply(404, f"there is no order {wanted}")
        else:
            self.reply(200, found)

    def reply(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def shop() -> Iterator[str]:
    """Yields the URL of a shop that runs meanwhile."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def main() -> None:
    os.environ["SHOP_API_KEY"] = "open sesame"  # in earnest it is set outside the program
    with shop() as url:
        text = LIBRARY.read_text(encoding="utf-8").replace("https://shop.example.com", url)
        toolset = Toolset.from_json(json.loads(text), allow_private_hosts=True)
        for call in CALLS:
            result = await execute(toolset, call)
            print(f"{call.name}({call.arguments}) -> {result.error or 'ok'}: {result.content}")


if __name__ == "__main__":
    asyncio.run(main())
