"""The yardstick: a bare aiohttp reverse proxy, as short as one can be. It checks nothing."""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web
from yarl import URL

SKIPPED = {"host", "connection", "transfer-encoding", "expect"}


async def main(port: int, upstream: str) -> None:
    session = aiohttp.ClientSession(
        auto_decompress=False, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    )

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in SKIPPED}
        body = request.content if request.can_read_body else None
        url = URL(upstream + request.raw_path, encoded=True)
        async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            reply = web.StreamResponse(status=answer.status, headers=answer.headers)
            await reply.prepare(request)
            async for piece in answer.content.iter_any():
                await reply.write(piece)
            return reply

    server = await asyncio.get_running_loop().create_server(
        web.Server(handle, auto_decompress=False), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
