"""Where the words of a sentence stand to each other: what they can be about, and which findings are one list."""

import re
from collections.abc import Sequence

from .report_items import TRANSPARENT, Item

#: Findings that no list of negated ones goes on with: "kein Infarkt, Sinusrhythmus".
BASELINE = re.compile(r"^(sinus|normal|otherwise|unremarkable|paced|no )|axis\b|ECG$")
#: Families of findings: after a comma a bare finding of the same family may still be negated.
FAMILIES = (
    re.compile(r"fibrillation|flutter|tachy|brady|premature|arrhythmia|escape|junctional|pacemaker"),
    re.compile(r"infarct|ischemi|hypertrophy|strain|damage|injury|enlargement|aneurysm|pericard|myocard"),
    re.compile(r"^(ST|T|Q|R|P)\b|T-wave|T waves|Q waves"),
    re.compile(r"block|fascicular|PR interval|delay|Wolff|pre-excitation"),
)
#: A wave that can be "negativ": the word is then no answer.
OF_WAVE = re.compile(r"\b(T|P|U|QRS)\b|wave|complex|ECG")
#: Words after "change" that say of what.
OF_CHANGE = set(
    "der des von of in im to the av i paa gegenueber hos bezueglich since seit vs mot jaemfoert gentemot "
    "sedan compared from with zum zur verglichen".split()
)
#: How many unknown words may stand between a negation and the finding that it reaches.
WINDOW = 6

FORWARD = ("negator-before", "doubt")
NEGATORS = ("negator", *FORWARD)
EXCLUSIONS = ("excluded", "excludes", "exclude", "to-exclude")
#: "elsewhere" is a question, advice, a relative or an earlier ECG; "became" tells that one finding gave way to another.
SCOPED = {*NEGATORS, *EXCLUSIONS, *"negation-after absence answer history history-after elsewhere became".split()}
#: Roles that no list of findings reaches across.
BARRIERS = SCOPED | {"detection", "end", "pseudo", "change", "barrier", "cause"}
#: Marks that part a sentence without ending it; "¦" is the end of a line, "·" a dot that may abbreviate.
PART_MARKS = {",", "|", "(", ")", "[", "]", "?", "¦", "·"}
END_MARKS = {".", ";", "!"}


def parts(item: Item) -> bool:
    """Whether an item parts a sentence: a mark, or a "but" that no finding follows."""
    return item.text in PART_MARKS or item.role == "end"


