"""The fields of a JSON object, each read as its type or refused."""

import dataclasses
import json
import math
from collections.abc import Sequence

from kerasrnn.foundation.phrases import counted
from kerasrnn_serving.gateway.errors import invalid

# Of a stranger's words, as much as is told back.
_SHOWN = 80


def parse_json(body: bytes) -> dict:
    """Returns the body's JSON object.

    Raises:
        ApiError: It is none.
    """
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise invalid("The body's JSON is nested too deeply.") from None
    except ValueError as error:
        raise invalid(f"The body is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise invalid(
            'The body must be a JSON object, as in {"prompt": "ROMEO:"}.'
        )
    return fields


def _refuse_constant(name):
    raise ValueError(f"{name} is not a number of JSON")


@dataclasses.dataclass(frozen=True)
class Fields:
    """An object's fields; one that is null is left out.

    Each method raises an `ApiError` that names the field where its value is
    of another type or out of range.

    Attributes:
        fields: By name, as `parse_json` returns them.
    """

    fields: dict

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Returns a whole number."""
        value = self.fields.get(name)
        if value is None:
            return default
        # 1.0 is 1 in JSON; true is a number in Python.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(f"{name} must be a whole number.", name)
        if not low <= value <= high:
            raise invalid(f"{name} must be {low} to {high}.", name)
        return value

    def number(
        self, name: str, default: float, low: float, high: float
    ) -> float:
        """Returns a number."""
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(f"{name} must be a number.", name)
        if not low <= value <= high or math.isnan(value):
            raise invalid(f"{name} must be {low:g} to {high:g}.", name)
        return float(value)

    def boolean(self, name: str) -> bool:
        """Returns true or false; false where it is left out."""
        value = self.fields.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(f"{name} must be true or false.", name)
        return value

    def text(self, name: str) -> str | None:
        """Returns a text, or None."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(f"{name} must be text.", name)
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """Returns a text or a list of them; one that is empty by default.

        Args:
            name: Of the field.
            most: Texts that it may have. Of more none is looked at: a body has
                room for very many.
        """
        value = self.fields.get(name)
        if value is None:
            value = ""
        values = value if isinstance(value, list) else [value]
        if not values:
            raise invalid(f"{name} must not be an empty list.", name)
        if len(values) > most:
            raise invalid(
                f"{name} may have up to {counted(most, 'text')}; received "
                f"{len(values)}.",
                name,
            )
        for text in values:
            if not isinstance(text, str):
                raise invalid(
                    f"{name} must be text or a list of texts. A character "
                    "model has no token ids.",
                    name,
                )
            try:
                text.encode()
            except UnicodeEncodeError:
                raise invalid(
                    f"{name} holds half of a surrogate pair, which is no "
                    "character.",
                    name,
                ) from None
        return values

    def object(self, name: str, known: Sequence[str]) -> "Fields":
        """Returns an object that has none but the known fields."""
        value = self.fields.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise invalid(f"{name} must be an object.", name)
        Fields(value).check_names(known, name)
        return Fields(value)

    def check_names(self, known: Sequence[str], where: str = "") -> None:
        """Refuses a field that is none of the known ones."""
        for name in self.fields:
            if name in known:
                continue
            shown = name[:_SHOWN]
            raise invalid(
                f"There is no parameter {shown!r}"
                f"{' in ' + where if where else ''}. The parameters are "
                f"{', '.join(sorted(known))}.",
                where or shown,
            )
