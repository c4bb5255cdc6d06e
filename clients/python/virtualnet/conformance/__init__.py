"""Plays every message of the protocol, good and bad, against a running daemon, and says which
clause of docs/protocol.md is not kept:

    python3 -m virtualnet.conformance --socket /run/virtualnet/virtualnet.sock

Who writes a client in another language reads the frames with --trace, byte by byte, beside what
they say."""