class Stretch:
    """A stretch of a report that no scope of a negation leaves."""

    def __init__(self, items: Sequence[Item], start: int, end: int) -> None:
        self.items, self.start, self.end = items, start, end
        self.answers = [
            index for index in range(start, end) if items[index].role == "answer" and self.is_answer(index)
        ]
        is_answer = set(self.answers).__contains__
        self.findings = [index for index in range(start, end) if items[index].is_finding and not is_answer(index)]
        #: Negators that belong to an exclusion ("nicht ausgeschlossen") or to no finding.
        self.used: set[int] = set()

    def before(self, index: int) -> int | None:
        """The finding that a word at `index` can be about: the last one in its part, or else in the part before."""
        found = [finding for finding in self.findings if finding < index and not self.is_cause(finding)]
        return found[-1] if found else None

    def is_cause(self, finding: int) -> bool:
        """Whether a finding is only named as a cause: "wegen Linksschenkelblock nicht auszuschließen"."""
        near = self.items[max(finding - 3, self.start) : finding]
        causes = [number for number, item in enumerate(near) if item.role == "cause"]
        return bool(causes) and all(not (item.is_mark or item.is_finding) for item in near[causes[-1] :])

    def after(self, index: int) -> int | None:
        """The next finding that a word at `index` reaches: not past an unknown word and then a mark."""
        num_unknown = 0
        for near in range(index + 1, self.end):
            item = self.items[near]
            if item.is_finding and near not in self.answers:
                is_elsewhere = num_unknown and item.phrase is not None and BASELINE.search(item.phrase.target)
                return None if is_elsewhere else near
            if item.role == "cause" and not num_unknown:
                continue
            if item.role in BARRIERS - {"detection", "change", "history"} and near not in self.used:
                return None
            num_unknown += item.is_unknown
            is_parted = item.text in PART_MARKS - {"·"} and num_unknown and not self.bridges(near)
            if is_parted and item.text == ",":
                return self.listed_after(near)
            if is_parted or num_unknown > WINDOW:
                return None
        return None

    def listed_after(self, index: int) -> int | None:
        """The finding after a comma where "or" says that a list goes on: "no (unknown), A or B"."""
        for finding in self.findings:
            if finding > index:
                is_list = "or" in [joint for _, joint in self.list_from(finding, 1)]
                is_near = all(not item.role and not item.is_unknown for item in self.items[index:finding])
                return finding if is_list and is_near else None
        return None

    def is_of_change(self, index: int) -> bool:
        """Whether it is a change that is negated: "keine Zunahme der ST-Hebung" says that there is one."""
        for near in range(index + 1, min(index + 4, self.end)):
            item = self.items[near]
            if item.role == "change":
                following = self.items[near + 1].text if near + 1 < self.end else ""
                ends = following in ("", ",", "¦", ")", "|") and not self.bridges(near)
                return ends or following in OF_CHANGE
            if item.is_finding or item.role in BARRIERS or item.is_mark:
                return False
        return False

    def bridges(self, index: int) -> bool:
        """Whether an example follows: "no changes, e.g. ST elevation"."""
        return any(self.items[near].role == "bridge" for near in range(index + 1, min(index + 3, self.end)))

    def is_answer(self, index: int) -> bool:
        """Whether a word like "negativ" is said of a finding, and is not itself one of a wave: "t negativ"."""
        if not self.items[index].is_finding:
            return True
        before = self.items[self.start : index]
        previous = [item for item in before if item.text not in (":", "|", "-") and item.role not in TRANSPARENT][-1:]
        name = previous[0].phrase.target if previous and previous[0].is_finding and previous[0].phrase else ""
        return bool(name) and not OF_WAVE.search(name) and index + 1 == self.part_end(index)

    def text_of(self, index: int, after: int | None) -> str:
        phrase = self.items[index].phrase
        if phrase is not None and phrase.kind.startswith("negation"):
            return phrase.target
        end = after if after is not None else self.part_end(index)
        has_evidence = any(self.items[near].role == "evidence" for near in range(index + 1, end))
        return "no evidence of" if has_evidence else "no"

    def announces(self, index: int, finding: int) -> bool:
        """Whether a colon stands before a finding, and so a list of all that follows: "nicht nachweisbar: A, B, C"."""
        return any(item.text == ":" for item in self.items[index + 1 : finding])

    def next_text(self, index: int) -> str:
        return self.items[index + 1].text if index + 1 < self.end else ""

    def part_start(self, index: int) -> int:
        while index > self.start and not parts(self.items[index - 1]):
            index -= 1
        return index

    def part_end(self, index: int) -> int:
        while index < self.end and not parts(self.items[index]):
            index += 1
        return index

    def num_unknown(self, first: int, last: int) -> int:
        return sum(self.items[near].is_unknown and not self.items[near].role for near in range(first + 1, last))

    def num_marks(self, first: int, last: int) -> int:
        return sum(self.items[near].text in PART_MARKS for near in range(first + 1, last))

    def list_from(self, first: int, step: int) -> list[tuple[int, str]]:
        """The findings joined to `first` one after the other, each with what joins it: "or", "and", "with", ","."""
        members: list[tuple[int, str]] = []
        previous = first
        for finding in self.findings if step > 0 else reversed(self.findings):
            if (finding - first) * step <= 0:
                continue
            low, high = sorted((previous, finding))
            between = self.items[low + 1 : high]
            joints = [item.joins for item in between if item.joins] or [
                item.text for item in between if item.text == ","
            ]
            phrase = self.items[finding].phrase
            is_parted = any(item.role in BARRIERS or item.text in ("|", ":") for item in between)
            if not joints or is_parted or (phrase is not None and BASELINE.search(phrase.target)):
                break
            members.append((finding, joints[0]))
            previous = finding
        return members

    def closing(self, members: list[tuple[int, str]], step: int) -> int:
        """The number of the last of the `members` that an "and" or "or" makes one list with the first; -1 for none.

        What is read backwards, as in "A, B und C ausgeschlossen", is closed by what stands nearest.
        """
        joints = [joint for _, joint in members]
        if step < 0:
            return len(joints) - 1 if joints and joints[0] in ("or", "and") else -1
        if joints and self.joins_unknown(members[-1][0]):  # "no A, B or (unknown)"
            return len(joints) - 1
        return max((number for number, joint in enumerate(joints) if joint in ("or", "and")), default=-1)

    def joins_unknown(self, finding: int) -> bool:
        """Whether "or" follows a finding, and then a word that no table knows."""
        for item in self.items[finding + 1 : self.end]:
            if item.joins == "or":
                return True
            if item.is_mark or item.is_finding or item.role in BARRIERS or item.joins:
                return False
        return False

    def are_akin(self, first: int, second: int) -> bool:
        """Whether two findings are of one family."""
        names = [phrase.target for phrase in (self.items[first].phrase, self.items[second].phrase) if phrase]
        return any(all(family.search(name) for name in names) for family in FAMILIES)
