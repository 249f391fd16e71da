"""All that an MCP client on the official Python SDK can do: as lib/trace.mjs, with the same options."""

import asyncio
import hashlib
import json
import sys
from contextlib import AsyncExitStack

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

WATCHED = "test://watched-resource"
LARGE = 6 * 1024 * 1024
# What this client takes for one event, and a little for what is around it.
LARGEST_EVENT = 1000 * 1024


async def sample(_context, params):
    text = params.messages[0].content.text
    return types.CreateMessageResult(
        role="assistant", content=types.TextContent(type="text", text=f"About: {text}"), model="none", stop_reason="endTurn"
    )


async def elicit(_context, params):
    properties = params.requested_schema["properties"]
    content = {name: True if about["type"] == "boolean" else f"my {name}" for name, about in properties.items()}
    return types.ElicitResult(action="accept", content=content)


async def roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="home")])


def plain(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def until(happened):
    async with asyncio.timeout(10):
        while not await happened():
            await asyncio.sleep(0.02)


async def refused(awaited):
    try:
        await awaited
    except Exception as error:
        inner = getattr(error, "error", None)
        return {"name": type(error).__name__, "message": str(error), "code": getattr(inner, "code", None)}
    return "nobody refused"


async def play(url, token, mode="auto"):
    did, updated = {}, []

    async def hear(message):
        if isinstance(message, types.ResourceUpdatedNotification):
            updated.append(str(message.params.uri))

    async with AsyncExitStack() as stack:
        http = httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30)
        http = await stack.enter_async_context(http)
        client = Client(
            streamable_http_client(url, http_client=http),
            mode=mode,
            sampling_callback=sample,
            elicitation_callback=elicit,
            list_roots_callback=roots,
            message_handler=hear,
        )
        client = await stack.enter_async_context(client)

        async def call(name, **arguments):
            return plain(await client.call_tool(name, arguments))

        did["server"] = client.server_info.name
        did["capabilities"] = plain(client.server_capabilities)
        did["tools"] = plain(await client.list_tools())
        did["resources"] = plain(await client.list_resources())
        did["templates"] = plain(await client.list_resource_templates())
        did["prompts"] = plain(await client.list_prompts())

        progress = []

        async def on_progress(done, total, message):
            progress.append([done, total, message])

        did["worked"] = plain(await client.call_tool("test_tool_with_progress", {}, progress_callback=on_progress))
        did["progress"] = progress
        did["cancelled"] = await cancelled(call)
        did["failed"] = await call("test_error_handling")
        did["unknown"] = await refused(call("nothing"))
        did["sampled"] = await call("test_sampling", prompt="Why?")
        did["elicited"] = await call("test_elicitation", message="Who?")
        did["roots"] = await call("test_input_required_result_list_roots")
        did["rounds"] = await call("test_input_required_result_multi_round")
        did["several"] = await call("test_input_required_result_multiple_inputs")

        did["read"] = plain(await client.read_resource("test://static-binary"))
        did["template"] = plain(await client.read_resource("test://template/7/data"))
        did["missing"] = await refused(client.read_resource("test://nothing"))
        did["updated"] = await watched(client, call, updated, mode)

        reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        did["completed"] = plain(await client.complete(reference, {"name": "arg1", "value": "par"}))
        did["prompt"] = plain(await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": 'ä "b"'}))
        did["prompted"] = plain(await client.get_prompt("test_input_required_result_prompt"))

        text = (await call("test_large", bytes=LARGEST_EVENT if mode == "legacy" else LARGE))["content"][0]["text"]
        did["large"] = [len(text), hashlib.sha256(text.encode()).hexdigest()]
    return did


async def watched(client, call, updated, mode):
    """Of what the client was told."""
    if mode == "legacy":
        await client.subscribe_resource(WATCHED)
        await call("test_trigger_resource_update")

        async def is_told():
            return bool(updated)

        await until(is_told)
        return updated
    async with client.listen(resource_subscriptions=[WATCHED]) as changes:
        await call("test_trigger_resource_update")
        async with asyncio.timeout(10):
            async for change in changes:
                return [str(change.uri)]


async def cancelled(call):
    """Whether the server was told, while it worked."""

    async def calls():
        return json.loads((await call("test_calls"))["content"][0]["text"])

    before = await calls()
    waiting = asyncio.create_task(call("test_wait"))

    async def is_working():
        return (await calls())["waiting"] > before["waiting"]

    async def is_cancelled():
        return (await calls())["cancelled"] > before["cancelled"]

    await until(is_working)
    waiting.cancel()
    await until(is_cancelled)
    return True


def first(error):
    """The error inside the groups that async libraries wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {"error": f"{type(error).__name__}: {error}"}


try:
    said = asyncio.run(play(**json.loads(sys.argv[1])))
except BaseException as error:
    said = first(error)
print(json.dumps(said))
