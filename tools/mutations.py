"""The small changes that `mutants.py` makes to a source file, one at a time.

Legend: a mutant is the file with one change. Positions are offsets in the bytes of the file, as
Python's parser counts columns in bytes.

Left alone: annotations, decorators, docstrings and other strings, and the arguments of `raise`, for
the wording of a message is no promise.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
# Functions whose names alone tell that another one takes the same arguments.
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "amin": "amax",
    "argmin": "argmax",
    "any": "all",
    "ceil": "floor",
    "zeros": "ones",
    "zeros_like": "ones_like",
}
SWAPPED = NAMES | {other: name for name, other in NAMES.items()}


@dataclass(frozen=True)
class Mutation:
    """One change of a file: the bytes from `start` to `end` become `text`."""

    kind: str
    line: int
    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        """The changed source."""
        data = source.encode()
        return (data[: self.start] + self.text.encode() + data[self.end :]).decode()


def mutations(source: str) -> list[Mutation]:
    """All changes of a source that give a valid and different program, in the order of the file."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    before = ast.dump(tree)
    found = []
    for node in _mutable(tree):
        for kind, text in _changes(node):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            mutation = Mutation(kind, node.lineno, start, end, text)
            if _is_another_program(mutation.apply(source), before):
                found.append(mutation)
    return sorted(found, key=lambda each: (each.start, each.end, each.text))


def _is_another_program(changed: str, before: str) -> bool:
    try:
        compile(changed, "mutant", "exec")
        return ast.dump(ast.parse(changed)) != before
    except (SyntaxError, ValueError):
        return False


def _mutable(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """The nodes below one that may be changed, from the top."""
    if isinstance(node, ast.JoinedStr):
        return  # positions inside of it are wrong before Python 3.12
    if isinstance(node, ast.expr | ast.stmt) and not isinstance(node, ast.FormattedValue):
        yield node
    if isinstance(node, ast.Raise) or (isinstance(node, ast.If) and _is_for_types(node)):
        return
    skipped: set[str] = {"annotation", "returns", "decorator_list"}
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _mutable(child)


def _is_for_types(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    """The kind and the new text of each change of one node."""
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            yield "arithmetic", f"({_unparse(node, op=ARITHMETIC[type(op)]())})"
        case ast.AugAssign(op=op):
            yield "removed", "pass"
            if type(op) in ARITHMETIC:
                yield "arithmetic", _unparse(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield "boolean", f"({_unparse(node, op=other)})"
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield "unary", f"({ast.unparse(node.operand)})"
        case ast.Constant():
            yield from _constant(node)
        case ast.Slice():
            yield from _slice(node)
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield "return", "return None"
        case ast.Break():
            yield "loop", "continue"
        case ast.Continue():
            yield "loop", "break"
        case ast.Raise() | ast.Expr(value=ast.Call() | ast.Await()):
            yield "removed", "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "removed", "pass"
        case ast.Name(id=name) if name in SWAPPED:
            yield "function", SWAPPED[name]
        case ast.Attribute(attr=name) if name in SWAPPED:
            yield "function", _unparse(node, attr=SWAPPED[name])


def _unparse(node: ast.AST, **changed: object) -> str:
    """The text of a node with other attributes."""
    other = copy.copy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return ast.unparse(other)


def _compare(node: ast.Compare) -> Iterator[tuple[str, str]]:
    for place, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
            yield "comparison", f"({_unparse(node, ops=ops)})"


def _constant(node: ast.Constant) -> Iterator[tuple[str, str]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", str(not value)
    elif isinstance(value, int):
        yield "constant", str(value + 1)
        if value > 0:
            yield "constant", str(value - 1)
    elif isinstance(value, float):
        yield "constant", repr(value * 2 if value else 1.0)


def _slice(node: ast.Slice) -> Iterator[tuple[str, str]]:
    for bound in ("lower", "upper"):
        if getattr(node, bound) is not None:
            yield "slice", _unparse(node, **{bound: None})
