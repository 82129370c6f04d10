"""Whose a resource is, by its URI: one rule for every message that names one. Pure.

Reading, subscribing, updates, links, embedded resources and completion must never go by another
rule than this, or a client would read of one backend what it subscribed to at another.
"""

from collections.abc import Iterable, Mapping

import msgspec

from relay_worker.uri_templates import Template


class Resources(msgspec.Struct, frozen=True):
    """What the backends list. `listed` has the backend of each URI, `written` that of each template
    by its text, `templates` the same with the most specific one first. `backends` are those that
    have resources at all, and `schemes` has the backends that list something of a scheme.
    """

    listed: dict[str, str]
    written: dict[str, str]
    templates: tuple[tuple[Template, str], ...]
    backends: tuple[str, ...]
    schemes: dict[str, frozenset[str]]

    def owner(self, uri: str, links: Mapping[str, str]) -> str | None:
        """Return the backend to ask for *uri*, which may be the text of a template, as a completion
        has it. *links* has the backends that sent URIs which nobody lists.

        Listed as it is; the most specific template; who sent a link to it; the only one that lists
        something of its scheme; the only one that has resources.
        """
        if owner := self.claimed(uri):
            return owner
        linked = links.get(uri)
        if linked in self.backends:
            return linked
        same_scheme = self.schemes.get(scheme_of(uri), frozenset())
        for candidates in (same_scheme, self.backends):
            if len(candidates) == 1:
                return next(iter(candidates))
        return None

    def claimed(self, uri: str) -> str | None:
        """Return the backend whose lists say that *uri* is its own."""
        if owner := self.listed.get(uri) or self.written.get(uri):
            return owner
        return next((owner for template, owner in self.templates if template.matches(uri)), None)


def build(
    listed: Mapping[str, str],
    templates: Iterable[tuple[str, Template, str]],
    backends: Iterable[str],
) -> Resources:
    """Join what backends list: the owner of each URI; text, template and owner of each template.
    All in configuration order.
    """
    found = list(templates)
    written = {text: owner for text, _, owner in found}
    schemes: dict[str, set[str]] = {}
    for text, owner in (*listed.items(), *written.items()):
        if scheme := scheme_of(text):
            schemes.setdefault(scheme, set()).add(owner)
    # Sorting is stable: of equally specific templates the first configured counts.
    found.sort(key=lambda item: item[1].generality)
    return Resources(
        listed=dict(listed),
        written=written,
        templates=tuple((template, owner) for _, template, owner in found),
        backends=tuple(backends),
        schemes={scheme: frozenset(owners) for scheme, owners in schemes.items()},
    )


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI or of a template, as far as that is written out."""
    scheme, colon, _ = uri.partition(":")
    return scheme.lower() if colon and "{" not in scheme else ""
