"""OAuth for remote backends: the file of tokens, their refreshing, and the login."""
