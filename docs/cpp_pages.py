"""A public C++ header as a page: what its comments say, and the declarations without their bodies.

Reads headers as clang-format lays them out here, not C++: `///` stands above what it is about, a member is indented by
two, and a declaration that has no comment and no blank line above it belongs to the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

EXPORTED = re.compile(r'(?:__attribute__\(\(\w+\("\w+"\)\)\)|\b[A-Z_]+_API\b)\s*')
TYPE = re.compile(r"(?:template <[^>]*>\s*)?(class|struct|enum class) (\w+)")
NAMED = re.compile(r"(operator\W+|~?\w+)(?:\(|\[\]| =|;)")
UNSAID = re.compile(r"= (?:delete|default);$|^~")  # what a reader need not be told


class Declaration(NamedTuple):
    """A comment, and the lines it is about."""

    comment: list[str]
    lines: list[str]
    joined: bool  # has no comment of its own, and follows the one before without a blank line

    @property
    def code(self) -> str:
        return EXPORTED.sub("", "\n".join(self.lines))


def declarations(lines: list[str]) -> Iterator[Declaration]:
    """What stands at the outermost level of `lines`, which are not indented."""
    comment: list[str] = []
    current: list[str] = []
    depth, blank = 0, True
    for line in lines:
        if not current and not line.strip():
            comment, blank = [], True
        elif not current and line.startswith("//"):
            comment.append(line.lstrip("/").removeprefix(" "))
        elif not current and line.startswith(("#", "namespace ", "}")):
            comment, blank = [], True
        elif not current and line in ("public:", "private:", "protected:"):
            if line != "public:":
                return
        else:
            current.append(line)
            code = re.sub(r'"(?:\\.|[^"\\])*"|//.*', "", line)
            depth += sum(code.count(each) for each in "({") - sum(code.count(each) for each in ")}")
            ends = code.rstrip().endswith((";", "}")) and depth == 0
            if ends:
                yield Declaration(comment, current, not comment and not blank)
                comment, current, blank = [], [], False
    if current:
        raise ValueError(f"a declaration without an end: {current[0]}")


def without_body(code: str) -> str:
    """A function's declaration, without its body and its list of initializers."""
    depth = 0
    for position, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character == "{":
            head = re.split(r"(?<=\))\s*:\s", code[:position])[0]
            return head.rstrip() + ";"
    return code


def prose(comment: list[str]) -> str:
    """A comment as Markdown: indented lines become a block of C++, and `<` outside code is itself."""
    out: list[str] = []
    in_code = False
    for line in [*comment, ""]:
        is_code = line.startswith("    ") or (in_code and not line)
        if is_code != in_code:
            out.append("```cpp" if is_code else "```")
            in_code = is_code
        if is_code:
            out.append(line.removeprefix("    "))
        else:
            out.append("`".join(p.replace("<", "&lt;") if i % 2 == 0 else p for i, p in enumerate(line.split("`"))))
    if in_code:
        out.append("```")
    return "\n".join(out).strip()


def name_of(code: str) -> str:
    plain = re.sub(r"//.*", "", code)
    if found := TYPE.match(plain):
        return found[2]
    found = NAMED.search(plain)
    if found is None:
        raise ValueError(f"no name in: {code}")
    return found[1] + ("()" if found[0].endswith("(") else "")


def body_of(code: str) -> list[str]:
    """The lines between a type's braces, not indented."""
    inside = code[code.index("{") + 1 : code.rindex("}")].splitlines()
    return [re.sub(r"^ {1,2}", "", line) for line in inside]


def type_page(declaration: Declaration) -> list[str]:
    """A type: its comment, its public part, and what its members' comments say."""
    code = declaration.code
    found = TYPE.match(code)
    assert found is not None
    out = [f"## {found[2]}", prose(declaration.comment)]
    members = list(declarations(body_of(code))) if found[1] != "enum class" else []
    if not any(member.comment for member in members):
        return [*out, f"```cpp\n{code}\n```"]
    shown = [without_body(member.code) for member in members if not UNSAID.search(member.code)]
    head = code[: code.index("{")].rstrip()
    public = ["public:"] if found[1] == "class" else []
    lines = ["  " + line for member in shown for line in member.splitlines()]
    out.append("```cpp\n" + "\n".join([head + " {", *(f" {each}" for each in public), *lines, "};"]) + "\n```")
    for member in members:
        if member.comment:
            out += [f"### {name_of(member.code)}", f"```cpp\n{without_body(member.code)}\n```"]
            out.append(prose(member.comment))
    return out


def header_page(include: str, text: str) -> str:
    """The page of one header; empty if it declares nothing.

    Args:
        include: How users include it, `torchtrt_ws/engines.h`.
        text: The header.
    """
    parts: list[str] = []
    groups: list[list[Declaration]] = []
    for declaration in declarations(text.splitlines()):
        if declaration.joined and groups and not TYPE.match(declaration.code):
            groups[-1].append(declaration)
        elif not re.fullmatch(r"(?:class|struct) \w+;", declaration.code):
            groups.append([declaration])
    for first, *others in groups:
        if TYPE.match(first.code):
            parts += type_page(first)
            first, others = (others[0], others[1:]) if others else (None, [])
        if first is not None:
            code = "\n".join(without_body(each.code) for each in (first, *others))
            parts += [f"## {name_of(first.code)}", f"```cpp\n{code}\n```", prose(first.comment)]
    if not parts:
        return ""
    return "\n\n".join([f"# {include}", f"```cpp\n#include <{include}>\n```", *filter(None, parts)]) + "\n"
