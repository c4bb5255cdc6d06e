"""The inner loop of a NEON tile, which an emulator cannot time: it multiplies by lanes of vectors,
keeps everything in registers, and spends at most 1.5 instructions on one multiplication.
Usage: inner_loops.py OBJDUMP LIBRARY FUNCTION MULTIPLICATIONS"""

import re
import subprocess
import sys

AT_MOST = 1.5
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
TARGET = re.compile(r"\b([0-9a-f]+) <")


def functions(objdump, library):
    """Name and instructions (address, operation, operands) of each."""
    said = subprocess.run([objdump, "-d", "--no-show-raw-insn", library], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = {}
    for line in said.splitlines():
        m = FUNCTION.match(line)
        if m:
            body = found.setdefault(m[1], [])
        m = INSTRUCTION.match(line)
        if m:
            body.append((int(m[1], 16), m[2], m[3]))
    return found


def inner_loops(body):
    """What lies between a jump back and its target, with no other such jump inside."""
    place = {address: i for i, (address, _, _) in enumerate(body)}
    loops = []
    for i, (_, operation, operands) in enumerate(body):
        m = TARGET.search(operands) if operation.startswith(("b.", "cb", "tb")) else None
        if m and place.get(int(m[1], 16), i + 1) <= i:
            loops.append((place[int(m[1], 16)], i))
    return [body[first:last + 1] for first, last in loops
            if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops)]


def main(objdump, library, function, wanted):
    loops = []  # (instructions, accesses to the stack) of each loop with so many multiplications
    for loop in inner_loops(functions(objdump, library)[function]):
        if sum(o == "fmla" and ".s[" in operands for _, o, operands in loop) == int(wanted):
            loops.append((len(loop), sum("[sp" in operands for _, _, operands in loop)))
    if not loops:
        print(f"{function}: no inner loop of {wanted} multiplications by lanes")
        return 1
    instructions, on_stack = min(loops)
    print(f"{function}: {instructions} instructions for {wanted} multiplications by lanes, "
          f"{on_stack} of them on the stack")
    return 0 if not on_stack and instructions <= AT_MOST * int(wanted) else 1


sys.exit(main(*sys.argv[1:]))
