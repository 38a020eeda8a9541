"""Pickles from elsewhere, read by an interpreter of their opcodes that never imports or calls what they name.

Plain containers, texts and numbers are made as they are. A name of a class or function is looked up in a table that the
caller gives; any other becomes a `Name`, and calling it an `Inert` that keeps the arguments, so that settings pickled
beside weights can be looked at without the program that wrote them. Opcodes: Python's `pickletools`; those of protocol
2, which torch.save writes, and the common ones of 3 and 4.
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from pickle import decode_long
from typing import Any

MOST_OPCODES = 1_000_000  # a hundred times what the weights of a large model take
MOST_KEY_ITEMS = 64  # of a tuple as a key: hashing nested tuples could take very long


class PickleError(ValueError):
    """A pickle is cut off, damaged, or has what no pickle of weights has."""


class Name:
    """A class or function that a pickle names and that is not in the table. Nothing is imported for it."""

    def __init__(self, name: str):
        self.name = name


class Inert:
    """What a pickle makes by calling a `Name`. `args` is what it was called with, `state` what was set on it."""

    def __init__(self, name: str, args: tuple[Any, ...] = ()):
        self.name, self.args = name, args
        self.state: Any = None


class Cursor:
    """A position in bytes. What is cut off raises PickleError."""

    def __init__(self, data: Any, at: int = 0):
        """`data` is bytes or an mmap."""
        self.data, self.at = data, at

    def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises PickleError where fewer are left."""
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise PickleError(f"it ends after {len(self.data)} bytes, where {end} are expected")
        found = self.data[self.at : end]
        self.at = end
        return bytes(found)

    def line(self) -> str:
        """The next line of UTF-8, without its end, of at most 4,096 bytes. Raises PickleError without one."""
        end = self.data.find(b"\n", self.at, self.at + 4096)
        if end < 0:
            raise PickleError("a name in it has no end")
        found = bytes(self.data[self.at : end])
        self.at = end + 1
        return found.decode("utf-8")

    def number(self, form: str) -> Any:
        """The next number, in a format of `struct`. Raises PickleError at the end."""
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]


Known = Mapping[str, Any]  # values for names, by module and name in Python 3
Persistent = Callable[[Any], Any]


def read_pickle(cursor: Cursor, known: Known, persistent: Persistent) -> Any:
    """The object of the pickle that begins at the cursor, which then stands behind it.

    Args:
        cursor: where to read.
        known: the value for each name. Callable values are called.
        persistent: gives the object of a persistent id; torch's are storages.

    Raises:
        PickleError: the pickle is damaged, or has an opcode that is not known, or too many.
    """
    return _Machine(cursor, known, persistent).run()


class _Machine:
    def __init__(self, cursor: Cursor, known: Known, persistent: Persistent):
        self.cursor, self.known, self.persistent = cursor, known, persistent
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MOST_OPCODES):
            opcode = self.cursor.read(1)
            if opcode == b".":
                return self.stack.pop()
            action = ACTIONS.get(opcode)
            if action is None:
                raise PickleError(f"opcode {opcode!r} is in no pickle that torch.save wrote")
            try:
                action(self)
            except (LookupError, TypeError, AttributeError, UnicodeError) as error:
                raise PickleError(f"opcode {opcode!r} does not fit: {error}") from error
        raise PickleError(f"it has more than {MOST_OPCODES:,} opcodes")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.marked.pop()
        return found

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def tuple_of(self, count: int) -> None:
        if count > len(self.stack):
            raise PickleError("a tuple lacks items")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def named(self, module: str, name: str) -> None:
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        module = IMPORT_MAPPING.get(module, module)
        full = f"{module}.{name}"
        self.push(self.known[full] if full in self.known else Name(full))

    def call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(args, tuple):
            raise PickleError(f"a call's arguments are a {type(args).__name__}")
        if isinstance(function, Name):
            self.push(Inert(function.name, args))
        elif callable(function):
            self.push(function(*args))
        else:
            self.push(Inert(str(function), args))

    def build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return  # of a class that is not imported, such as a subclass of dict
        if type(target) is not dict or len(pairs) % 2:
            raise PickleError(f"items are set on a {type(target).__name__}")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[checked_key(key)] = value

    def append(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], Inert):
            return
        if type(self.stack[-1]) is not list:
            raise PickleError(f"items are appended to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def add(self, items: list[Any]) -> None:
        self.stack[-1].update(map(checked_key, items))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise PickleError("a name in it is no text")
        self.named(module, name)

    def text(self, form: str) -> None:
        self.push(self.cursor.read(self.cursor.number(form)).decode("utf-8", "surrogatepass"))

    def raw(self, form: str) -> None:
        self.push(self.cursor.read(self.cursor.number(form)))

    def raw_text(self, form: str) -> None:  # a str of Python 2, where torch.save wrote one
        self.push(self.cursor.read(self.cursor.number(form)).decode("latin1"))


def checked_key(key: Any) -> Any:
    """The key itself, if hashing it is quick. Raises PickleError for nested or long tuples, and what has no hash."""
    if isinstance(key, tuple):
        if len(key) > MOST_KEY_ITEMS or any(isinstance(item, tuple) for item in key):
            raise PickleError(f"a key is a nested or long tuple, of {len(key)} items")
        for item in key:
            checked_key(item)
        return key
    if key is None or isinstance(key, str | bytes | int | float | complex | Inert | Name) or key in HASHABLE:
        return key
    raise PickleError(f"a key is a {type(key).__name__}")


HASHABLE: set[Any] = set()  # other values of the caller's table, such as dtypes

ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda m: m.cursor.read(1),  # PROTO
    b"\x95": lambda m: m.cursor.read(8),  # FRAME
    b"(": _Machine.mark,
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"\x8f": lambda m: m.push(set()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.cursor.number("<i")),
    b"K": lambda m: m.push(m.cursor.number("<B")),
    b"M": lambda m: m.push(m.cursor.number("<H")),
    b"G": lambda m: m.push(m.cursor.number(">d")),
    b"\x8a": lambda m: m.push(decode_long(m.cursor.read(m.cursor.number("<B")))),
    b"X": lambda m: m.text("<I"),
    b"\x8c": lambda m: m.text("<B"),
    b"B": lambda m: m.raw("<I"),
    b"C": lambda m: m.raw("<B"),
    b"U": lambda m: m.raw_text("<B"),
    b"T": lambda m: m.raw_text("<I"),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"h": lambda m: m.push(m.memo[m.cursor.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.cursor.number("<I")]),
    b"q": lambda m: m.put(m.cursor.number("<B")),
    b"r": lambda m: m.put(m.cursor.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"c": lambda m: m.named(m.cursor.line(), m.cursor.line()),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.call,
    b"\x81": _Machine.call,  # NEWOBJ: the class is called like a function
    b"b": _Machine.build,
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m.since_mark()),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"\x90": lambda m: m.add(m.since_mark()),
    b"Q": lambda m: m.push(m.persistent(m.stack.pop())),
}
