"""What the conformance suite wants to see that no skill of a registry can do: raw content, questions to the client, notifications.

Laid over the handlers of a bridge by `attach`; every call that is not for one of these goes to the bridge.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp.types as t
import parked_tasks
from mcp import MCPError
from mcp.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import PromptsListChanged, ToolsListChanged

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="

Handler = Callable[[Any, t.CallToolRequestParams], Awaitable[Any]]
TOOLS: dict[str, tuple[t.Tool, Handler]] = {}


def tool(name: str, properties: dict[str, Any] | None = None, schema: dict[str, Any] | None = None) -> Callable[[Handler], Handler]:
    """Registers a handler as a tool."""

    def register(handler: Handler) -> Handler:
        described = schema or {"type": "object", "properties": properties or {}}
        TOOLS[name] = (t.Tool(name=name, description="A fixture.", input_schema=described), handler)
        return handler

    return register


def said(*parts: Any) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=part) if isinstance(part, str) else part for part in parts])


def embedded(uri: str, mime_type: str, text: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": []}


TEXT = {"type": "string"}


# Content that is not a document


@tool("test_image_content")
async def image(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said(t.ImageContent(data=PNG, mime_type="image/png"))


@tool("test_audio_content")
async def audio(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said(t.AudioContent(data=WAV, mime_type="audio/wav"))


@tool("test_embedded_resource")
async def resource(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@tool("test_multiple_content_types")
async def mixed(ctx: Any, params: t.CallToolRequestParams) -> Any:
    described = embedded("test://mixed-content-resource", "application/json", json.dumps({"test": "data", "value": 123}))
    return said("Multiple content types test:", t.ImageContent(data=PNG, mime_type="image/png"), described)


JSON_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": TEXT, "city": TEXT}}},
    "properties": {
        "name": TEXT,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": TEXT,
        "email": TEXT,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool("json_schema_2020_12_tool", schema=JSON_SCHEMA)
async def json_schema(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said("ok")


@tool("test_x_mcp_header", {"region": {"type": "string", "x-mcp-header": "Region"}})
async def header(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said("ok")


@tool("greet", {"name": TEXT})
async def greet(ctx: Any, params: t.CallToolRequestParams) -> Any:
    # No skill: two calls must answer alike to the letter, and an answer about a run names the run.
    return said(f"Hello, {(params.arguments or {}).get('name')}!")


# Messages to the client, handshake era


@tool("test_tool_with_logging")
async def logging_thrice(ctx: Any, params: t.CallToolRequestParams) -> Any:
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", message, related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return said("logged")


@tool("test_logging_tool")
async def logging_once(ctx: Any, params: t.CallToolRequestParams) -> Any:
    await ctx.session.send_log_message("info", "a line", related_request_id=ctx.request_id)
    return said("logged")


@tool("test_sampling", {"prompt": TEXT})
async def sampling(ctx: Any, params: t.CallToolRequestParams) -> Any:
    prompt = (params.arguments or {})["prompt"]
    message = t.SamplingMessage(role="user", content=t.TextContent(text=prompt))
    answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return said(f"LLM response: {answer.content.text}")


async def elicited(ctx: Any, message: str, schema: dict[str, Any]) -> t.CallToolResult:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return said(f"User response: action={answer.action}, content={json.dumps(answer.content)}")


@tool("test_elicitation", {"message": TEXT})
async def elicitation(ctx: Any, params: t.CallToolRequestParams) -> Any:
    schema = {"type": "object", "properties": {"username": TEXT, "email": TEXT}, "required": ["username", "email"]}
    return await elicited(ctx, (params.arguments or {})["message"], schema)


@tool("test_elicitation_sep1034_defaults")
async def elicitation_defaults(ctx: Any, params: t.CallToolRequestParams) -> Any:
    schema = fields(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return await elicited(ctx, "With defaults", schema)


@tool("test_elicitation_sep1330_enums")
async def elicitation_enums(ctx: Any, params: t.CallToolRequestParams) -> Any:
    titled = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
    choices = ["option1", "option2", "option3"]
    schema = fields(
        untitledSingle={"type": "string", "enum": choices},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option 1", "Option 2", "Option 3"]},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": choices}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return await elicited(ctx, "Choose", schema)


@tool("test_reconnection")
async def reconnection(ctx: Any, params: t.CallToolRequestParams) -> Any:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(0.1)
    return said("the result came after the stream was closed")


# The stateless era: capabilities, lists that change, rounds of questions


@tool("test_missing_capability")
async def missing_capability(ctx: Any, params: t.CallToolRequestParams) -> Any:
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", needed)
    return said("ok")


def question(message: str = "What is your name?", **properties: Any) -> t.ElicitRequest:
    schema = {"type": "object", "properties": properties or {"name": TEXT}, "required": [*(properties or {"name": TEXT})]}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def prompt(text: str) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(text=text))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=50))


def form(answers: dict[str, Any], name: str) -> dict[str, Any]:
    """What the client put into the form of a question; empty where it gave none."""
    answer = answers.get(name)
    return dict(answer.content or {}) if isinstance(answer, t.ElicitResult) else {}


def asked(state: str | None = None, **requests: Any) -> t.InputRequiredResult:
    return t.InputRequiredResult(input_requests=requests, request_state=state)


CONFIRM = {"ok": {"type": "boolean"}}


@tool("test_streaming_elicitation")
async def streaming_elicitation(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return asked(user_name=question())


@tool("test_input_required_result_elicitation")
async def round_elicitation(ctx: Any, params: t.CallToolRequestParams) -> Any:
    name = form(params.input_responses or {}, "user_name").get("name")
    return said(f"Hello, {name}!") if isinstance(name, str) else asked(user_name=question())


@tool("test_input_required_result_sampling")
async def round_sampling(ctx: Any, params: t.CallToolRequestParams) -> Any:
    if "capital_question" in (params.input_responses or {}):
        return said("It was answered.")
    return asked(capital_question=prompt("What is the capital of France?"))


@tool("test_input_required_result_list_roots")
async def round_roots(ctx: Any, params: t.CallToolRequestParams) -> Any:
    if "client_roots" in (params.input_responses or {}):
        return said("The roots have come.")
    return asked(client_roots=t.ListRootsRequest())


@tool("test_input_required_result_request_state")
async def round_state(ctx: Any, params: t.CallToolRequestParams) -> Any:
    if "confirm" in (params.input_responses or {}) and params.request_state == "first":
        return said("state-ok")
    return asked("first", confirm=question("Please confirm", **CONFIRM))


@tool("test_input_required_result_multiple_inputs")
async def round_several(ctx: Any, params: t.CallToolRequestParams) -> Any:
    if {"user_name", "greeting", "client_roots"} <= set(params.input_responses or {}):
        return said("All three have come.")
    return asked("three", user_name=question(), greeting=prompt("Generate a greeting"), client_roots=t.ListRootsRequest())


@tool("test_input_required_result_multi_round")
async def rounds(ctx: Any, params: t.CallToolRequestParams) -> Any:
    answers = params.input_responses or {}
    state = json.loads(params.request_state) if params.request_state else {"round": 0}
    if state["round"] == 1 and "step1" in answers:
        second = {"round": 2, "name": form(answers, "step1").get("name")}
        return asked(json.dumps(second), step2=question("Step 2: What is your favorite color?", color=TEXT))
    if state["round"] == 2 and "step2" in answers:
        return said(f"{state['name']} likes {form(answers, 'step2').get('color')}.")
    return asked(json.dumps({"round": 1}), step1=question("Step 1: What is your name?"))


@tool("test_input_required_result_tampered_state")
async def tampered(ctx: Any, params: t.CallToolRequestParams) -> Any:
    return said("state-ok") if params.request_state else asked("sealed", confirm=question("Please confirm", **CONFIRM))


@tool("test_input_required_result_capabilities")
async def by_capability(ctx: Any, params: t.CallToolRequestParams) -> Any:
    capabilities, requests = ctx.session.client_capabilities, {}
    if capabilities and capabilities.sampling is not None:
        requests["sample"] = prompt("Say hello")
    if capabilities and capabilities.elicitation is not None:
        requests["ask"] = question()
    return asked("declared", **requests)


# Resources and prompts

RESOURCES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", None),
    "test://watched-resource": ("text/plain", "Watched."),
}
PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


def read(uri: str) -> t.ReadResourceResult | None:
    if uri in RESOURCES:
        mime_type, text = RESOURCES[uri]
        if text is None:
            return t.ReadResourceResult(contents=[t.BlobResourceContents(uri=uri, mime_type=mime_type, blob=PNG)])
        return t.ReadResourceResult(contents=[t.TextResourceContents(uri=uri, mime_type=mime_type, text=text)])
    if uri.startswith("test://template/"):
        one = uri.split("/")[3]
        text = json.dumps({"id": one, "templateTest": True, "data": f"Data for ID: {one}"})
        return t.ReadResourceResult(contents=[t.TextResourceContents(uri=uri, mime_type="application/json", text=text)])
    return None


def prompted(params: t.GetPromptRequestParams) -> Any:
    given = params.arguments or {}
    parts: list[Any]
    match params.name:
        case "test_simple_prompt":
            parts = [t.TextContent(text="This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            parts = [t.TextContent(text=f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'")]
        case "test_prompt_with_embedded_resource":
            content = embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            parts = [content, t.TextContent(text="Please process the embedded resource above.")]
        case "test_prompt_with_image":
            parts = [t.ImageContent(data=PNG, mime_type="image/png"), t.TextContent(text="Please analyze the image above.")]
        case _:
            context = form(params.input_responses or {}, "user_context").get("context")
            if context is None:
                return asked(user_context=question("What context should the prompt use?", context=TEXT))
            parts = [t.TextContent(text=f"Use this context: {context}")]
    return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=part) for part in parts])


def _argument(name: str) -> t.PromptArgument:
    return t.PromptArgument(name=name, description="Any text.", required=True)


def attach(server: Server[Any], bus: Any) -> None:
    """Lays the fixtures over a bridge's server. `bus` is where its listeners hear of changes."""

    @tool("test_trigger_tool_change")
    async def tools_changed(ctx: Any, params: t.CallToolRequestParams) -> Any:
        await bus.publish(ToolsListChanged())
        return said("ok")

    @tool("test_trigger_prompt_change")
    async def prompts_changed(ctx: Any, params: t.CallToolRequestParams) -> Any:
        await bus.publish(PromptsListChanged())
        return said("ok")

    parked_tasks.attach(server)

    of_bridge = server.get_tool_input_schema

    def input_schema(name: str) -> Any:
        return TOOLS[name][0].input_schema if name in TOOLS else of_bridge and of_bridge(name)

    server.get_tool_input_schema = input_schema

    def over(method: str, handler: Callable[[Any, Any, Handler], Awaitable[Any]]) -> None:
        entry = server.get_request_handler(method)
        assert entry is not None, f"the bridge does not serve {method}"

        async def both(ctx: Any, params: Any) -> Any:
            return await handler(ctx, params, entry.handler)

        server.add_request_handler(method, entry.params_type, both)

    async def list_tools(ctx: Any, params: Any, inner: Handler) -> Any:
        found = await inner(ctx, params)
        return found.model_copy(update={"tools": [*found.tools, *(one for one, _ in TOOLS.values()), *parked_tasks.tools()]})

    async def call_tool(ctx: Any, params: Any, inner: Handler) -> Any:
        return await TOOLS[params.name][1](ctx, params) if params.name in TOOLS else await inner(ctx, params)

    async def list_resources(ctx: Any, params: Any, inner: Handler) -> Any:
        found = await inner(ctx, params)
        own = [t.Resource(uri=uri, name=uri.partition("//")[2], mime_type=mime) for uri, (mime, _) in RESOURCES.items()]
        return found.model_copy(update={"resources": [*found.resources, *own]})

    async def list_templates(ctx: Any, params: Any, inner: Handler) -> Any:
        found = await inner(ctx, params)
        own = t.ResourceTemplate(uri_template="test://template/{id}/data", name="template", mime_type="application/json")
        return found.model_copy(update={"resource_templates": [*found.resource_templates, own]})

    async def read_resource(ctx: Any, params: Any, inner: Handler) -> Any:
        return read(str(params.uri)) or await inner(ctx, params)

    async def list_prompts(ctx: Any, params: Any, inner: Handler) -> Any:
        found = await inner(ctx, params)
        own = [
            t.Prompt(name=name, description="A fixture.", arguments=[_argument(one) for one in arguments])
            for name, arguments in PROMPTS.items()
        ]
        return found.model_copy(update={"prompts": [*found.prompts, *own]})

    async def get_prompt(ctx: Any, params: Any, inner: Handler) -> Any:
        return prompted(params) if params.name in PROMPTS else await inner(ctx, params)

    async def complete(ctx: Any, params: Any, inner: Handler) -> Any:
        if isinstance(params.ref, t.PromptReference) and params.ref.name in PROMPTS:
            return t.CompleteResult(completion=t.Completion(values=[], total=0, has_more=False))
        return await inner(ctx, params)

    async def nothing(ctx: Any, params: Any) -> t.EmptyResult:
        return t.EmptyResult()

    for method, handler in (
        ("tools/list", list_tools),
        ("tools/call", call_tool),
        ("resources/list", list_resources),
        ("resources/templates/list", list_templates),
        ("resources/read", read_resource),
        ("prompts/list", list_prompts),
        ("prompts/get", get_prompt),
        ("completion/complete", complete),
    ):
        over(method, handler)
    server.add_request_handler("logging/setLevel", t.SetLevelRequestParams, nothing)
    server.add_request_handler("resources/subscribe", t.SubscribeRequestParams, nothing)
    server.add_request_handler("resources/unsubscribe", t.UnsubscribeRequestParams, nothing)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
