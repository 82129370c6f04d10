"""What the client does with a server: all that it offers, once, as a person trying it would."""

import json
import os
from typing import Any, Final

import mcp_types as types
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError

Json = dict[str, Any]

# Arguments by the type in a tool's schema.
_FILLERS: Final[Json] = {"string": "text", "number": 5, "integer": 3, "boolean": True}


def told() -> Json:
    """What the suite tells the client of the scenario."""
    scenario: Json = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    return scenario


def mode() -> str:
    """The SDK client's mode: the handshake for its revisions, else it finds out by itself."""
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    return "auto" if revision >= "2026" else "legacy"


async def accept_defaults(
    context: ClientRequestContext, params: types.ElicitRequestParams
) -> types.ElicitResult:
    """The user's answer to every question: yes, with the defaults."""
    schema = params.requested_schema if isinstance(params, types.ElicitRequestFormParams) else {}
    defaults = {
        name: each["default"]
        for name, each in schema.get("properties", {}).items()
        if "default" in each
    }
    return types.ElicitResult(action="accept", content=defaults)


async def use(client: Client) -> list[types.CallToolResult]:
    """List and use everything; return what the tools returned."""
    tools = (await client.list_tools()).tools
    calls = {call["name"]: call["arguments"] for call in told().get("toolCalls", [])}
    results = [
        await client.call_tool(tool.name, calls.get(tool.name) or filled(tool.input_schema))
        for tool in tools
    ]
    capabilities = client.server_capabilities
    if capabilities.resources:
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    if capabilities.prompts:
        for prompt in (await client.list_prompts()).prompts:
            await client.get_prompt(prompt.name)
    return results


def filled(schema: Json) -> Json:
    """Arguments that a tool with this schema should take."""
    properties = schema.get("properties", {})
    return {
        name: _FILLERS.get(properties.get(name, {}).get("type"), "text")
        for name in schema.get("required", [])
    }


async def tried(client: Client) -> str:
    """Use everything; the text of what went wrong, or nothing."""
    try:
        results = await use(client)
    except MCPError as error:
        return str(error)
    return "\n".join(
        block.text
        for result in results
        if result.is_error
        for block in result.content
        if isinstance(block, types.TextContent)
    )
