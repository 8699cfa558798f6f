"""From a recipe file to a `Recipe`: read → extends → delete → macros → templates → decode."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arrowload.models.decoder import Decoder
from arrowload.models.files import default_root, display_name, read_file
from arrowload.models.inheritance import Assembly
from arrowload.models.limits import located
from arrowload.models.macros import MacroExpander
from arrowload.models.origins import LocatedDict, LocatedList, Origin, recipe_error
from arrowload.models.rendering import COMMAND_LINE, Renderer
from arrowload.models.resolved import ResolvedRecipe, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arrowload.models.recipe import Recipe


class RecipeLoader:
    """Loads recipes; every complaint is a RecipeError that reads `file:line:column  $.path: what is wrong; hint`.

    Args:
        root: The folder that `extends` and `include` may not leave, symlinks resolved. Without one it is the working
            directory when the recipe lies below it, else the recipe's own folder.
        env: What `{{ env.* }}` sees, the environment of the process when None.
    """

    def __init__(self, root: str | Path | None = None, *, env: Mapping[str, str] | None = None) -> None:
        self._root = Path(root).resolve() if root is not None else None
        self._env = env

    def load(self, path: str | Path, cli_vars: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe in a YAML or JSON file.

        Args:
            path: The file; JSON when its name ends in `.json`.
            cli_vars: Variables that win over the recipe's own `vars:`. Text stays text, except where a field that
                holds nothing but a template wants a number or a boolean.

        Raises:
            RecipeError: The recipe cannot be used as written.
            MissingExtraError: A connector needs a package that is not installed.
        """
        document, root = self._document(Path(path), cli_vars)
        return Decoder(document, root).decode()

    def load_mapping(self, mapping: Mapping[str, Any], cli_vars: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe in a mapping; its relative paths start from the working directory, its origins say `<mapping>`.

        Raises:
            RecipeError: As `load`.
        """
        document = self._from_mapping(mapping, cli_vars)
        return Decoder(document, str(Path.cwd())).decode()

    def resolve(
        self, path: str | Path | Mapping[str, Any], cli_vars: Mapping[str, Any] | None = None
    ) -> ResolvedRecipe:
        """The recipe merged and rendered, with the place of each value, secrets masked; its values are not checked.

        Raises:
            RecipeError: It cannot be put together, or a `type` in it is unknown.
        """
        if isinstance(path, str | Path):
            return resolve(*self._document(Path(path), cli_vars))
        return resolve(self._from_mapping(path, cli_vars), str(Path.cwd()))

    def _document(self, path: Path, cli_vars: Mapping[str, Any] | None) -> tuple[LocatedDict, str]:
        try:
            folder = path.parent.resolve()
            file = folder / path.name
            root = self._root or default_root(file)
            inside = self._root is None or file.resolve().is_relative_to(root)
        except (OSError, RuntimeError, ValueError) as exc:
            raise recipe_error("cannot be found", Origin(display_name(path)), hint="check the path") from exc
        if not inside:
            hint = f"keep it below `{display_name(root)}`"
            raise recipe_error("lies outside of the recipe root", Origin(display_name(file)), hint=hint)
        leaf = read_file(file)
        return self._fill_in(Assembly(root).assemble(leaf, folder, file), cli_vars), str(folder)

    def _from_mapping(self, mapping: Mapping[str, Any], cli_vars: Mapping[str, Any] | None) -> LocatedDict:
        leaf = located(mapping, Origin("<mapping>"))
        folder = Path.cwd().resolve()
        return self._fill_in(Assembly(self._root or folder).assemble(leaf, folder), cli_vars)

    def _fill_in(self, document: LocatedDict, cli_vars: Mapping[str, Any] | None) -> LocatedDict:
        macros_at = document.values_at.get("macros", document.origin)
        expander = MacroExpander(document.get("macros") or LocatedDict(macros_at), macros_at)
        if "macros" in document:
            document.drop("macros")
        transform = document.get("transform")
        if isinstance(transform, LocatedDict) and isinstance(transform.get("steps"), LocatedList):
            steps = expander.expand(transform["steps"])
            transform.put("steps", steps, transform.keys_at["steps"], transform.values_at["steps"])
        variables = located(cli_vars or {}, COMMAND_LINE)
        return Renderer(os.environ if self._env is None else self._env, variables).render(document)
