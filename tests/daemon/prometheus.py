"""A strict reader of Prometheus' text format (0.0.4), for tests: what it accepts, a scraper does.

    metrics = parse(text)
    metrics["virtualnetd_requests_total"].value(outcome="busy")

Beyond the format it asks for what makes metrics usable: a sentence and a type before the samples of
each family, all of them together, no sample twice, and histograms whose buckets count up to their
_count."""

import math
import re
import socket

HELP = re.compile(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)")
TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)')
NUMBER = re.compile(r"[+-]Inf|NaN|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


class Wrong(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Wrong(text)


class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.type, self.samples = name, help_text, None, {}

    def value(self, suffix="", **labels):
        """Of the only sample that has these labels, maybe with others."""
        wanted = set(labels.items())
        found = [v for (name, pairs), v in self.samples.items()
                 if name == self.name + suffix and wanted <= set(pairs)]
        need(len(found) == 1, f"{len(found)} samples of {self.name}{suffix} with {labels}")
        return found[0]

    def add(self, name, labels, value):
        suffixes = ("_bucket", "_sum", "_count") if self.type == "histogram" else ("",)
        need(name in [self.name + s for s in suffixes], f"{name} is no sample of {self.name}")
        need((name, labels) not in self.samples, f"twice: {name} {labels}")
        need(self.type == "gauge" or value >= 0, f"{name} is {value}")
        self.samples[name, labels] = value

    def check_histogram(self):
        rows = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket"):
                bound = dict(labels)["le"]
                key = tuple(pair for pair in labels if pair[0] != "le")
                rows.setdefault(key, []).append((float(bound.replace("+Inf", "inf")), value))
        for key, row in rows.items():
            need(row == sorted(row) and len({bound for bound, _ in row}) == len(row),
                 f"{self.name} {key}: bounds or counts do not go up")
            need([v for _, v in row] == sorted(v for _, v in row), f"{self.name} {key}: {row}")
            need(row[-1][0] == math.inf, f"{self.name} {key}: no +Inf")
            need(self.value("_count", **dict(key)) == row[-1][1], f"{self.name} {key}: _count")
            need(self.value("_sum", **dict(key)) >= 0, f"{self.name} {key}: _sum")
        counts = [labels for name, labels in self.samples if name.endswith("_count")]
        need(sorted(counts) == sorted(rows), f"{self.name}: buckets, _count and _sum of others")

    def check(self):
        need(self.type, f"{self.name} has no type")
        need(self.samples, f"{self.name} has no sample")
        need(len(self.help) >= 20 and self.help[0].isupper() and self.help.endswith("."),
             f"{self.name}: no sentence: {self.help}")
        need(self.name.endswith("_total") == (self.type == "counter"), f"{self.name}: its name")
        if self.type == "histogram":
            self.check_histogram()


def ask(path, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
    """(status line, body) of the socket's answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(path)
        s.sendall(request)
        data = b""
        while part := s.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if head:
        need(f"Content-Length: {len(body)}".encode() in head, f"{head} {len(body)}")
    return head.split(b"\r\n")[0].decode(), body.decode()


def read_labels(text):
    labels, at = [], 0
    while at < len(text):
        m = LABEL.match(text, at)
        need(m, f"labels: {text}")
        labels.append((m[1], re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), m[2])))
        at = m.end()
    need(len({name for name, _ in labels}) == len(labels), f"a label twice: {text}")
    return tuple(sorted(labels))


def parse(text):
    """{name: Family}; raises Wrong."""
    need(text.endswith("\n"), "the last line has no end")
    families, now = {}, None
    for line in text[:-1].split("\n"):
        if m := HELP.fullmatch(line):
            need(m[1] not in families, f"{m[1]} twice")
            if now:
                now.check()
            now = families[m[1]] = Family(m[1], m[2])
        elif m := TYPE.fullmatch(line):
            need(now and now.name == m[1] and not now.type and not now.samples, line)
            now.type = m[2]
        else:
            m = SAMPLE.fullmatch(line)
            need(m and now and now.type and NUMBER.fullmatch(m[3]), f"no sample: {line}")
            now.add(m[1], read_labels(m[2] or ""), float(m[3].replace("Inf", "inf")))
    need(now, "empty")
    now.check()
    return families
