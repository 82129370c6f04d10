"""Everything that touches the world: descriptors, processes, sockets. None calls another."""
