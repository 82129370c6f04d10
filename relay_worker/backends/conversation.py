"""The conversation with a stdio backend in the era it understands. No I/O, no clock.

The session speaks the legacy era. Towards a modern backend what it says is put into other words,
and the other way round; and where a backend does not understand the first words, it is spoken to in
the other era. Everything else is the session's.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from relay_supervisor.wire.custody import Custody
from relay_worker.backends import frames
from relay_worker.backends.client import Client
from relay_worker.backends.effects import Broken, Effect, Effects, Listed, Problem, Send, Tried
from relay_worker.backends.session import Phase, Session
from relay_worker.backends.speech import ACKNOWLEDGED, ModernSpeech, Spoken, order
from relay_worker.backends.surroundings import Surroundings
from relay_worker.lists import RawLists
from relay_worker.repair import Envelope

_Words = tuple[ModernSpeech | None, Session]


class Conversation:
    """A session and its words, with the interface of the session. *known* is the protocol that the
    backend was found to speak before, if it was. `modern`: it is spoken to in the modern era.
    """

    def __init__(
        self,
        backend: str,
        client: Client,
        around: Surroundings,
        *,
        numbers: Iterator[int],
        known: str = "",
    ) -> None:
        self.client = client
        self._numbers = numbers
        self._new = partial(
            Session,
            backend,
            client,
            around.generation,
            pages_max=around.policy.list_pages_max,
            numbers=numbers,
        )
        self._generation = around.generation
        self._eras = order(client, known)
        self._early: _Words | None = None  # said first, and not answered so far
        self._refusal = ""
        self._listen = ""
        self._listen_due = False
        self._use(self._words(modern=self._eras.pop(0)))

    @property
    def probing(self) -> bool:
        """Return whether the backend was asked in the modern era and nothing is known of it yet,
        while there is another era to try.
        """
        return self.modern and bool(self._eras) and not self._session.said.protocol

    @property
    def _doubted(self) -> bool:
        """Return whether the backend is asked in the modern era only because it has refused the
        other one, and nothing has come of it yet.
        """
        return self.modern and bool(self._refusal) and not self._session.said.protocol

    # ---- the session's ----------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Return how far the backend has been brought."""
        return self._session.phase

    @property
    def level(self) -> str | None:
        """Return the log level it was set to."""
        return self._session.level

    @property
    def listing(self) -> bool:
        """Return whether answers to list requests are outstanding."""
        return self._session.listing

    def saw(self, capability: str) -> bool:
        """Return whether the backend can be told of what comes with a *capability* by itself."""
        return not self.modern and self._session.saw(capability)

    def start(self) -> Effects:
        """Return the first request."""
        effects = self._spoken(self._session.start())
        return [*effects, Tried()] if self.probing or self._doubted else effects

    def give_up_listing(self) -> Effects:
        """Stop waiting for lists; what was known of them stays."""
        return self._spoken(self._session.give_up_listing())

    def set_level(self, level: str) -> Effects:
        """Set the log level, where the backend logs."""
        return self._spoken(self._session.set_level(level))

    def subscribe(self, uris: Iterable[str], *, again: bool = False) -> Effects:
        """Make the backend send updates for exactly *uris*, where it can."""
        return self._spoken(self._session.subscribe(uris, again=again))

    def note_subscription(self, uri: str, *, subscribed: bool) -> None:
        """Remember that a call of the client's changed a subscription."""
        self._session.note_subscription(uri, subscribed=subscribed)

    def resume(self, left: Custody, known: RawLists | None, *, crashed: bool) -> Effects:
        """Go on with a conversation as it was *left* in another worker; see `Session.resume`.

        Raises:
            ValueError: nobody can go on with it.
        """
        if left.phase != Phase.NEW.word:
            self._use(self._words(modern=left.modern))
            self._eras = [not left.modern] if left.other_era else []
            self._listen = left.listen
        effects = self._session.resume(left, known, crashed=crashed)
        if self._speech is not None:
            self._speech.resume(left.subscribed, left.level, self._session.greeting)
            self._speech.learned(self._session.said)
        return self._spoken(effects)

    def left(self) -> Custody:
        """Return what another worker has to know to go on."""
        return self._with_words(self._session.left())

    def lasting(self) -> Custody:
        """Return the part of it that does not change from message to message."""
        return self._with_words(self._session.lasting())

    def receive(self, envelope: Envelope) -> Effects:
        """Take in what the backend sent, unless it is the reply to a call."""
        raw_id = envelope.get("id")
        if "method" not in envelope:
            tag = frames.text_of(raw_id)
            if self._early is not None and self._early[1].awaits(tag):
                if frames.error_of(envelope):
                    self._early = None
                    return []
                self._use(self._early)
                self._early = None
            if tag and tag == self._listen:
                return self._unheard(envelope)
            if self._speech is not None:
                envelope = self._speech.heard(tag, envelope)
        elif self._speech is not None:
            if raw_id is not None:
                return [
                    Problem("it asks the client by itself, which its era forbids; not passed on")
                ]
            if frames.text_of(envelope["method"]) == ACKNOWLEDGED:
                return []
            envelope = self._speech.heard(None, envelope)
        return self._spoken(self._session.receive(envelope))

    # ---- besides -----------------------------------------------------------------------------

    def silent(self) -> Effects:
        """Nothing was answered for a while. To the first words: try the other era, and listen for
        an answer to either. To the second: it was refused before, and there is no third.
        """
        if self._doubted:
            return [Broken(self._refusal)]
        if not self.probing:
            return []
        self._early = (self._speech, self._session)
        return self._turn()

    def enveloped(self, params: bytes) -> bytes:
        """Return the params of a call with what they do not say of the client."""
        return params if self._speech is None else self._speech.enveloped(params)

    def subscribed(self, method: str, params: bytes) -> Effects:
        """A call of the client's changes a subscription, for which there is no such call."""
        if self._speech is not None:
            self._speech.subscribe(method, params)
            self._listen_due = True
        return self._spoken([])

    def watch(self, tasks: frozenset[str]) -> Effects:
        """Hear of exactly these tasks, where there are any in that era."""
        if self._speech is not None and self._speech.watch(tasks):
            self._listen_due = True
        return self._spoken([])

    def _words(self, *, modern: bool) -> _Words:
        if not modern:
            return None, self._new()
        return ModernSpeech(self.client, numbers=self._numbers, tag=self._generation), self._new()

    def _turn(self) -> Effects:
        self._use(self._words(modern=self._eras.pop(0)))
        return self.start()

    def _use(self, words: _Words) -> None:
        self._speech, self._session = words
        self.modern = self._speech is not None  # a plain member, as every call looks at it

    def _with_words(self, custody: Custody) -> Custody:
        return msgspec.structs.replace(
            custody, modern=self.modern, other_era=bool(self._eras), listen=self._listen
        )

    def _spoken(self, effects: Effects) -> Effects:
        """Return what the session wants in the backend's words."""
        spoken: Effects = []
        for effect in effects:
            match effect:
                case Send(frame) if self._speech is not None:
                    spoken += self._say(self._speech, frame)
                case Listed(lists) if self._speech is not None:
                    spoken.append(Listed(self._speech.learned(lists)))
                    self._listen_due |= not self._listen
                case Broken(reason):
                    spoken += self._broken(reason)
                case _:
                    spoken.append(effect)
        return spoken + self._listen_anew()

    def _say(self, speech: ModernSpeech, frame: bytes) -> Effects:
        before = speech.uris
        spoken = speech.say(frame)
        if isinstance(spoken, Spoken):
            return [Send(spoken.body)]
        if spoken is None:
            return []
        self._listen_due |= speech.uris != before
        return self._spoken(self._session.receive(spoken))

    def _broken(self, reason: str) -> Effects:
        """It has refused something without which it cannot be used; or only the era."""
        if self._session.said.protocol:
            return [Broken(reason)]
        if self._early is not None:  # it has yet to answer that
            self._use(self._early)
            self._early = None
            return []
        if self._eras:
            self._refusal = reason
            return self._turn()
        # What it made of initialize, which most servers know.
        return [Broken(self._refusal if self.modern and self._refusal else reason)]

    def _listen_anew(self) -> Effects:
        """Hear a modern backend by itself, of all that is to be heard by now."""
        if not self._listen_due or self._speech is None or self.phase is not Phase.READY:
            return []
        self._listen_due = False
        before = self._listen
        spoken = self._speech.listen()
        assert isinstance(spoken.tag, str)
        self._listen = spoken.tag
        effects: list[Effect] = [Send(spoken.body)]
        if before:
            params = frames.encode({"requestId": before})
            effects.append(Send(frames.notification("notifications/cancelled", params)))
        return effects

    def _unheard(self, envelope: Envelope) -> Effects:
        """The request by which it is heard has come to its end."""
        self._listen = ""
        error = frames.error_of(envelope)
        if error and error[0] != frames.METHOD_NOT_FOUND:
            return [Problem(f"it cannot be heard: {error[1]} ({error[0]})")]
        return []
