"""`relayctl backend login`: who we are, for a remote server that wants to know. Needs no relay.

Running relays see the new tokens by themselves. No token is ever printed.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import click

from relay_supervisor.ctl.surroundings import settings
from relay_supervisor.ctl.words import clean
from relay_worker.config.expand import ExpandedSpec, ExpansionError, expand
from relay_worker.config.load import load_located
from relay_worker.config.locate import locate
from relay_worker.config.model import REMOTE_KINDS
from relay_worker.oauth.files import tokens_path


@click.command()
@click.argument("name")
@click.option("--config", type=click.Path(), help="The configuration, as for mcp-relay --config.")
@click.option("--client-id", help="A client registered with the authorization server before.")
@click.option(
    "--client-secret-env", metavar="VARIABLE", help="The variable that has this client's secret."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port for the way back.")
@click.option(
    "--client-metadata-url",
    metavar="URL",
    help="Where this client is described (https), for authorization servers that look there.",
)
@click.option("--scope", help="Scopes to ask for besides those the server names.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
def login(
    *,
    name: str,
    config: str | None,
    client_id: str | None,
    client_secret_env: str | None,
    client_metadata_url: str | None,
    port: int,
    scope: str | None,
    no_browser: bool,
) -> None:
    """Log in at the remote server of the backend NAME, with OAuth.

    Opens a browser; the tokens are kept in a file of the state directory that only you can read,
    and refreshed by the relay. Relays that are running go on with them at once.

    \b
    Exit codes: 0 logged in
                1 there was no login
                2 the command line is wrong
    """
    import asyncio  # noqa: PLC0415 - slow to import

    from relay_worker.oauth.callback import LoginFailed  # noqa: PLC0415 - the same
    from relay_worker.oauth.login import Wishes, log_in  # noqa: PLC0415 - the same

    expanded = _remote(name, config)
    assert expanded.url is not None
    secret = os.environ.get(client_secret_env) if client_secret_env else None
    if client_secret_env and not secret:
        raise click.ClickException(f"the variable {client_secret_env} is not set")
    wishes = Wishes(client_id, secret, client_metadata_url, port, scope)
    path = tokens_path(Path(settings(config).state_dir), name, expanded.url)

    def show(address: str) -> None:
        click.echo(f"Log in here: {clean(address)}")
        if not no_browser:
            click.launch(address)

    try:
        asyncio.run(log_in(expanded.kind, expanded.url, expanded.headers, path, wishes, show))
    except LoginFailed as error:
        reason = _without(str(error), [*expanded.secrets, *filter(None, [secret])])
        raise click.ClickException(f"no login at {name}: {clean(reason)}") from error
    except OSError as error:
        raise click.ClickException(f"the tokens cannot be kept: {error}") from error
    click.echo(f"Logged in at {clean(name)}; running relays take it up by themselves.")


def _without(text: str, secrets: Iterable[str]) -> str:
    """Return *text*, which may quote a server, without these."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _remote(name: str, config: str | None) -> ExpandedSpec:
    """Return the backend *name*.

    Raises:
        click.ClickException: there is no such remote backend that can be used.
    """
    location = locate(config, os.environ)
    loaded = load_located(location, os.environ)
    spec = loaded.config.backends.get(name)
    if spec is None:
        why = [str(problem) for problem in loaded.problems if problem.backend == name]
        text = f"no valid backend {name} in {location.path}"
        raise click.ClickException(clean("; ".join([text, *why])))
    if spec.kind not in REMOTE_KINDS:
        raise click.ClickException(f"{clean(name)} has no url: there is nothing to log in to")
    try:
        expanded = expand(spec, os.environ, loaded.directory)
    except ExpansionError as error:
        raise click.ClickException(f"{clean(name)}: {clean(str(error))}") from error
    if expanded.introduces_itself:
        text = "its headers have Authorization already, or its url a user; remove that to log in"
        raise click.ClickException(f"{clean(name)}: {text}")
    return expanded
