"""Expressions of a sweep file: constraints and derived values over the names of axes and configuration paths.

A language of its own: numbers, text, names, arithmetic, comparisons, `and`/`or`/`not`, `a if c else b`, and the
functions below. Python's parser reads it, and nothing of Python is ever called on it.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.contracts.results import Scalar
from simulator.core.errors import ConfigError
from simulator.core.nodes import Where
from simulator.core.spelling import did_you_mean

MAX_LENGTH = 1000
"""The longest expression, in characters."""

Value = Scalar | None
Environment = Mapping[str, Any]
_Step = Callable[[Environment], Any]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, several: one in several,
    ast.NotIn: lambda one, several: one not in several,
}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language: how many arguments it takes, whether they must be numbers, and what it gives."""

    least: int
    most: int
    of_numbers: bool
    compute: Callable[..., Any]


FUNCTIONS = {
    "min": Function(1, 99, True, lambda *values: min(values)),
    "max": Function(1, 99, True, lambda *values: max(values)),
    "abs": Function(1, 1, True, abs),
    "floor": Function(1, 1, True, math.floor),
    "ceil": Function(1, 1, True, math.ceil),
    "round": Function(1, 1, True, round),
    "sqrt": Function(1, 1, True, math.sqrt),
    "log2": Function(1, 1, True, math.log2),
    "text": Function(1, 99, False, lambda *values: "".join(str(value) for value in values)),
}


class ExpressionFault(Exception):
    """An expression has no value for a point: the cause in words."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text, the place that wrote it, and the names that it asks for."""

    text: str
    where: Where
    names: tuple[str, ...]
    _evaluate: _Step

    def value(self, environment: Environment) -> Value:
        """Its value; `environment` has one for each of `names`. Raises ConfigError where it has none, as for 1 / 0."""
        try:
            result: Value = self._evaluate(environment)
        except (ExpressionFault, ArithmeticError, ValueError) as error:
            given = ", ".join(f"{name} = {environment[name]!r}" for name in self.names)
            raise ConfigError(
                f"`{self.text}` has no value{f' where {given}' if given else ''}: {error}",
                where=self.where,
                remedy="correct the expression, or the values that it is asked for",
            ) from None
        return result

    def holds(self, environment: Environment) -> bool:
        """Its value as a condition."""
        return bool(self.value(environment))


def parse_expression(text: str, where: Where) -> Expression:
    """Read an expression. Raises ConfigError, with the column, for whatever is not of the language."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(
            f"an expression of {len(text)} characters", where=where, remedy=f"write at most {MAX_LENGTH} characters"
        )
    reader = _Reader(text, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on Python
            step = reader.step(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        cause = error.msg if isinstance(error, SyntaxError) else "cannot be read"
        raise ConfigError(
            f"`{text}` is no expression: {cause}", where=where, remedy="write one such as: workload.context >= 1024"
        ) from None
    return Expression(text, where, tuple(dict.fromkeys(reader.names)), step)


class _Reader:
    """Turns a syntax tree into steps, refusing every node that the language does not have."""

    def __init__(self, text: str, where: Where) -> None:
        self.text, self.where = text, where
        self.names: list[str] = []

    def step(self, node: ast.expr) -> _Step:
        """The step of a node."""
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None:
            raise self.refused(node, "arithmetic, comparisons, and/or/not and " + ", ".join(FUNCTIONS))
        step: _Step = read(node)
        return step

    def refused(self, node: ast.expr, allowed: str) -> ConfigError:
        """What to say of a node that the language does not have."""
        written = ast.get_source_segment(self.text.strip(), node) or self.text
        return ConfigError(
            f"`{written}` in `{self.text}` is not of the language of constraints",
            where=self.where,
            remedy=f"use {allowed}",
        )

    def _constant(self, node: ast.Constant) -> _Step:
        value = node.value
        if not isinstance(value, (bool, int, float, str)):
            raise self.refused(node, "numbers and text")
        return lambda _: value

    def _name(self, node: ast.Name) -> _Step:
        if node.id in _WORDS:
            word = _WORDS[node.id]
            return lambda _: word
        return self._path(node.id)

    def _attribute(self, node: ast.Attribute) -> _Step:
        keys: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            keys.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self.refused(node, "paths such as workload.context")
        return self._path(".".join([inner.id, *reversed(keys)]))

    def _path(self, name: str) -> _Step:
        self.names.append(name)
        return operator.itemgetter(name)

    def _binop(self, node: ast.BinOp) -> _Step:
        compute = _ARITHMETIC.get(type(node.op))
        if compute is None:
            raise self.refused(node, "+ - * / // %")
        left, right = self.step(node.left), self.step(node.right)
        return lambda given: compute(_number(left(given)), _number(right(given)))

    def _unaryop(self, node: ast.UnaryOp) -> _Step:
        operand = self.step(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda given: not operand(given)
        if isinstance(node.op, ast.USub):
            return lambda given: -_number(operand(given))
        if isinstance(node.op, ast.UAdd):
            return lambda given: _number(operand(given))
        raise self.refused(node, "not, + and -")

    def _boolop(self, node: ast.BoolOp) -> _Step:
        steps = [self.step(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return lambda given: all(step(given) for step in steps)
        return lambda given: any(step(given) for step in steps)

    def _ifexp(self, node: ast.IfExp) -> _Step:
        condition, then, otherwise = self.step(node.test), self.step(node.body), self.step(node.orelse)
        return lambda given: then(given) if condition(given) else otherwise(given)

    def _compare(self, node: ast.Compare) -> _Step:
        first = self.step(node.left)
        links: list[tuple[Callable[[Any, Any], bool], bool, _Step]] = []
        for sign, right in zip(node.ops, node.comparators, strict=True):
            compare = _COMPARISONS.get(type(sign))
            if compare is None:
                raise self.refused(node, "== != < <= > >= in, not in")
            if isinstance(sign, (ast.In, ast.NotIn)):
                links.append((compare, False, self._several(right)))
            else:
                links.append((compare, isinstance(sign, _ORDERED), self.step(right)))

        def chain(given: Environment) -> bool:
            left = first(given)
            for compare, ordered, step in links:
                right = step(given)
                if ordered:
                    _same_kind(left, right)
                if not compare(left, right):
                    return False
                left = right
            return True

        return chain

    def _several(self, node: ast.expr) -> _Step:
        if not isinstance(node, (ast.List, ast.Tuple)):
            raise self.refused(node, "a list after `in`, such as [1, 2]")
        steps = [self.step(item) for item in node.elts]
        return lambda given: [step(given) for step in steps]

    def _call(self, node: ast.Call) -> _Step:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = FUNCTIONS.get(name)
        if function is None or node.keywords:
            raise ConfigError(
                f"`{name or ast.unparse(node.func)}(...)` in `{self.text}` is no function of the language",
                where=self.where,
                remedy=did_you_mean(name, FUNCTIONS, noun="the functions"),
            )
        if not function.least <= len(node.args) <= function.most:
            raise self.refused(node, f"{name} with {function.least} argument{'s' if function.most > 1 else ''}")
        steps, compute, convert = [self.step(argument) for argument in node.args], function.compute, _plain
        if function.of_numbers:
            convert = _number
        return lambda given: compute(*(convert(step(given)) for step in steps))


def _plain(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExpressionFault(f"{value!r} is not a number")
    if isinstance(value, int) and value.bit_length() > 4096:
        raise ExpressionFault("a number grows beyond any use")
    return value


def _same_kind(left: Any, right: Any) -> None:
    if not isinstance(left, str) or not isinstance(right, str):
        _number(left)
        _number(right)
