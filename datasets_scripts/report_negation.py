"""The scope of negation, exclusion and history in a report: what each finding is said to be.

The scheme is that of NegEx (Chapman et al., 2001) and ConText (Harkema et al., 2009): words that negate what follows
or what went before, words that look like it and do not, and words that end the scope. Unlike there, a scope holds one
finding and the list it begins, since reports in telegram style name the next finding without a comma.
"""

from collections.abc import Iterator, Sequence

from .report_items import Item, with_soft_dots
from .report_readings import LEFT_OUT, PAST, POSSIBLE, UNCERTAIN, Reading
from .report_stretch import END_MARKS, EXCLUSIONS, FORWARD, NEGATORS, SCOPED, Stretch

#: Longer texts without a full stop are cut, lest the time to read them grow with their square.
LONGEST_STRETCH = 100
#: Negations of one noun: "A, B and C" after them may begin with another finding.
SIMPLE = set("kein keiner keinen keinem ein no not nicht ingen inget inga inte ej icke".split())

#: Adjectives that are findings by themselves ("normal", a normal ECG; "negativ", a T wave), and what joins them to another noun.
ADJECTIVES = {"normal", "normalt", "negativ"}
COPULAS = {"is", "are", "was", "were", "ist", "sind", "aer", "var"}
#: Names of the recording: it is the ECG that is normal.
WHOLE = set("ecg ekg tracing recording it this everything kurva allt alles kurve ableitung".split())


def read_negation(items: list[Item], *, dots_abbreviate: bool) -> dict[int, Reading]:
    """What the findings among `items`, by index, are said to be; findings that are plainly asserted are not in it.

    With `dots_abbreviate` a dot after a qualifier may be one that abbreviates it, as in German reports.
    """
    readings = {index: POSSIBLE for index, item in enumerate(items) if item.text == "?"}
    readings = {index - 1: POSSIBLE for index in readings if index and items[index - 1].is_finding}
    adjectives = [index for index, item in enumerate(items) if index > 1 and item.text in ADJECTIVES]
    readings |= {index: LEFT_OUT for index in adjectives if is_of_other_noun(items, index)}
    if not any(item.role in SCOPED or item.text == "nor" for item in items):
        return readings
    items = with_soft_dots(items, after_qualifiers=dots_abbreviate)
    for start, end in sentences(items):
        Sentence(items, start, end).read(readings)
    return readings


def sentences(items: Sequence[Item]) -> Iterator[tuple[int, int]]:
    """Yield start and end of the stretches that no scope leaves: sentences, and their halves around "but"."""
    start = 0
    for index, item in enumerate(items):
        is_turn = item.role == "end" and finds_more(items, index)
        is_too_long = index - start >= LONGEST_STRETCH
        if item.text in END_MARKS or is_turn or is_too_long or is_contrast(items, start, index):
            yield start, index
            start = index + 1
    yield start, len(items)


def finds_more(items: Sequence[Item], index: int) -> bool:
    """Whether a finding follows in the sentence: what does not, as in "but not found", is of the one before."""
    for item in items[index + 1 : index + LONGEST_STRETCH]:
        if item.is_finding or item.text in END_MARKS:
            return item.is_finding
    return False


def is_contrast(items: Sequence[Item], start: int, index: int) -> bool:
    """Whether Swedish "utan" is "but": "inte förmaksflimmer utan sinusrytm"."""
    if items[index].text != "utan":
        return False
    negators = [number for number in range(start, index) if items[number].role == "negator"]
    return bool(negators) and any(item.is_finding for item in items[negators[-1] : index])


def is_of_other_noun(items: Sequence[Item], index: int) -> bool:
    """Whether "is normal" or "ist negativ" is said of a wave or a word that no table knows, not of the ECG or a T wave."""
    if not items[index].is_finding or items[index - 1].text not in COPULAS:
        return False
    noun = items[index - 2]
    if noun.is_finding and noun.phrase:
        return noun.phrase.target in ("P waves", "Q waves", "QRS complexes")
    return noun.phrase is None and not noun.role and noun.text.isalpha() and noun.text not in WHOLE


