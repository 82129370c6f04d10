"""What servers list and answer: every member the protocol knows, and others it does not."""

from random import Random

from tests.differential.odd import Odd
from tests.differential.script import LEGACY, MODERN, House

BLOCKS = (
    '"type":"text","text":{string}',
    '"type":"image","data":"AAEC","mimeType":"image/png"',
    '"type":"audio","data":"AAEC","mimeType":"audio/wav"',
    '"type":"resource_link","uri":"x:/1","name":{string},"size":1e2',
    '"type":"resource","resource":{{"uri":"x:/1","text":{string},"x/":{value}}}',
    '"type":"x-future","shape":{value}',
)
ICONS = '[{"src":"data:,","mimeType":"image/png","sizes":["48x48"],"theme":"dark","x-odd":1.50}]'
CAPABILITIES = '{"roots":{"listChanged":true},"sampling":{},"elicitation":{},"tasks":{"x":1.0}'
TASKS_EXTENSION = '"io.modelcontextprotocol/tasks":{}'
TASKS = '"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}'


def _block(odd: Odd, at: int) -> str:
    known = BLOCKS[at].format(string=odd.string(), value=odd.value())
    hints = f'"annotations":{{"priority":0.10,"x/":{odd.value()}}}'
    return f'{{{known},{hints},"_meta":{{"x":{odd.value()}}}{odd.extras()}}}'


def _blocks(odd: Odd) -> str:
    return ",".join(_block(odd, at) for at in odd.some(len(BLOCKS)))


def _tool_result(odd: Odd) -> str:
    structured = f'"structuredContent":{odd.object()},' if odd.maybe() else ""
    failed = '"isError":true,' if odd.maybe() else ""
    return f'{{"content":[{_blocks(odd)}],{structured}{failed}"_meta":{{}}{odd.extras()}}}'


def _prompt_result(odd: Odd) -> str:
    messages = ",".join(
        f'{{"role":"user","content":{_block(odd, at)}{odd.extras()}}}'
        for at in odd.some(len(BLOCKS))
    )
    return f'{{"messages":[{messages}],"description":{odd.string()}{odd.extras()}}}'


def _resource_result(odd: Odd) -> str:
    contents = ",".join(
        f'{{"uri":"x:/{at}","text":{odd.string()},"_meta":{odd.object()}{odd.extras()}}}'
        for at in odd.some(3)
    )
    return f'{{"contents":[{contents}]{odd.extras()}}}'


def _completion_result(odd: Odd) -> str:
    values = ",".join(odd.string() for _ in range(3))
    shown = f'{{"values":[{values}],"total":{odd.number()},"hasMore":false{odd.extras()}}}'
    return f'{{"completion":{shown}{odd.extras()}}}'


RESULTS = {
    "tool": _tool_result,
    "prompt": _prompt_result,
    "resource": _resource_result,
    "completion": _completion_result,
}


def house(seed: int) -> House:
    """Make a house."""
    odd = Odd(Random(seed))
    names = {
        "tools": [f'"tool_{number}"' for number in range(5)],
        "prompts": [f'"prompt-{number}"' for number in range(3)],
        "resources": ['"x:/1"', '"x:/a/\\u00e9"', '"file:///b%20c?d=\u2028"'],
    }
    templates = ['"x:/t/{i}"', '"file:///{+path}"']
    lists = {
        "tools": [_tool(odd, name) for name in names["tools"]],
        "prompts": [_prompt(odd, name) for name in names["prompts"]],
        "resources": [_resource(odd, f'"uri":{uri}') for uri in names["resources"]],
        "resourceTemplates": [_resource(odd, f'"uriTemplate":{uri}') for uri in templates],
    }
    experimental = f'"experimental":{{"x":{odd.object()}}}'
    extension = f'"x/y":{odd.object()}'
    return House(
        seed,
        lists,
        page_items_max=1 + seed % 3,
        server_info=f'{{"name":"played","version":"1"{odd.extras()}}}',
        server_capabilities={
            LEGACY: f',{experimental},"extensions":{{{extension}}},{TASKS}',
            MODERN: f',{experimental},"extensions":{{{extension},{TASKS_EXTENSION}}}',
        },
        client_capabilities=f'{CAPABILITIES},"experimental":{{"x":{odd.object()}}}{odd.extras()}}}',
        client_info=f'{{"name":"talk","version":"1","icons":{ICONS}{odd.extras()}}}',
        client_more=odd.extras(),
        names=names,
    )


def _shared(odd: Odd) -> str:
    """What all items have."""
    return (
        f'"title":{odd.string()},"description":{odd.string()},"icons":{ICONS},'
        f'"_meta":{{"x":{odd.value()}}}{odd.extras()}'
    )


def _tool(odd: Odd, name: str) -> str:
    schema = f'{{ "type" : "object","properties":{{"n":{{"maximum":{odd.number()}}}}},"x-odd":'
    hints = f'{{"readOnlyHint":true,"x-future":{odd.value()}}}'
    return (
        f'{{"name":{name},"inputSchema":{schema}{odd.value()}}},"outputSchema":{{"x":1.0}},'
        f'"annotations":{hints},"execution":{{"taskSupport":"forbidden"}},{_shared(odd)}}}'
    )


def _prompt(odd: Odd, name: str) -> str:
    arguments = f'[{{"name":"a","required":true{odd.extras()}}},{{"name":"b c"}}]'
    return f'{{"name":{name},"arguments":{arguments},{_shared(odd)}}}'


def _resource(odd: Odd, key: str) -> str:
    hints = f'"annotations":{{"audience":["user"],"priority":0.10,"x/":{odd.value()}}}'
    return f'{{{key},"name":{odd.string()},"mimeType":"a/b","size":1e2,{hints},{_shared(odd)}}}'
