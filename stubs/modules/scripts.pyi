from typing import Any

AlwaysVisible: object

class Script:
    infotext_fields: list[tuple[Any, Any]] | None
