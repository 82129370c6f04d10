"""The kinds of backends, behind one interface (`base`). None of them knows the router."""
