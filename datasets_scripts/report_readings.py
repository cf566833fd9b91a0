"""What a report says of one finding: asserted, negated, uncertain, past, or nothing that can be told."""

import re
from dataclasses import dataclass

#: What can be old or recent.
WITH_AGE = re.compile("infarct|damage|ischemi|involvement|injury|aneurysm|pericardi")
#: What surgery left is there as long as its history is told.
STAYS = re.compile(r"replacement")


@dataclass(frozen=True)
class Reading:
    """What a report says of a finding besides its qualifiers; what is left out is neither asserted nor negated."""

    negation: str = ""
    certainty: str = ""
    is_past: bool = False
    is_left_out: bool = False

    def leaves_out(self, finding: str) -> bool:
        """Whether no statement is made: of what is past only scars and what surgery left can be seen."""
        is_gone = self.is_past and not self.negation and not (WITH_AGE.search(finding) or STAYS.search(finding))
        return self.is_left_out or is_gone

    def merged(self, other: "Reading") -> "Reading":
        """What two scopes say together; where they contradict each other the finding is left out."""
        doubts = {self.certainty, other.certainty} - {"", POSSIBLE.certainty}
        contradicts = bool(doubts and (self.negation or other.negation))
        return Reading(
            negation=self.negation or other.negation,
            certainty=other.certainty or self.certainty,
            is_past=self.is_past or other.is_past,
            is_left_out=contradicts or self.is_left_out or other.is_left_out,
        )


ASSERTED = Reading()
LEFT_OUT = Reading(is_left_out=True)
UNCERTAIN = Reading(certainty="cannot be excluded")
POSSIBLE = Reading(certainty="possible")
PAST = Reading(is_past=True)
