"""The words of a report taken together to phrases and lists of leads, each with its role in a negation."""

from collections.abc import Sequence
from typing import NamedTuple

from .report_glossary import Phrase, longest_phrase, negation_stems, negation_trie, phrase_trie
from .report_leads import lead_list

#: Words of these roles between a negation and its finding do not make it uncertain what is negated.
TRANSPARENT = {"function", "evidence", "detection", "bridge", "can", "must", "or"}

#: What is written with a dot at its end.
ABBREVIATIONS = set(
    "dr prof hinw anhaltspkt anh ca bzw evtl ev evt ggf sog sogen resp vgl bds sign inkl approx vs ex bl bzgl bes insbes allg lt "
    "art chron med pat st sp dgl vorh unauff isch path neg ggfs k mgl fragl wahrsch vermutl u o m f v z".split()
)


class Item(NamedTuple):
    """A phrase, a list of leads, a word that no table knows or a punctuation mark, with its role in a negation."""

    text: str
    phrase: Phrase | None = None
    leads: tuple[str, ...] = ()
    role: str = ""

    @property
    def is_finding(self) -> bool:
        return self.phrase is not None and self.phrase.kind == "finding"

    @property
    def is_mark(self) -> bool:
        return not self.text[0].isalnum()

    @property
    def is_unknown(self) -> bool:
        """Whether it is a word that may be what a negation is about."""
        if self.is_mark or self.leads or self.role in TRANSPARENT:
            return False
        return self.phrase is None or self.phrase.kind == "remark"

    @property
    def joins(self) -> str:
        """How it joins findings to a list: "or", "and", "with" or not at all."""
        if self.role == "or" or self.text == "/" or (self.phrase is not None and self.phrase.kind == "or"):
            return "or"
        if self.phrase is not None and self.phrase.kind == "and":
            return "with" if self.text in ("mit", "with", "med") else "and"
        return "and" if self.text in ("&", "+") else ""


def read_items(tokens: Sequence[str]) -> list[Item]:
    """Take the words of a report together to phrases and lists of leads, the longest first."""
    items: list[Item] = []
    phrases, roles = phrase_trie(), negation_trie()
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if not token.isalnum():
            if token != "." or ends_sentence(tokens, position):
                items.append(Item(token))
            position += 1
            continue
        leads, after_leads = lead_list(tokens, position)
        phrase, after_phrase = longest_phrase(phrases, tokens, position)
        role, after_role = None, position
        if token in roles.children:
            role, after_role = longest_phrase(roles, tokens, position, ",")
        if leads and after_leads > max(after_phrase, after_role):
            items.append(Item(token, leads=leads))
        elif role and after_role > after_phrase:
            items.append(Item(token, role=role.kind))
        elif phrase:
            items.append(
                Item(token, phrase, role=role.kind if role and after_role == after_phrase else role_of(phrase))
            )
        else:
            items.append(Item(token, role=role_by_stem(token)))
        position = max(after_leads, after_phrase, after_role, position + 1)
    return items


def role_by_stem(word: str) -> str:
    """The role in a negation of a word that no table has in full."""
    return next((role for stem, role in negation_stems().items() if word.startswith(stem)), "")


def role_of(phrase: Phrase) -> str:
    """The role in a negation that the kind of a phrase says it has."""
    if phrase.target == "cannot be excluded":
        return "exclude" if phrase.kind == "certainty-before" else "to-exclude"
    return {"negation-before": "negator-before", "negation-after": "negation-after"}.get(phrase.kind, "")


def ends_sentence(tokens: Sequence[str], position: int) -> bool:
    """Whether the dot at `position` ends a sentence, and is not that of "Dr.", "z. B." or "I. Grades"."""
    word = tokens[position - 1] if position else ""
    following = tokens[position + 1] if position + 1 < len(tokens) else ""
    if word in ABBREVIATIONS or following.startswith(("grad", "degree")):
        return False
    beyond = tokens[position + 2] if position + 2 < len(tokens) else ""
    is_letter = len(word) == 1 and word.isalpha()
    if is_letter and len(following) == 1 and following.isalpha() and beyond == ".":
        return False
    is_second = is_letter and position >= 3 and tokens[position - 2] == "." and len(tokens[position - 3]) <= 4
    return not is_second


def with_soft_dots(items: list[Item], *, after_qualifiers: bool) -> list[Item]:
    """Take a dot before "or", or with `after_qualifiers` as in "kein ventr. Extrasystolen", for one that may abbreviate."""
    softened = list(items)
    for index in range(1, len(items)):
        if items[index].text != "." or items[index - 1].is_mark:
            continue
        before, is_joined = items[index - 1], index + 1 < len(items) and bool(items[index + 1].joins)
        is_short = before.phrase is None and not before.role and not before.leads and len(before.text) <= 5
        is_qualifier = before.phrase is not None and not before.is_finding and before.phrase.kind != "remark"
        if is_joined or (after_qualifiers and (is_short or is_qualifier)):
            softened[index] = Item("·")
    return softened
