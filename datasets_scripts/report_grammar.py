"""How the phrases of a report become statements: one finding each, with its qualifiers in English order."""

import itertools
import re
from dataclasses import dataclass, field, replace

from modeling_etp.ecg_files_etp import STANDARD_LEADS

from .report_glossary import Phrase
from .report_leads import format_leads
from .report_readings import ASSERTED, UNCERTAIN, WITH_AGE, Reading

#: Degrees of certainty that stand before the finding, and how they read before "normal ECG".
ADJECTIVES = {"possible": "possibly", "probable": "probably", "definite": "definitely"}
#: Cart headings that only announce the infarctions printed below them.
HEADING = "abnormal QRS-T complex"
ANNOUNCED = {"myocardial infarction", "myocardial damage", "pericardial damage"}
#: Leads said by reference: those of the statement before, or those of the regions just read ("anterior and lateral").
THESE_LEADS = "these leads"
REGIONAL_LEADS = "regional leads"
#: A region is part of the name of these ("inferior infarction"); of a wave it says where ("in inferior leads").
OF_MUSCLE = re.compile("myocardial|pericardi|aneurysm|subendocardial|hypertrophy")
#: "minor nonspecific", never the other way round.
LAST_EXTENTS = ("nonspecific", "nondiagnostic")
#: Findings of the whole recording: leads named after them belong to something the tables do not know.
OF_RECORDING = re.compile(
    r"rhythm|axis|sinus|ECG|fibrillation|flutter|cardia$|arrhythmia|premature|escape|geminy|enlargement|fascicular"
    r"|bundle branch|AV block|disease|effect|kalemia|heart|voltage criteria|pacemaker|type [AB]$"
)


@dataclass(frozen=True)
class Statement:
    """One finding with its qualifiers; `alternatives` are joined to it by "or", `groups` are leads by name."""

    finding: str
    negation: str = ""
    certainty: str = ""
    extents: tuple[str, ...] = ()
    age: str = ""
    regions: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    note: str = ""
    alternatives: "tuple[Statement, ...]" = ()

    @property
    def is_placed(self) -> bool:
        return bool(self.leads or self.groups)

    def noun_phrase(self) -> str:
        """The finding with extent, age and region, in that order."""
        age = self.age if WITH_AGE.search(self.finding) else ""
        before, after = ("", age) if age.startswith("of ") else (age, "")
        *first, last = self.regions or ("",)
        region = f"{', '.join(first)} and {last}" if first else last
        extents = sorted(self.extents, key=LAST_EXTENTS.__contains__)
        return " ".join(filter(None, [*extents, before, region, self.finding, after]))

    def sentences(self) -> list[str]:
        """One sentence for the limb leads, one for the chest leads and one for each named group.

        Lists of leads vary without end, their halves do not: so more of what is equal reads equal.
        """
        if self.regions and OF_RECORDING.search(self.finding):
            return replace(self, regions=()).sentences()
        if self.regions and not OF_MUSCLE.search(self.finding):
            groups = tuple(f"{region} leads" for region in self.regions if f"{region} leads" not in self.groups)
            return replace(self, regions=(), groups=groups + self.groups).sentences()
        halves = [[lead for lead in self.leads if lead.startswith("V") == is_chest] for is_chest in (False, True)]
        places = [*(format_leads(half) for half in halves if half), *self.groups]
        return [self.sentence(place) for place in places or [""]]

    def sentence(self, place: str) -> str:
        """The statement in English, in `place` ("leads V4-V6", "limb leads", "" for nowhere in particular)."""
        text = " or ".join([self.noun_phrase(), *(other.noun_phrase() for other in self.alternatives)])
        if self.certainty in ADJECTIVES and not self.negation:
            is_normal = text.startswith(("normal", "otherwise normal"))
            text = f"{ADJECTIVES[self.certainty] if is_normal else self.certainty} {text}"
        if self.negation:
            text = f"{self.negation} {text}"
        if place:
            text = f"{text} throughout" if place == "all leads" else f"{text} in {place}"
        if self.certainty == "cannot be excluded":
            text = f"{text} cannot be excluded"
        return f"{text}, {self.note}" if self.note else text

    def qualified(self, phrase: Phrase) -> "Statement":
        """The statement with the qualifier `phrase` added."""
        role, target = phrase.kind.rpartition("-")[0] or phrase.kind, phrase.target
        if role == "certainty":
            return replace(self, certainty=target)
        if role == "extent":
            return replace(self, extents=with_item(self.extents, target))
        if role == "age":
            certainty, _, age = target.partition(" ")
            if certainty in ADJECTIVES:
                return replace(self, certainty=certainty, age=age)
            return replace(self, age=target)
        if role == "region":
            return replace(self, regions=with_item(self.regions, target))
        if role == "leads":
            return replace(self, groups=with_item(self.groups, target))
        return replace(self, note=target)


