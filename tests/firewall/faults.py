"""The faults of backends that clients trip over, one row each: what is said, what may be seen.

`said` is what a backend writes in place of an answer to a call, one item a line; the client may see
the `answer` (the text of a result, or words of an error), the methods `passed`, and nothing else.
"""

from dataclasses import dataclass

FINE = "fine"
RESULT = b'"result":{"content":[{"type":"text","text":"fine"}]}'
ANSWER = b'{"jsonrpc":"2.0","id":@ID@,' + RESULT + b"}"
PROGRESS = "notifications/progress"
MESSAGE = "notifications/message"


@dataclass(frozen=True)
class Fault:
    """A row. `http` is the answer where another one is due over HTTP, where an event that is no
    message ends the call; `stdio`: such a thing cannot be said over HTTP.
    """

    said: tuple[bytes, ...]
    answer: str = FINE
    passed: tuple[str, ...] = ()
    http: str = ""
    stdio: bool = False


def answer(members: bytes) -> bytes:
    """A response to the call with these members."""
    return b'{"jsonrpc":"2.0","id":@ID@,%b}' % members


def before(*lines: bytes, **more: object) -> Fault:
    """Something else is said before the answer."""
    return Fault((*lines, ANSWER), **more)  # type: ignore[arg-type]


def note(method: str, params: bytes | None = None, extra: bytes = b"") -> bytes:
    """A notification."""
    tail = b"" if params is None else b',"params":' + params
    return b'{"jsonrpc":"2.0","method":"%b"%b%b}' % (method.encode(), extra, tail)


def progress(members: bytes) -> bytes:
    """A progress notification for the call."""
    return note(PROGRESS, b'{"progressToken":@TOKEN@,%b}' % members)


def text(inside: bytes) -> bytes:
    """An answer with these bytes in its text."""
    return ANSWER.replace(b'"fine"', b'"%b"' % inside)


def stray(raw_id: bytes, **more: object) -> Fault:
    """An answer to something else comes first. What comes in the stream of a request over HTTP is
    its answer, unless its id is another one's.
    """
    return before(ANSWER.replace(b"@ID@", raw_id).replace(b"fine", b"stray"), **more)


IDS = {
    "an id as a text": Fault((ANSWER.replace(b"@ID@", b'"@ID@"'),)),
    "an id with a fraction of zero": Fault((ANSWER.replace(b"@ID@", b"@ID@.0"),)),
    "an answer to id null": stray(b"null", http="stray"),
    "an answer to id true": stray(b"true", http="stray"),
    "an answer to a fraction": stray(b"@ID@.5", http="stray"),
    "an answer to an id nobody used": stray(b"987654321"),
    "an answer to an id nobody used, as a text": stray(b'"987654321"'),
    "an answer to an id of the relay's own": stray(b'"relay-1-tools-1"'),
    "an answer that was given before": stray(b"1"),
    "an answer to an id beyond all numbers": stray(b"9" * 40, http="stray"),
    "an answer to an object": stray(b'{"a":1}', http="stray"),
    "an error without an id": before(
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"lost"}}', http="lost"
    ),
    "a second answer": Fault((ANSWER, text(b"second"))),
    "an error after the answer": Fault((ANSWER, answer(b'"error":{"code":-1,"message":"m"}'))),
}

ENVELOPES = {
    "members beside the result": Fault((answer(RESULT + b',"x":1,"method":null'),)),
    "both result and error": Fault((answer(RESULT + b',"error":{"code":1,"message":"m"}'),)),
    "an error of null beside the result": Fault((answer(RESULT + b',"error":null'),)),
    "a result of null beside an error": Fault(
        (answer(b'"result":null,"error":{"code":-7,"message":"of old"}'),), "of old"
    ),
    "neither result nor error": Fault((answer(b'"x":1'),), "neither result nor error"),
    "a result of null": Fault((answer(b'"result":null'),), "neither result nor error"),
    "a result that is a list": Fault((answer(b'"result":[]'),), "no object"),
    "a result that is a text": Fault((answer(b'"result":"fine"'),), "no object"),
    "an error that is a text": Fault((answer(b'"error":"boom"'),), "boom"),
    "an error without a code": Fault((answer(b'"error":{"message":"boom"}'),), "boom"),
    "an error whose code is a text": Fault(
        (answer(b'"error":{"code":"E","message":"boom"}'),), "boom"
    ),
    "an error whose code is a fraction": Fault(
        (answer(b'"error":{"code":1.5,"message":"boom"}'),), "boom"
    ),
    "an error without a message": Fault((answer(b'"error":{"code":-5,"message":null}'),), "-5"),
    "a _meta of null": Fault((answer(RESULT[:-1] + b',"_meta":null}'),)),
    "a _meta that is a list": Fault((answer(RESULT.replace(b"{", b'{"_meta": [],', 1)),)),
    "JSON-RPC 1.0": Fault((ANSWER.replace(b"2.0", b"1.0"),)),
    "a batch of 2025-03-26": Fault(
        (b"[" + progress(b'"progress":1') + b"," + ANSWER + b"]",), FINE, (PROGRESS,)
    ),
    "a batch within a batch": Fault((b"[[" + ANSWER + b"]]",), "cannot be read", stdio=True),
    "an empty batch": before(b"[]", stdio=True),
}

