"""An MCP client on the official Python SDK that has only the URL of a server, and a browser to play the person.

It prints what it was told once it is signed in, and again, with a token that it refreshed, when a line comes.
Options: url, person, answers for the pages on the way.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

# Nobody listens there.
REDIRECT = "http://127.0.0.1:4299/callback"


class Browser:
    """The one of the other peers, which keeps the cookies of one person."""

    def __init__(self):
        node = Path(sys.prefix).with_name("node")
        script = Path(__file__).with_name("browser.mjs")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([node, script], **pipes)
        self.process.stdout.readline()

    def open(self, url, answers):
        asked = {"of": "me", "open": url, "answers": answers, "until": REDIRECT}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())["url"]


class Person:
    """Whoever the SDK asks, and what it keeps for them."""

    def __init__(self, name, answers):
        self.answers = {"login": name, **answers}
        self.asked = 0
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client

    async def redirect(self, url):
        self.asked += 1
        self.back = parse_qs(urlsplit(await asyncio.to_thread(Browser().open, url, self.answers)).query)

    async def callback(self):
        return AuthorizationCodeResult(**{name: self.back[name][0] for name in ("code", "state", "iss")})


async def play(url, person, answers):
    me = Person(person, answers)
    metadata = OAuthClientMetadata(
        client_name="A program",
        redirect_uris=[REDIRECT],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
    )
    provider = OAuthClientProvider(url, metadata, me, me.redirect, me.callback)
    say(await called(url, provider, me))
    await asyncio.to_thread(sys.stdin.readline)
    provider.context.token_expiry_time = 1  # long ago
    say(await called(url, provider, me))


async def called(url, provider, me):
    async with httpx2.AsyncClient(auth=provider) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = await client.list_tools()
            result = await client.call_tool("whoami", {})
    return {
        "tools": [listed.name for listed in tools.tools],
        "results": [result.model_dump(mode="json", by_alias=True, exclude_none=True)],
        "kept": {"tokens": me.tokens.model_dump(mode="json", exclude_none=True)},
        "asked": me.asked,
    }


def say(value):
    print(json.dumps(value), flush=True)


asyncio.run(play(**json.loads(sys.argv[1])))
