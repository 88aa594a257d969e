"""Named SQL: the statements of a package's `sql/queries.sql`, each under the name its comment gives it."""

import re
from functools import cached_property
from importlib.resources import files
from typing import LiteralString

_NAME = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)

# Left in, a per cent sign in one would be taken for a parameter.
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


class Statements:
    """`Statements("services.inventory").lock_stock` is the text that follows `-- name: lock_stock`.

    The file is read on first use. Parameters are written `%(name)s`.
    """

    def __init__(self, package: str, path: str = "sql/queries.sql") -> None:
        self._package = package
        self._path = path

    def __getattr__(self, name: str) -> LiteralString:
        """The statement called `name`; an unknown name is an error that lists the known ones."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._texts[name]
        except KeyError:
            known = ", ".join(sorted(self._texts))
            raise AttributeError(f"{self._package}/{self._path} has no statement {name!r}; it has: {known}") from None

    @cached_property
    def _texts(self) -> dict[str, str]:
        source = files(self._package).joinpath(self._path).read_text(encoding="utf-8")
        names = list(_NAME.finditer(source))
        ends = [name.start() for name in names[1:]] + [len(source)]
        texts = {
            name["name"]: _COMMENT.sub("", source[name.end() : end]).strip().rstrip(";")
            for name, end in zip(names, ends, strict=True)
        }
        if len(texts) < len(names):
            raise ValueError(f"{self._package}/{self._path} gives two statements one name")
        return texts