PROGRESSES = {
    "progress for an unknown token": before(note(PROGRESS, b'{"progressToken":"?","progress":1}')),
    "progress for no token": before(note(PROGRESS, b'{"progress":1}')),
    "progress for a token of null": before(note(PROGRESS, b'{"progressToken":null,"progress":1}')),
    "progress for a token that is an object": before(
        note(PROGRESS, b'{"progressToken":{},"progress":1}')
    ),
    "progress after the answer": Fault((ANSWER, progress(b'"progress":1'))),
    "progress whose token became a text": before(
        note(PROGRESS, b'{"progressToken":"@TOKEN@","progress":1}'), passed=(PROGRESS,)
    ),
    "progress that is a text": before(progress(b'"progress":"1"')),
    "progress that is null": before(progress(b'"progress":null')),
    "progress of a null total": before(
        progress(b'"progress":1,"total":null,"message":null'), passed=(PROGRESS,)
    ),
    "progress without params": before(note(PROGRESS)),
}

NOTIFICATIONS = {
    "an unknown notification": before(
        note("vendor/event", b'{"x":null}'), passed=("vendor/event",)
    ),
    "a notification with an id of null": before(
        note(MESSAGE, b'{"level":"info","data":1}', b',"id":null'), passed=(MESSAGE,)
    ),
    "members beside the params": before(
        note(MESSAGE, b'{"level":"info","data":1}', b',"x":1'), passed=(MESSAGE,)
    ),
    "params that are a list": before(note("vendor/event", b"[1]")),
    "params of null": before(note("vendor/event", b"null")),
    "params with a _meta of null": before(
        note("vendor/event", b'{"_meta":null}'), passed=("vendor/event",)
    ),
    "a log message of an unknown level": before(note(MESSAGE, b'{"level":"warn","data":1}')),
    "a log message of a null logger": before(
        note(MESSAGE, b'{"level":"info","data":1,"logger":null}'), passed=(MESSAGE,)
    ),
    "many list_changed and no change": before(*[note("notifications/tools/list_changed")] * 50),
    "an update nobody subscribed to": before(
        note("notifications/resources/updated", b'{"uri":"x://y"}')
    ),
    "an update of nothing": before(note("notifications/resources/updated", b"{}")),
    "a cancellation of the call": before(note("notifications/cancelled", b'{"requestId":@ID@}')),
    "a cancellation of what was never asked": before(
        note("notifications/cancelled", b'{"requestId":"?"}')
    ),
    "a method that is a number": before(b'{"jsonrpc":"2.0","method":7}'),
    "a request nobody knows": before(b'{"jsonrpc":"2.0","id":"q","method":"unheard/of"}'),
    "a question the client did not allow": before(
        b'{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}'
    ),
    "a ping": before(b'{"jsonrpc":"2.0","id":"q","method":"ping"}'),
}

TEXTS = {
    "half of a surrogate pair": Fault((text(rb"a\ud83db"),), "a\ufffdb"),
    "the other half": Fault((text(rb"a\ude00b"),), "a\ufffdb"),
    "a whole pair": Fault((text(rb"a\ud83d\ude00b"),), "a\U0001f600b"),
    "half of a pair in a name": Fault((answer(RESULT[:-1] + rb',"\ud83d":1}'),)),
    "bytes that are no UTF-8": Fault((text(b"a\xffb"),), "a\ufffdb"),
    "a surrogate as bytes": Fault((text(b"a\xed\xa0\xbdb"),), "a\ufffd\ufffd\ufffdb"),
    "U+2028 and U+2029": Fault((text("a\u2028\u2029b".encode()),), "a\u2028\u2029b"),
    "a NUL as an escape": Fault((text(rb"a\u0000b"),), "a\0b"),
    "NaN": Fault((answer(RESULT[:-1] + b',"x":[NaN,-Infinity]}'),)),
    "a carriage return at the end": Fault((ANSWER + b"\r",), stdio=True),
    "a carriage return between members": Fault((ANSWER.replace(b",", b",\r"),), stdio=True),
    "a byte order mark": Fault((b"\xef\xbb\xbf" + ANSWER,)),
    "nesting without end": Fault(
        (answer(b'"result":{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),), "cannot be read"
    ),
    "a line over the limit": Fault((text(b"@FILL@"),), "frame_bytes_max"),
}

POLLUTION = {
    "a line of text": before(b"Listening on stdio ...", http="cannot be read"),
    "text before the answer": Fault((b"> " + ANSWER,)),
    "text after the answer": Fault((ANSWER + b" done.",)),
    "a log line in JSON": before(b'{"level":30,"msg":"hi"}', http="cannot be read"),
    "colours": before(b"\x1b[32mready\x1b[0m", http="cannot be read"),
    "half an answer": Fault((ANSWER[:30], ANSWER), "cannot be read"),
    "two answers on a line": Fault((ANSWER + ANSWER,)),
    "blank lines": before(b"", b"  ", stdio=True),
    "a number": before(b"42", http="cannot be read"),
}

FAULTS = {**IDS, **ENVELOPES, **PROGRESSES, **NOTIFICATIONS, **TEXTS, **POLLUTION}
