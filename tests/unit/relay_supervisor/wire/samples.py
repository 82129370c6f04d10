"""One example of every message, with every field set to something of its own.

A new message or field is added here, and its golden file in `golden/v1` made with `encode`. What is
in `golden/released` is never changed: peers of those versions send and read exactly these bytes.
"""

from typing import TypeAlias

from relay_supervisor.wire import handshake, v1

Sample: TypeAlias = v1.Message | handshake.Hello | handshake.Welcome

TO_WORKER: tuple[Sample, ...] = (
    handshake.Hello((1, 2), "1.0", 3, "nonce"),
    v1.Configure("/c.yaml", "/project", "/state", "i1", "debug", "json", True, True),
    v1.KnownLists("files", "hash"),
    v1.Session(1, "2026-07-28", "/cache", "warning"),
    v1.Call(4711, "tools/call", "files__read", 1, 2, tell=True),
    v1.Cancel(4712, 4716, "files"),
    v1.ClientAnswer("files", b'"q1"', 61, 4717, "sampling/createMessage"),
    v1.ClientNotification("notifications/roots/list_changed"),
    v1.SetLevel("error"),
    v1.Subscriptions(["file:///a", "file:///b"], ["task-1"]),
    v1.Spawned(5, "files", 62),
    v1.SpawnRefused(6, "files", "no room"),
    v1.Exited("files", 63, -9),
    v1.StatusReply(7),
    v1.Ping(8),
    v1.Log(9),
    v1.Retire(for_good=True),
    v1.Journal(),
    v1.Refuse("1.0+abc", "digest", "it crashed"),
    v1.RunChecks(13),
    v1.KnownSession("search", "hash"),
    v1.Attend(attend=True),
    v1.KnownLinks("files", ["file:///c"]),
    v1.Await(["files", "slow"]),
    v1.Freeze(["files"]),
    v1.Adopt(15, "files", 69, [v1.Call(4718, "tools/call", "files__read", 1, 2, tell=True)], True),
    v1.Stderr("files", 70),
)
TO_SUPERVISOR: tuple[Sample, ...] = (
    handshake.Welcome(1, "1.1", 3, "nonce", 64),
    v1.Configured(
        [v1.BackendInfo("files", "stdio", 1.5, "fingerprint", "spec")],
        v1.Limits(1, 2, 3.5, 4.5, 5, 6, 7, 8.5, 9.5, 10.5, 11, 12.5),
        ["line 3: no such key"],
        True,
        "digest",
        adopts=True,
    ),
    v1.Catalogue("digest", settled=True),
    v1.LearnedLists("files", "hash"),
    v1.Reply(4713, v1.OUTCOME_RELAY_ERROR, "task-2"),
    v1.Progress(4714, 71, 512, "files"),
    v1.Notification("files", "notifications/message", 72, 513, 9),
    v1.BackendRequest("files", b"7", 65, "roots/list", 514, 4711),
    v1.BackendCancel("files", b"8", 66),
    v1.Spawn(10, "files", ["npx", "-y", "server"], {"A": "b"}, "/project", 8192),
    v1.StopBackend("files", 67),
    v1.BackendState("files", "ready", 68, 12, 1, "once", 3),
    v1.StatusRequest(11),
    v1.Ready(3, "nonce"),
    v1.Pong(12),
    v1.Routed(4715, "files"),
    v1.ConfigRead(),
    v1.LearnedSession("search", "hash"),
    v1.LearnedLinks("files", ["file:///d"]),
    v1.Checked(14, [v1.CheckResult("files__read", True, 0.5, "no detail")]),
    v1.Frozen("files", 73, [4719, 4720]),
    v1.Returned([4721]),
    v1.Adopted("files", 74, "its descriptors did not come"),
    v1.Joined("files", 75),
    v1.Done(4722),
    v1.Begun(4723),
)
