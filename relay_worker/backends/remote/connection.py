"""A remote backend while it is connected: its calls and its session. In the loop's thread.

Answers to calls go straight up, everything else through the session. A session that the server has
lost is replaced without anybody noticing, and calls it never looked at are sent again. Of other
trouble whoever supervises the backend is told.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec

from relay_worker.backends import frames
from relay_worker.backends.base import Backend, Host, State, Watcher
from relay_worker.backends.client import Client, is_modern
from relay_worker.backends.effects import Asked, Broken, Effect, Listed, Problem, Progressed, Send
from relay_worker.backends.patience import Patience
from relay_worker.backends.promises import makes_tasks
from relay_worker.backends.remote import handover as handovers
from relay_worker.backends.remote.calls import Calls
from relay_worker.backends.remote.dialogue import Dialogue
from relay_worker.backends.remote.ear import Ear
from relay_worker.backends.remote.handover import Handover
from relay_worker.backends.remote.messages import (
    Failure,
    Fault,
    Listener,
    Tag,
)
from relay_worker.backends.remote.owner import Owner, pass_on
from relay_worker.backends.remote.posts import Out, Posts, Sent
from relay_worker.backends.remote.questions import Questions
from relay_worker.backends.session import Session
from relay_worker.backends.speech import (
    ACKNOWLEDGED,
    PROBE_SECONDS,
    ModernSpeech,
    Speech,
    Spoken,
)
from relay_worker.backends.surroundings import Surroundings
from relay_worker.lists import RawLists
from relay_worker.repair import Envelope

NOTHING_TO_SAY: Final = frozenset({404, 405})
"""Statuses by which a server says that it never says anything by itself."""


class Connection:
    """One backend's calls and session. `pid` is what its questions to the client are known by.
    Implements `messages.Listener`.
    """

    def __init__(
        self,
        around: Surroundings,
        backend: Backend,
        host: Host,
        watcher: Watcher,
        owner: Owner,
        client: Client,
        *,
        pid: int,
        connect: Callable[[Listener], Out],
    ) -> None:
        self.pid = pid
        self.skipped_lines = 0
        self._dialogue = Dialogue(backend.name, backend.kind, client, around)
        self.calls = Calls(around, backend, host, self._post, client, pid, self._frame_again)
        self._around = around
        self._backend = backend
        self._host = host
        self._watcher = watcher
        self._owner = owner
        self._open = True
        self._patience = Patience(
            around.loop,
            around.policy.list_timeout_seconds,
            lambda: self.apply(self.session.give_up_listing()),
        )
        self._listen_due = False
        self.line = connect(self)
        self._posts = Posts(self.line)
        self._questions = Questions(self._posts, self.calls, partial(host.withdrew, backend, pid))
        self._ear = Ear(
            self._posts,
            around.loop,
            around.policy.restart_delay_max_seconds,
            send=self._post,
            missed=self._look_again,
        )

    @property
    def client(self) -> Client:
        """Return the client it was introduced to the server for."""
        return self._dialogue.client

    @property
    def session(self) -> Session:
        """Return the session, which may be another one at the next look."""
        return self._dialogue.session

    @property
    def modern(self) -> bool:
        """Return whether it is spoken to in the modern era."""
        return self._speech.modern

    @property
    def _speech(self) -> Speech:
        return self._dialogue.speech

    # ---- for whoever supervises it --------------------------------------------------------------

    def begin(self, known: str = "", handover: Handover | None = None) -> None:
        """Begin a session with a server that was *known* to speak this protocol, or go on with one;
        calls under way are not touched.
        """
        self._dialogue.know(handover.protocol if handover else known)
        self._speak(handover)

    def resume(self, known: str) -> None:
        """Go on after the server could not be reached: with the session, if there is one."""
        self.begin(known, self._dialogue.left())

    def call(self, call: int, method: str, params: bytes) -> bool:
        """Send a request; False where the server does not take what was sent before."""
        spoken = self._speech.call(call, method, params)
        if spoken is None:
            self.calls.grant(call)
            self._listen_later()
            return True
        if self._posts.full(len(spoken.body)):
            return False
        if isinstance(self._speech, ModernSpeech) and call > 0 and not is_modern(params):
            self.calls.bridge(call, method, self._speech.enveloped(params))
        self.calls.send(call, spoken)
        return True

    def cancel(self, call: int, params: bytes) -> None:
        """Withdraw a call."""
        if number := self.calls.withdraw(call):
            self.write(frames.notification("notifications/cancelled", params))
            self._posts.abort(number)

    def answer(self, raw_id: bytes, members: bytes) -> None:
        """Take in the client's answer to a question."""
        if self._speech.modern:
            self.calls.input(raw_id, members)
        else:
            self.write(frames.response(raw_id, members), self._questions.answered(raw_id))

    def write(self, frame: bytes, asked_in: int | None = None) -> None:
        """Send a frame that is no call; it may answer what was *asked_in* one."""
        spoken = self._speech.say(frame)
        if isinstance(spoken, Spoken):
            self._post(spoken, asked_in)
            if spoken.first:
                self._listen()
        elif spoken is not None:
            self._listen_later()
            self.apply(self.session.receive(spoken))

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks."""
        if self._speech.watch(tasks):
            self._listen_later()

    def attend(self, *, attending: bool) -> None:
        """Hear what the server says by itself, or leave that to another worker."""
        if self._ear.attend(attending=attending) and attending:
            self._listen()

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""
        self.line.pause(paused=paused)

    def close(self, *, farewell: bool) -> None:
        """Let go of it; with *farewell* the server is told to forget the session."""
        self._open = False
        self._ear.close()
        self.line.close(self._dialogue.headers if farewell and self._dialogue.name else None)
        self._patience.see(waiting=False)

    def apply(self, effects: Iterable[Effect], call: int = 0) -> None:
        """Do what the session wants; it was heard in the stream that is to answer *call*."""
        for effect in effects:
            match effect:
                case Send(frame):
                    self.write(frame)
                case Progressed(number, params):
                    if number in self.calls or makes_tasks(self._backend.lists):
                        self._host.progressed(self._backend, number, params, 0)
                case Listed(lists):
                    self._listed(lists)
                case Problem(text):
                    self._around.log.warning(text, backend=self._backend.name)
                case Broken(reason):
                    self._broke(Failure(Fault.REFUSED, reason))
                case _:
                    if isinstance(effect, Asked):
                        self._questions.asked(effect.id, call)
                    pass_on(self._host, self._backend, self.pid, effect, call)

    # ---- messages.Listener -----------------------------------------------------------------------

    def received(self, envelope: Envelope, answers: Tag) -> None:
        """A message."""
        if not self._open:
            return
        if "method" not in envelope:
            raw_id = envelope.setdefault("id", msgspec.Raw(b"null"))
            call = answers if answers is not None else frames.call_number(raw_id)
            if isinstance(call, int):
                self.calls.answered(call, envelope)
                return
            if answers is not None:
                envelope["id"] = msgspec.Raw(frames.encode(answers))
            envelope = self._speech.heard(answers, envelope)
        elif frames.text_of(envelope["method"]) == ACKNOWLEDGED:
            self._ear.opened(gap=False)
            return
        else:
            envelope = self._speech.heard(None, envelope)
        call = answers if isinstance(answers, int) and answers > 0 else 0
        self.apply(self.session.receive(envelope), call)
        self._limit_listing()

    def skipped(self, pieces: int) -> None:
        """Something else than MCP came."""
        if not self.skipped_lines:
            text = "backend sends something else than MCP; it is skipped"
            self._around.log.warning(text, backend=self._backend.name)
        self.skipped_lines += pieces
        self._watcher.changed(self._backend)

    def sent(self, number: int) -> None:
        """A frame is on its way."""
        call = self._posts.tag(number)
        if isinstance(call, int):
            self.calls.sent(call)

    def done(self, number: int, failure: Failure | None) -> None:
        """Nothing more comes of a frame."""
        sent = self._posts.settle(number)
        if sent is None or not self._open:
            return
        ear = self._ear.ended(number, failure)
        if failure is None:
            return
        if ear:
            self._unheard(failure)
        elif isinstance(sent.tag, int):
            if self.calls.is_at(sent.tag, number):  # else it has been answered, and made again
                self._call_failed(sent.tag, sent, failure)
        elif sent.tag is not None:
            self._request_failed(sent.tag, sent, failure)
        else:
            self._around.log.warning(f"not taken: {failure.text}", backend=self._backend.name)
            if sent.asked_in is not None:
                self._questions.undelivered(sent, failure)
                if failure.fault is Fault.EXPIRED:
                    self._expired(sent.session)

    def opened(self, session: str) -> None:
        """The server has named the session."""
        if self._open and not self._dialogue.name:
            self._dialogue.name = session

    def listening(self, failure: Failure | None, *, gap: bool) -> None:
        """What it says by itself is heard, or not."""
        if self._open and failure is None:
            self._ear.opened(gap=gap)
        elif self._open and failure is not None:
            self._unheard(failure)

    def lost(self, failure: Failure) -> None:
        """The channel is gone, and all that was under way with it."""
        if self._open:
            self._owner.broke(failure, lost=True)

    # ---- the session ----------------------------------------------------------------------------

    def _speak(self, handover: Handover | None = None) -> None:
        """Begin in the next era there is to try."""
        self._dialogue.turn()
        if self._dialogue.probing:
            self._around.loop.after(PROBE_SECONDS, partial(self._silent, self._speech))
        self._greet(handover)

    def _greet(self, handover: Handover | None = None) -> None:
        self._ear.forget()
        self._posts.abort_own()
        self._dialogue.renew(handover)
        if handover is None:
            self.apply(self.session.start())
            return
        effects = self.session.go_on(handovers.said(handover))
        self._listen()
        self.apply(effects)

    def _silent(self, speech: Speech) -> None:
        """Nothing was answered to the first words for a while."""
        if self._open and speech is self._speech and not self._dialogue.understood:
            self._speak()

    def _broke(self, failure: Failure) -> None:
        """It has refused something without which it cannot be used."""
        if self._dialogue.refused(failure):
            self._speak()
        else:
            self._owner.broke(self._dialogue.verdict(failure))

    def _listed(self, lists: RawLists) -> None:
        self._owner.began(self._dialogue.left())
        self._owner.listed(self._speech.learned(lists))
        self.calls.send_parked()
        if self._speech.modern and not self._ear.heard:
            self._listen_later()

    def _expired(self, session: str) -> None:
        """The server no longer knows *session*."""
        if session == self._dialogue.name:
            self._questions.lost(session)
            hopeless = self._dialogue.forget()
            self._owner.began(None)
            if hopeless:
                text = "it has lost the session before it said what it has"
                self._owner.broke(Failure(Fault.FAILED, text))
            elif self._backend.state in {State.CONNECTING, State.READY}:
                self._owner.reopening()
                self._greet()
        elif self._dialogue.listed:  # it has been replaced by now
            self.calls.send_parked()

    def _look_again(self) -> None:
        """Fetch the lists anew: that they changed may not have been heard."""
        self.apply(self._dialogue.look_again())
        self._limit_listing()

    def _limit_listing(self) -> None:
        """See to it that a list which is never answered does not hold up later changes."""
        self._patience.see(waiting=self._dialogue.listed and self.session.listing)

    # ---- frames -----------------------------------------------------------------------------

    def _post(self, spoken: Spoken, asked_in: int | None = None) -> int:
        headers = {**self._dialogue.headers, **spoken.headers}
        return self._posts.add(spoken, headers, self._dialogue.name, asked_in)

    def _frame_again(self, call: int, number: int, method: str, params: bytes) -> Spoken:
        return self._speech.again(call, number, method, params)

    def _listen(self) -> None:
        self._listen_due = False
        if self._open:
            self._ear.listen(self._dialogue.headers, self._speech.listen)

    def _listen_later(self) -> None:
        """Listen anew, once for all that changes in this turn."""
        if self._dialogue.listed and not self._listen_due:
            self._listen_due = True
            self._around.loop.at_turn_end(self._listen)

    def _unheard(self, failure: Failure) -> None:
        """What it says by itself is not heard any more."""
        if failure.fault is Fault.EXPIRED and self._ear.heard:  # else it has no such stream at all
            self._expired(self._dialogue.name)
        elif failure.fault is Fault.UNREACHED:
            self._owner.broke(failure)  # who is called now has to wait until it is back
        elif failure.status not in NOTHING_TO_SAY:
            self._around.log.info(f"not heard: {failure.text}", backend=self._backend.name)

    def _call_failed(self, call: int, sent: Sent, failure: Failure) -> None:
        if failure.fault is Fault.EXPIRED and self.calls.park(call):
            self._expired(sent.session)
            return
        if failure.fault in {Fault.UNREACHED, Fault.LOGIN}:
            self._owner.broke(failure)  # first, or the call would be sent again at once
        self.calls.failed(call, failure)

    def _request_failed(self, tag: str, sent: Sent, failure: Failure) -> None:
        """A request of the relay's own has failed."""
        if failure.fault is Fault.EXPIRED:
            self._expired(sent.session)
        elif not self._dialogue.listed or failure.fault is Fault.LOGIN:
            self._broke(failure)
        else:
            self.apply(self._dialogue.failed(tag, failure.text))
            self._limit_listing()
