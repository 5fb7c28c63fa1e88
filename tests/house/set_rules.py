"""No `set` is iterated in a core: its order follows the hash seed, and two runs of one seed would differ."""

import ast
from collections.abc import Iterator

from tests.house.sources import Finding, Source

_TYPES = ("set", "frozenset", "Set", "AbstractSet", "MutableSet", "FrozenSet")
_MAKERS = ("set", "frozenset")
_OPERATORS = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
_SET_METHODS = ("union", "intersection", "difference", "symmetric_difference")
# They take what they are given in its order; sorted(), len(), any(), sum() of whole numbers do not care.
_IN_ORDER = ("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "dict", "deque", "next", "fromkeys", "join")


def iterated_sets(source: Source) -> Iterator[Finding]:
    """Loops over what is known to be a set: by its form, or by how its name is annotated or assigned in this file."""
    known = _Names(source)
    for node in source.nodes:
        for iterated in _iterated(node, known):
            if known.is_set(iterated):
                text = (
                    f"{ast.unparse(iterated)} is a set, whose order is not the same in every run; use a dict or sort it"
                )
                yield Finding(source.path, iterated.lineno, text)


def _iterated(node: ast.AST, known: "_Names") -> Iterator[ast.expr]:
    match node:
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated) | ast.YieldFrom(value=iterated):
            yield iterated
        case ast.Starred(value=iterated):
            yield iterated
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=iterated):
            yield iterated
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments) if name in _IN_ORDER:
            yield from arguments
        case ast.Call(func=ast.Attribute(attr="pop", value=popped), args=[]) if known.is_set(popped):
            yield popped


class _Names:
    """Names and attributes of a file that hold sets. One name is one thing: a file that uses it twice can do better."""

    def __init__(self, source: Source) -> None:
        self._names: dict[str, None] = {}
        # Until nothing new is learned: a set may be given on from name to name.
        while self._learned(source):
            pass

    def is_set(self, node: ast.expr) -> bool:
        """Whether this expression is known to be a set."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in self._names
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in (*_MAKERS, *self._names):
                return True
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in (*_SET_METHODS, "copy"):
                return self.is_set(value)
            case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _OPERATORS):
                return any(self.is_set(side) or _is_view(side) for side in (left, right))
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_set(body) or self.is_set(orelse)
            case ast.NamedExpr(value=value):
                return self.is_set(value)
        return False

    def _learned(self, source: Source) -> bool:
        before = len(self._names)
        for node in source.nodes:
            match node:
                case ast.AnnAssign(target=target, annotation=annotation) if _says_set(annotation):
                    self._add(target)
                case ast.arg(arg=name, annotation=annotation) if annotation is not None and _says_set(annotation):
                    self._names[name] = None
                case ast.FunctionDef(name=name, returns=returns) if returns is not None and _says_set(returns):
                    self._names[name] = None
                case ast.Assign(targets=targets, value=value) if self.is_set(value):
                    for assigned in targets:
                        self._add(assigned)
                case ast.NamedExpr(target=target, value=value) if self.is_set(value):
                    self._add(target)
        return len(self._names) > before

    def _add(self, target: ast.expr) -> None:
        match target:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                self._names[name] = None


def _says_set(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _TYPES
        case ast.Subscript(value=value):
            return _says_set(value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _says_set(left) or _says_set(right)
        case ast.Constant(value=str(text)):
            return _says_set(ast.parse(text, mode="eval").body)
    return False


def _is_view(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="keys" | "items"), args=[]):
            return True
    return False
