"""What .editorconfig and the house rules ask of every text file, beyond clang-format: line ends,
trailing blanks, tabs, width of C lines, and words that have no place in the product. Long files and
functions are listed, as information."""

import os
import re

import tree

GENERATED = ("_pb2.py",)
TEXT = (".c", ".h", ".py", ".sh", ".md", ".proto", ".json", ".build", ".txt", ".service", ".socket")
SCRIPTS = ("check", "quickstart", ".ci/run", "cross/aarch64")
LONG_FILE, LONG_FUNCTION = 800, 100
PRODUCT = tuple(layer + os.sep for layer in tree.LAYERS)
MAIN = re.compile(r"^(static )?int main\(", re.M)
FUNCTION = re.compile(r"^[a-z_][^;{}=#]*?(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", re.M | re.S)

# pattern, where, why. Spelled in two parts where the word would otherwise find itself.
WORDS = (
    (r"\b(alloca|strdupa)\s*\(", "c", "takes stack that nobody bounds"),
    (r"\b(exit|quick_exit)\s*\(", "product", "only the file with main() ends the process"),
    (r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "all", "unfinished work has no place in the tree"),
    (r"(?<![\w.])/(ho" r"me|ro" r"ot|Us" r"ers|wo" r"rk)/", "all", "a path of one machine"),
)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def blanks(path, text):
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"
    if text.endswith("\n\n"):
        yield f"{path}: blank lines at the end"
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield f"{path}:{number}: blank at the end of the line, or a carriage return"
        if "\t" in line:
            yield f"{path}:{number}: tab"
        if len(line) > 100 and path.endswith((".c", ".h", ".py", ".proto")):
            yield f"{path}:{number}: {len(line)} columns, at most 100"


def words(path, text):
    is_c = path.endswith((".c", ".h"))
    code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text) if is_c else text
    for pattern, where, why in WORDS:
        if where in ("c", "product") and not is_c:
            continue
        if where == "product" and (not path.startswith(PRODUCT) or MAIN.search(text)):
            continue
        for m in re.finditer(pattern, text if where == "all" else code):
            yield f"{path}:{line_of(text, m.start())}: {m.group().strip()}: {why}"


def sizes(path, text):
    lines = text.count("\n")
    if lines > LONG_FILE:
        print(f"note: {path} has {lines} lines")
    for m in FUNCTION.finditer(text):
        if m.group(2).count("\n") > LONG_FUNCTION:
            print(f"note: {path}: {m.group(1)}() has {m.group(2).count(chr(10))} lines")


def check(root):
    complaints, looked_at = [], 0
    for path in tree.files(root):
        if (not path.endswith(TEXT) and path not in SCRIPTS) or path.endswith(GENERATED):
            continue
        looked_at += 1
        try:
            text = tree.read(root, path)
        except UnicodeDecodeError:
            complaints.append(f"{path}: not UTF-8")
            continue
        complaints += [*blanks(path, text), *words(path, text)]
        if path.endswith(".c"):
            sizes(path, text)
    return complaints, looked_at


if __name__ == "__main__":
    tree.main(check)