def is_doubt(item: Item) -> bool:
    return item.phrase is not None and item.phrase.target == UNCERTAIN.certainty


class Sentence(Stretch):
    """One stretch of a report with the scopes that its words open."""

    def __init__(self, items: Sequence[Item], start: int, end: int) -> None:
        super().__init__(items, start, end)
        self.readings: dict[int, Reading] = {}

    def read(self, readings: dict[int, Reading]) -> None:
        """Add what the sentence says of its findings to `readings`."""
        self.readings = readings
        by_role = [(index, self.items[index].role) for index in range(self.start, self.end)]
        for index, role in by_role:
            if role in EXCLUSIONS:
                self.read_exclusion(index, role)
            elif role == "absence":
                self.used.update(self.negated_absence(index))
            elif role == "became":
                self.read_became(index)
        for index, role in by_role:
            if index in self.used and role == "absence":
                continue
            if (role in NEGATORS or self.opens_with_nor(index)) and index not in self.used:
                self.read_negator(index)
            elif role in ("absence", "negation-after"):
                self.read_absence(index)
            elif index in self.answers:
                self.read_answer(index)
            elif role == "history" and not self.ends_part(index):
                self.say_list(self.after(index), PAST, opener=index)
            elif role.startswith("history"):
                self.say_around(index, PAST, prefers_after=False)
            elif role == "elsewhere":
                self.say_list(self.after(index), LEFT_OUT, opener=index)
            elif role == "likewise":
                self.read_likewise(index)

    def negated_absence(self, index: int) -> set[int]:
        """A word of absence and the negation next to it, which say that the finding is there: "fehlt nicht"."""
        near = range(max(index - 2, self.part_start(index)), min(index + 2, self.part_end(index)))
        negators = {number for number in near if self.items[number].role == "negator"} - self.used
        if any(self.items[between].is_finding for number in negators for between in range(number, index)):
            return set()
        return {index, *negators} if negators else set()

    def read_became(self, index: int) -> None:
        """ "X converted to Y" and "X ist in Y übergegangen" negate X, unless that is negated itself."""
        part = range(self.part_start(index), self.part_end(index))
        before = [finding for finding in self.findings if finding in part and finding < index]
        has_after = any(finding in part and finding > index for finding in self.findings)
        subject = before[-1:] if has_after else before[-2:-1]
        first = subject[0] if subject else part.start
        negators = [near for near in part if near >= first and self.items[near].role in NEGATORS]
        self.used.update(negators)
        for finding in self.findings:
            if finding in part and (finding in subject) != bool(negators):
                self.say(finding, LEFT_OUT if negators else Reading(negation="no"))

    def read_likewise(self, index: int) -> None:
        """ "X fehlen, ebenso Y" says of Y what it says of X."""
        start, after = self.part_start(index), self.after(index)
        if start != index or start == self.start or after is None or after in self.readings:
            return
        part = range(self.part_start(start - 1), start)
        said = [self.readings[finding] for finding in self.findings if finding in part and finding in self.readings]
        if said or any(self.items[near].role in ("absence", *NEGATORS) for near in part):
            self.say_list(after, said[-1] if said else LEFT_OUT, opener=index)

    def read_exclusion(self, index: int, role: str) -> None:
        """ "X ausgeschlossen" negates, "X nicht ausgeschlossen" and "X auszuschließen" leave it open."""
        part = range(self.part_start(index), self.part_end(index))
        negators = [near for near in part if self.items[near].role in NEGATORS and near not in self.used]
        negators = [near for near in negators if self.negates_exclusion(near, index)]
        is_doubted = any(is_doubt(self.items[near]) for near in part[: index - part.start])
        words = {self.items[near].role for near in part[: index - part.start]}
        self.used.update(negators[-1:])
        phrase = self.items[index].phrase
        if phrase is not None and phrase.target != UNCERTAIN.certainty and not negators:
            return  # "exclude hypokalaemia" is a qualifier that says possible.
        is_open = (
            bool(negators or phrase or is_doubted)
            or (role in ("exclude", "to-exclude") and "can" not in words)
            or "must" in words
        )
        reading = UNCERTAIN if is_open else Reading(negation="no")
        prefers_after = role in ("excludes", "exclude") or self.items[index].text.startswith(
            ("ausschluss", "exclusion")
        )
        self.say_around(index, reading, prefers_after=prefers_after)

    def opens_with_nor(self, index: int) -> bool:
        """Whether "nor" is the first negation of its sentence, and does not go on with a list."""
        return self.items[index].text == "nor" and not any(
            item.role in NEGATORS for item in self.items[self.start : index]
        )

    def negates_exclusion(self, negator: int, index: int) -> bool:
        between = range(min(negator, index) + 1, max(negator, index))
        if negator > index and self.items[index].role == "excludes":  # "schließt X nicht aus"
            return True
        if negator > index:
            return len(between) <= 2 and not any(self.items[near].is_finding for near in between)
        is_flexible = self.items[negator].role == "negator"
        return is_flexible or not any(self.items[near].is_finding for near in between)

    def read_negator(self, index: int) -> None:
        """A negation reaches the finding after it, or the one before it where that is all there is."""
        if self.is_of_change(index) or self.next_text(index) == "/":
            return
        if self.leads_denied(index):
            return
        before, after = self.before(index), self.after(index)
        is_near = before is not None and before >= self.part_start(index)
        rest = range(index + 1, self.part_end(index))
        is_fixed = self.items[index].role in FORWARD
        has_detection = any(
            self.items[near].role == "detection" for near in (range(index + 1, after) if after is not None else rest)
        )
        text = self.text_of(index, after)
        if before is not None and (self.ends_part(index) or (is_near and not is_fixed and has_detection)):
            self.say_list(before, self.negation(text, before, index), step=-1)
        elif after is not None:
            unknown = self.num_unknown(index, after)
            if before is not None and is_near and unknown and not is_fixed:
                self.say(before, LEFT_OUT)
            is_unclear = unknown or self.items[index].role == "doubt"  # "o." is "ohne" or "oder"
            self.say_list(after, LEFT_OUT if is_unclear else Reading(negation=text), opener=index)
        elif before is not None and self.says_of_what_went_before(index, before, rest):
            self.say_list(before, self.negation(text, before, index), step=-1)

    def leads_denied(self, index: int) -> bool:
        """Whether it is only leads that are negated, as in "ST-Hebung in II, keine in V1": those are left out."""
        part = range(self.part_start(index), self.part_end(index))
        leads = [near for near in part if self.items[near].leads]
        others = [near for near in part if near != index and near not in leads and self.items[near].text != "in"]
        if not leads or others or self.before(index) is None:
            return False
        for near in leads:
            self.say(near, LEFT_OUT)
        return True

    def ends_part(self, index: int) -> bool:
        """Whether a negation is the last word on the finding before it, as in "X: no, Y: yes" and "X - no, Y"."""
        start, end = self.part_start(index), self.part_end(index)
        is_line = end < self.end and self.items[end].text in ("¦", "·") and self.items[index - 1].text != ":"
        is_last = all(self.items[near].role == "evidence" for near in range(index + 1, end)) and not is_line
        is_answer = start == index and start > self.start and self.items[start - 1].text in ("|", "?")
        return is_last and (is_answer or any(start <= finding < index for finding in self.findings))

    def says_of_what_went_before(self, index: int, before: int, rest: range) -> bool:
        """Whether a negation with no finding after it is one of the finding before it."""
        has_unknown = any(self.items[near].is_unknown for near in rest)
        roles = {self.items[near].role for near in rest}
        if len(rest) and self.items[index].role in FORWARD and roles.isdisjoint({"evidence", "detection"}):
            return False
        if before >= self.part_start(index):
            return not has_unknown or self.items[index].role == "negator" or "detection" in roles
        begins_part = all(not self.items[near].is_unknown for near in range(self.part_start(index), index))
        is_bare = len(rest) == 0 and self.items[self.part_start(index) - 1].text == ","
        return begins_part and not has_unknown and not (is_bare and self.items[index].role == "negator")

    def read_absence(self, index: int) -> None:
        item, before = self.items[index], self.before(index)
        if item.role == "absence" and item.phrase and before is not None and before >= self.part_start(index):
            return  # "X, unlikely": a qualifier that says so.
        text = item.phrase.target if item.role == "negation-after" and item.phrase else "no"
        self.say_around(index, Reading(negation=text), prefers_after=False)

    def read_answer(self, index: int) -> None:
        """ "X: nein" negates X."""
        if self.items[index].is_finding:
            self.say(index, LEFT_OUT)
        before, after = self.before(index), self.after(index)
        if self.next_text(index) == ":" and after is not None:
            self.say_list(after, Reading(negation="no"), opener=index)
        elif before is not None:
            self.say_list(before, Reading(negation="no"), step=-1)

    def say_around(self, index: int, reading: Reading, *, prefers_after: bool) -> None:
        """Say `reading` of the finding before or after `index`, whichever its place in the sentence makes it."""
        before, after = self.before(index), self.after(index)
        has_before = before is not None and before >= self.part_start(index)
        has_after = after is not None and after < self.part_end(index)
        names_list = self.next_text(index) == ":"
        if after is not None and (names_list or (has_after and (prefers_after or not has_before))):
            self.say_list(after, self.doubtful(reading, index, after), opener=index)
        elif before is not None and (has_before or not prefers_after):
            self.say_list(before, reading, step=-1)
        elif after is not None and self.num_marks(index, after) == 0:
            self.say_list(after, reading, opener=index)

    def doubtful(self, reading: Reading, index: int, after: int) -> Reading:
        return LEFT_OUT if reading.negation and self.num_unknown(index, after) else reading

    def negation(self, text: str, first: int, last: int) -> Reading:
        return LEFT_OUT if self.num_unknown(first, last) else Reading(negation=text)

    def say(self, finding: int, reading: Reading) -> None:
        self.readings[finding] = self.readings.get(finding, Reading()).merged(reading)

    def say_list(self, first: int | None, reading: Reading, *, step: int = 1, opener: int | None = None) -> None:
        """Say `reading` of the finding `first` and of the list that it begins, or with `step` -1 ends."""
        if first is None:
            return
        self.say(first, reading)
        members = self.list_from(first, step)
        takes_all = opener is not None and self.announces(opener, first)
        closes = -1 if reading.is_past else self.closing(members, step)
        is_sure = step < 0 or self.opens_long_list(opener) or any(joint == "or" for _, joint in members)
        previous = first
        for number, (finding, joint) in enumerate(members):
            is_torn = self.num_unknown(*sorted((finding, previous))) or not (is_sure or joint in ("and", "or"))
            previous = finding
            if reading.is_past and not takes_all and not self.are_akin(first, finding):
                break
            if takes_all or number <= closes or joint in ("and", "or"):
                self.say(finding, LEFT_OUT if is_torn and not reading.is_past else reading)
            elif not reading.is_past and (joint == "with" or self.may_continue(first, finding, reading)):
                self.say(finding, LEFT_OUT)
            else:
                break

    def opens_long_list(self, opener: int | None) -> bool:
        """Whether "A, B and C" after it is surely one list: "ohne A, B und C", "no signs of A, B and C"."""
        if opener is None:
            return False
        near = self.items[opener : opener + 4]
        return near[0].text not in SIMPLE or any(item.role == "evidence" for item in near)

    def may_continue(self, first: int, finding: int, reading: Reading) -> bool:
        """Whether a finding after a comma may still be negated: it is bare, and of the family of the first."""
        is_bare = all(item.is_mark or item.is_finding for item in self.items[finding - 1 : finding + 2])
        may_be_listed = self.are_akin(first, finding) or "evidence" in reading.negation
        return bool(reading.negation or reading.is_left_out) and is_bare and may_be_listed
