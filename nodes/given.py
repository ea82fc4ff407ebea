"""What a node is given against its own schema.

The host checks the numbers, texts and choices that are typed into a node. Those that come over a link it hands on unseen, NaN
passes its range checks, and a link to an input that the node does not have arrives all the same.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from comfy_api.latest import io

from ..sfsr_model.naming import listed

Result = TypeVar("Result")

_KINDS: tuple[tuple[type[io.Input], type, str], ...] = (
    (io.Boolean.Input, bool, "true or false"),
    (io.Int.Input, Integral, "a whole number"),
    (io.Float.Input, Real, "a number"),
    (io.String.Input, str, "text"),
)
_SHOWN_CHOICES = 8
_LONGEST_SHOWN = 60


def checked(execute: Callable[..., Result]) -> Callable[..., Result]:
    """A node's `execute` that is only entered with inputs of the node's schema, its widgets' values as that says.

    Otherwise it raises TypeError for an input that the node does not have or a value of another kind, and ValueError for a
    number out of range and an unknown choice; both name the input. What comes over sockets, and choices that `validate_inputs`
    reads, are the node's own to check.
    """
    parameters = inspect.signature(execute).parameters

    @functools.wraps(execute)
    def check(cls: type[io.ComfyNode], *values: Any, **named: Any) -> Result:
        given = dict(zip(list(parameters)[1:], values, strict=False)) | named
        schema = cls.define_schema()
        inputs = {one.id: one for one in schema.inputs}
        for name in given.keys() - inputs.keys():
            raise TypeError(
                f"{name}: {schema.display_name} has no such input, so the workflow was made for another version of this pack; "
                "take the link to it away, or put the node in anew"
            )
        read_by_node = inspect.signature(cls.validate_inputs).parameters
        for name, value in given.items():
            left_out = value is None and name in parameters and parameters[name].default is None
            if not left_out and not (name in read_by_node and isinstance(inputs[name], io.Combo.Input)):
                require_widget_value(inputs[name], value)
        return execute(cls, **given)

    return check


def of_turns(ask: Callable[..., Result]) -> Callable[[Callable[..., io.NodeOutput]], Callable[..., io.NodeOutput]]:
    """The `execute` of a node that asks the host for lists: it gets a list of what `ask` makes of each turn's inputs.

    A turn is what the host would have a node do once that does not ask for lists; where one list is shorter than another, its
    last value stays. `ask` stands for `execute` otherwise, its signature included, and is entered as `checked` says. Raises
    ValueError naming a list that is empty.
    """
    asked = checked(ask)

    def decorate(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
        @functools.wraps(ask)
        def run(cls: type[io.ComfyNode], **given: Sequence[Any]) -> io.NodeOutput:
            for name, values in given.items():
                if not values:
                    raise ValueError(f"{name}: the list that comes over it is empty; check the node before this one")
            last = {name: len(values) - 1 for name, values in given.items()}
            turns = [
                {name: values[min(number, last[name])] for name, values in given.items()}
                for number in range(max(last.values()) + 1)
            ]
            return execute(cls, [asked(cls, **turn) for turn in turns])

        return run

    return decorate


def require_widget_value(widget: io.Input, value: Any) -> None:
    """Raises TypeError or ValueError, naming the input, for what cannot be the value of a widget; sockets take anything."""
    if isinstance(widget, io.Combo.Input):
        if not isinstance(value, str) or value not in widget.options:
            raise ValueError(_fault(widget, value, f"one of {listed(widget.options, _SHOWN_CHOICES)}"))
        return
    for kind, expected, words in _KINDS:
        if not isinstance(widget, kind):
            continue
        low, high = getattr(widget, "min", None), getattr(widget, "max", None)
        bounded = low is not None and high is not None
        wanted = f"{words} from {low} to {high}" if bounded else words
        if not isinstance(value, expected):
            raise TypeError(_fault(widget, value, wanted))
        if bounded and not low <= value <= high:  # NaN is in no range
            raise ValueError(_fault(widget, value, wanted))
        return


def _fault(widget: io.Input, value: Any, expected: str) -> str:
    plain = isinstance(value, (str, bool, Integral, Real))
    found = repr(value)[:_LONGEST_SHOWN] if plain else f"a {type(value).__name__}"
    return f"{widget.id}: found {found}, expected {expected}; choose such a value, or connect what gives one"
