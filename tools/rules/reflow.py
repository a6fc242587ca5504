#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Block comments have one form and filled paragraphs. A comment of several lines has its marks alone
on the first and the last line, and no line of a paragraph is so short that the next word would
still fit into 100 columns.

A paragraph ends at an empty line, at an @tag, at the mark of a list, and at a line that is a
picture or a table: indented, or with two spaces in a row, an arrow or a bar. A tag and an item of
a list may go on in lines that are all indented alike. Comments behind code are left alone.

Usage: reflow.py [--write] [TREE or FILE ...]. Prints one line per violation and exits 1 if there
is any; with --write mends them instead, and changes nothing but white space in comments.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tree  # noqa: E402

SUFFIXES = (".c", ".h", ".S", ".cc", ".hpp")
MAX_COLUMNS = 100
TAB = "\t"
# A comment that stands alone, over more than one line.
BLOCK = re.compile(r"^(?P<indent>[ \t]*)/\*(?P<doc>\*?)(?P<text>(?:(?!\*/).)*?\n(?:(?!\*/).)*)\*/"
                   r"[ \t]*$", re.M | re.S)
TAG = re.compile(r"@param\s+\w+\s+|@\w+\s+|@\w+$")
ITEM = re.compile(r"[-*]\s+|\d+[.)]\s+")
PICTURE = re.compile(r"^\s|\S\s\s+\S|-->|<--|->\s|\s\|\s|^\||\|$|^[-=+|]+$")


def is_marked(word):
    """Whether a line that begins with this word would be read as the begin of something else."""
    return word.startswith(("@", "|")) or word in ("-", "*") or re.fullmatch(r"\d+[.)]", word)


def units(text):
    """The words of a text; one that cannot begin a line stays with the word before it."""
    found = []
    for word in text.split():
        if found and is_marked(word):
            found[-1] += " " + word
        else:
            found.append(word)
    return found


def fill(head, hang, text, room):
    """Lines of at most room columns: the first begins with head, the others with hang."""
    lines = []
    line, is_begun = head, False
    for unit in units(text):
        if is_begun and len(line) + 1 + len(unit) > room:
            lines.append(line)
            line, is_begun = hang, False
        line += (" " if is_begun else "") + unit
        is_begun = True
    return lines + [line]


def hanging(lines, begin, head):
    """The end and the indent of the lines that go on the tag or item at begin."""
    end = begin + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    indents = {len(line) - len(line.lstrip()) for line in lines[begin + 1:end]} or {len(head)}
    return end, indents.pop() if len(indents) == 1 else 0


def goes_on(line):
    return line and not PICTURE.search(line) and not TAG.match(line) and not ITEM.match(line)


def refilled(lines, room):
    """The text lines of a comment with its paragraphs filled."""
    result = []
    at = 0
    while at < len(lines):
        begin = TAG.match(lines[at]) or ITEM.match(lines[at])
        if begin:
            head = begin.group(0)
            end, indent = hanging(lines, at, head)
            parts = [lines[at][len(head):]] + [line.strip() for line in lines[at + 1:end]]
            is_text = indent and parts[0] and not any(PICTURE.search(part) for part in parts)
            result += fill(head, " " * indent, " ".join(parts), room) if is_text else lines[at:end]
        elif goes_on(lines[at]):
            end = at + 1
            while end < len(lines) and goes_on(lines[end]):
                end += 1
            result += fill("", "", " ".join(lines[at:end]), room)
        else:
            end = at + 1
            result.append(lines[at])
        at = end
    return result


def texts(body):
    """What the lines of a comment say, without its marks; None where a line has no star."""
    first, *others = body.rstrip(" \t").split("\n")
    if others[-1] == "":
        others.pop()
    stars = [re.fullmatch(r"\s*\* ?(?P<text>.*?)\s*", line) for line in others]
    if not all(stars):
        return None
    found = [star.group("text") for star in stars]
    if not first.strip():
        return found
    # A comment that begins in the first line may have the others one column further right.
    if all(line.startswith(" ") for line in found if line):
        found = [line[1:] for line in found]
    return [first.strip()] + found


def mended(comment):
    """The comment as it should be; None where that cannot be said."""
    lines = texts(comment.group("text"))
    if lines is None or "\\\n" in comment.group(0):
        return None
    indent, mark = comment.group("indent"), "/*" + comment.group("doc")
    room = MAX_COLUMNS - len(indent.expandtabs(8)) - len(" * ")
    lines = refilled(lines, room)
    if len(lines) == 1 and not comment.group("text").startswith("\n"):
        alone = f"{indent}{mark} {lines[0]} */"
        if len(alone.expandtabs(8)) <= MAX_COLUMNS:
            return alone
    body = [f"{indent} *{'' if line.startswith(TAB) else ' '}{line}".rstrip() for line in lines]
    return "\n".join([indent + mark] + body + [indent + " */"])


def words(text):
    return [word for word in text.split() if word not in ("/*", "/**", "*", "*/")]


def check(text):
    """(line number, problem) of each comment, and the text as it should be."""
    problems = []
    pieces = []
    last = 0
    for comment in BLOCK.finditer(text):
        number = text.count("\n", 0, comment.start()) + 1
        better = mended(comment)
        old = comment.group(0).rstrip(" \t")
        if better is None:
            problems.append((number, "a comment of several lines has a star on each"))
        elif better != old:
            assert words(better) == words(old), f"a word is lost in line {number}"
            before, after = old.split("\n"), better.split("\n")
            number += next((i for i, pair in enumerate(zip(before, after)) if pair[0] != pair[1]),
                           0)
            alone = re.fullmatch(r"\s*/\*\*?", before[0]) and before[-1].strip() == "*/"
            problems.append((number, "the paragraph is not filled from here" if alone else
                             "the marks of a comment of several lines stand alone"))
            pieces += [text[last:comment.start()], better]
            last = comment.end()
    return problems, "".join(pieces + [text[last:]])


def main(names, write):
    problems = []
    for top, path in tree.targets(names, SUFFIXES):
        text = tree.read(top, path)
        found, better = check(text)
        if write and better != text:
            with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                file.write(better)
            found = check(better)[0]
        problems += [f"{path}:{number}: {problem}" for number, problem in found]
    return tree.report(problems)


if __name__ == "__main__":
    arguments = [name for name in sys.argv[1:] if name != "--write"]
    sys.exit(main(arguments, "--write" in sys.argv[1:]))
