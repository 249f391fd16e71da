"""An MCP client on the official Python SDK. Options: see lib/calls.mjs, and mode ("auto" or "legacy")."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def play(url, token, tool="whoami", args=None, parallel=1, mode="auto"):
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            results = await asyncio.gather(*(client.call_tool(tool, args or {}) for _ in range(parallel)))
    return {
        "tools": [listed.name for listed in tools.tools],
        "results": [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results],
    }


def refusal(error):
    """The error inside the groups that async libraries wrap it in: tests look at it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    inner = getattr(error, "error", None)
    return {
        "error": {
            "name": type(error).__name__,
            "message": str(error),
            "code": getattr(inner, "code", None),
            "data": getattr(inner, "data", None),
        }
    }


try:
    said = asyncio.run(play(**json.loads(sys.argv[1])))
except Exception as error:
    said = refusal(error)
print(json.dumps(said))
