"""The protobuf wire format, as much as writing an ONNX file needs: each function gives the bytes of
one field."""


def varint(n):
    n &= (1 << 64) - 1  # negative numbers are their 64-bit two's complement
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def chunk(field, value):
    """Text, bytes or an embedded message."""
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def numbers(field, values):
    """A packed repeated field."""
    return chunk(field, b"".join(varint(n) for n in values))
