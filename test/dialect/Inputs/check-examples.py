"""Checks that the ```mlir examples of TableGen descriptions are valid IR.

usage: check-examples.py OPTIMIZER FILE.td...

An example is a fragment: its operands come from nowhere. They are given a
definition whose type is what the parser says they are used as.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

EXAMPLE = re.compile(r"^( *)```mlir\n(.*?)^ *```", re.M | re.S)
UNDECLARED = re.compile(r"use of undeclared SSA value name")
MISTYPED = re.compile(
    r"use of value '(%[\w#]+)' expects different type than prior uses: '(.*?)' vs"
)
ROUNDS = 40


def check(optimizer, fragment):
    """Returns the first error of `fragment`, or None."""
    types = {}
    for _ in range(ROUNDS):
        definitions = [
            f'{name} = "example.value"() : () -> {type}' for name, type in types.items()
        ]
        text = "\n".join(definitions + [fragment])
        run = subprocess.run(
            [optimizer, "--allow-unregistered-dialect", "--verify-roundtrip", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode == 0:
            return None
        mistyped = MISTYPED.search(run.stderr)
        if mistyped:
            types[mistyped[1]] = mistyped[2]
            continue
        if not UNDECLARED.search(run.stderr):
            return run.stderr
        for name in undeclared(run.stderr, text):
            types[name] = "none"
    return f"gave up after {ROUNDS} rounds"


def undeclared(errors, text):
    """The names that `errors` says are undeclared."""
    lines = text.splitlines()
    for line, column in re.findall(
        r"<stdin>:(\d+):(\d+): error: use of undeclared SSA value name", errors
    ):
        yield re.match(r"%[\w#]+", lines[int(line) - 1][int(column) - 1 :])[0]


def examples(files):
    """The file, line and text of each example."""
    for file in files:
        text = pathlib.Path(file).read_text(encoding="utf-8")
        for match in EXAMPLE.finditer(text):
            yield file, text.count("\n", 0, match.start()) + 1, match[2]


def main():
    optimizer, *files = sys.argv[1:]
    found = list(examples(files))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda example: check(optimizer, example[2]), found))
    for (file, line, _), error in zip(found, errors):
        if error:
            print(f"{file}:{line}: this example is not valid IR\n{error}")
    failures = sum(error is not None for error in errors)
    print(f"{len(found)} examples, {failures} invalid")
    return 1 if failures or not found else 0


if __name__ == "__main__":
    sys.exit(main())