def with_item(items: tuple[str, ...], item: str) -> tuple[str, ...]:
    """Append `item` unless it is there."""
    return items if item in items else (*items, item)


@dataclass
class Assembler:
    """Joins the phrases of one report, given in order, to statements."""

    #: Whether region and extent follow their noun unless inflected, as in German: "infarkt inferior".
    postposes: bool
    statements: list[Statement] = field(default_factory=list)
    #: Qualifiers read since the last finding, waiting for the next one.
    pending: Statement = Statement("")
    #: "and" or "or" if that was read since the last finding or lead list.
    joined_by: str = ""
    #: Certainty said before the last finding: it holds for those that continue its list.
    certainty_before: str = ""
    #: Index of the first of the findings that "and" joins to the last one.
    first_joined: int = 0
    #: Number of statements when the sentence began.
    sentence_start: int = 0
    #: Kind of the last phrase but fillers.
    previous_kind: str = ""
    #: Whether a word that is left out stands between the last finding and what comes.
    is_detached: bool = True

    def end_cut_off(self) -> None:
        """Drop a last finding whose "cannot be excluded" may have been cut off with the end of the report."""
        last = self.statements[-1] if self.statements else None
        is_open = self.previous_kind == "finding" or self.previous_kind.startswith("region")
        if last and is_open and not last.certainty and WITH_AGE.search(last.finding):
            self.statements.pop()

    def end_sentence(self) -> None:
        """Forget qualifiers whose noun did not come."""
        self.pending, self.joined_by, self.previous_kind = Statement(""), "", ""
        self.sentence_start = len(self.statements)

    def detach(self) -> None:
        """Keep what qualifies a word that is left out away from the findings before and after it."""
        self.is_detached, self.pending, self.joined_by = True, Statement(""), ""

    def add(self, phrase: Phrase, reading: Reading = ASSERTED) -> None:
        """Take the next phrase of the report; of a finding the report says `reading`."""
        if phrase.kind in ("age", "extent", "region"):
            phrase = replace(phrase, kind=f"{phrase.kind}-{'after' if self.postposes_here(phrase) else 'before'}")
        if phrase.kind == "finding":
            for finding in phrase.target.split(" | "):
                self.add_finding(finding, reading)
        elif phrase.kind in ("and", "or"):
            # "old posterior or recent septal infarction" joins qualifiers of one noun, not two findings.
            self.joined_by = self.joined_by if self.pending.regions else phrase.kind
        elif phrase.kind == "remark":
            self.detach()
        elif phrase.kind.startswith("negation") or phrase.target == UNCERTAIN.certainty:
            pass  # The readings of the findings hold what it says.
        elif phrase.kind == "leads":
            self.add_places(phrase)
        elif phrase.kind.endswith("-before"):
            self.pending = self.pending.qualified(phrase)
        elif phrase.kind.endswith("-after") and not self.is_detached:
            self.add_after(phrase)
        if phrase.kind != "filler":
            self.previous_kind = phrase.kind

    def postposes_here(self, phrase: Phrase) -> bool:
        """Whether a qualifier that may stand on either side of its noun belongs to the last finding."""
        if self.is_detached or not self.postposes:
            return False
        last = self.statements[-1]
        if phrase.kind == "age":
            is_next_to_noun = self.previous_kind == "finding" or self.previous_kind.startswith("region")
            return is_next_to_noun and not last.age and bool(WITH_AGE.search(last.finding))
        return True

    def add_after(self, phrase: Phrase) -> None:
        """Qualify the last finding: by certainty with all that "and" joins to it, by age what can have one."""
        if phrase.kind == "certainty-after":
            for index in range(self.first_joined, len(self.statements)):
                certainty = self.statements[index].certainty
                if not certainty or (index == len(self.statements) - 1 and certainty != UNCERTAIN.certainty):
                    self.statements[index] = self.statements[index].qualified(phrase)
            return
        index = len(self.statements) - 1
        if phrase.kind == "age-after":
            while index >= 0 and not WITH_AGE.search(self.statements[index].finding):
                index -= 1
            if index < 0:
                return
        statement = self.statements[index]
        if phrase.kind.startswith(("age", "region")) and statement.alternatives:
            *others, last = statement.alternatives
            self.statements[index] = replace(statement, alternatives=(*others, last.qualified(phrase)))
        else:
            self.statements[index] = statement.qualified(phrase)

    def add_finding(self, finding: str, reading: Reading) -> None:
        if reading.leaves_out(finding):
            self.detach()
            return
        statement = replace(self.pending, finding=finding, negation=reading.negation)
        if reading.is_past and not statement.age:
            statement = replace(statement, age="old")
        joined_by, self.pending, self.joined_by = self.joined_by, Statement(""), ""
        self.is_detached = False
        if self.joins_last(joined_by, statement):
            previous = self.statements[-1]
            self.statements[-1] = replace(previous, alternatives=(*previous.alternatives, statement))
            return
        if (
            not statement.certainty
            and not statement.negation
            and (joined_by == "and" or self.continues_list(statement))
        ):
            statement = replace(statement, certainty=self.certainty_before)
        self.certainty_before = statement.certainty
        if joined_by != "and":
            self.first_joined = len(self.statements)
        if reading.certainty:
            statement = replace(statement, certainty=reading.certainty)
        self.statements.append(statement)

    def joins_last(self, joined_by: str, statement: Statement) -> bool:
        """Whether "or" makes it an alternative of the last statement: one negation is of both or of neither."""
        if not self.statements or joined_by != "or" or statement.finding.endswith("ECG"):
            return False
        return self.statements[-1].negation == statement.negation

    def continues_list(self, statement: Statement) -> bool:
        """Whether a cart prints one more region of the last finding: "probable A ischemia, B ischemia"."""
        # `startswith`: the last item of a list may be cut off before its "or left ventricular strain".
        return bool(
            self.statements and statement.regions and self.statements[-1].finding.startswith(statement.finding)
        )

    def add_leads(self, leads: tuple[str, ...]) -> None:
        """Place the last finding, and those joined to it that have no place yet, in `leads`."""
        unplaced = self.unplaced()
        if not unplaced and not self.postposes:  # "leads V4, V5 show artifact"
            self.pending = replace(self.pending, leads=leads)
        for index in unplaced:
            known = {*self.statements[index].leads, *leads}
            leads_here = tuple(lead for lead in STANDARD_LEADS if lead in known)
            self.statements[index] = replace(self.statements[index], leads=leads_here)
        self.joined_by = ""

    def add_places(self, phrase: Phrase) -> None:
        """Place the last finding, and those joined to it, in a named group of leads, or where the one before is."""
        self.joined_by = ""
        if phrase.target == THESE_LEADS:
            self.repeat_places()
            return
        unplaced, groups = self.unplaced(), () if phrase.target == REGIONAL_LEADS else (phrase.target,)
        if unplaced or phrase.target == REGIONAL_LEADS:
            # The first of "in inferior and anterolateral leads" was read as a region of what comes.
            groups = (*(f"{region} leads" for region in self.pending.regions), *groups)
            self.pending = replace(self.pending, regions=())
        for index in unplaced:
            for group in groups:
                self.statements[index] = self.statements[index].qualified(Phrase("leads", group))

    def repeat_places(self) -> None:
        placed = [statement for statement in self.statements[:-1] if statement.is_placed]
        if placed:
            self.statements[-1] = replace(self.statements[-1], leads=placed[-1].leads, groups=placed[-1].groups)

    def unplaced(self) -> list[int]:
        """Indices of the statements that a place read now belongs to."""
        last = len(self.statements) - 1
        if self.is_detached or last < self.sentence_start or OF_RECORDING.search(self.statements[last].finding):
            return []
        joined = (index for index in range(self.first_joined, last) if not self.statements[index].is_placed)
        return [*(index for index in joined if not OF_RECORDING.search(self.statements[index].finding)), last]

    def sentences(self) -> list[str]:
        """The distinct English statements in their order."""
        sentences: dict[str, None] = {}
        for statement, following in itertools.zip_longest(self.statements, self.statements[1:]):
            announces = following is not None and following.finding in ANNOUNCED
            if statement.finding != HEADING or not announces:
                sentences.update(dict.fromkeys(statement.sentences()))
        return list(sentences)
