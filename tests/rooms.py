"""A contract for import-linter: which room of the package may import which."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

#: A room may import those that are not higher. What is in none of these is a chapter's method, or kit's ground floor.
HEIGHTS = {"method": 0, "train": 0, "lab": 1, "page": 2}


def place(module: str) -> tuple[str, str]:
    """The package and the room of a module such as "firsthand.hcvi.lab.claims"."""
    parts = module.split(".")
    package = parts[1] if len(parts) > 1 else ""
    return package, parts[2] if len(parts) > 2 and parts[2] in HEIGHTS else "method"


class Rooms(Contract):
    """page imports lab, lab the method, nothing the other way round; another chapter's method only, and kit alike."""

    type_name = "rooms"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        chapters = {m.split(".")[1] for m in graph.modules if m.endswith(".lab")} - {"kit"}
        wrong = []
        for importer in sorted(graph.modules - {"firsthand.kit"}):  # whose public names come from all its rooms
            package, room = place(importer)
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                other, there = place(imported)
                higher = HEIGHTS[there] > HEIGHTS[room] and package in chapters | {"kit"}
                foreign = other in chapters - {package} and there != "method"
                if foreign or (higher and other in (package, "kit")):
                    wrong.append((importer, imported))
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} must not import {imported}")
