"""Texts of age and sex, alone or around a statement of the report, and the patients of whom they are true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etp.randomness import Purpose, generator

OLDEST = 89  # years; archives give a higher age as "over 89" at most
SAME_AGE = 5  # years between two ages that a text may still be said of
PLAIN_STATEMENTS = 30  # the commonest, which stand around age and sex; each with every patient would be too many texts
NOUNS = {"female": ("female", "a woman", "female patient"), "male": ("male", "a man", "male patient")}
AGES = ("{age} years old", "aged {age}", "patient of {age} years")
BOTH = ("{age}-year-old {sex}", "{sex}, {age} years", "{sex} patient, {age} years old")
WITH_STATEMENT = ("{patient}. {statement}", "{patient} with {statement}", "{patient}: {statement}")
SHARES = {"sex": 0.25, "age": 0.25, "both": 0.2, "statement": 0.3}


@dataclass(frozen=True)
class PatientText:
    """What a text says of a patient; None where it says nothing.

    Attributes:
        wording: Which of the forms it has.
    """

    sex: str | None
    age: int | None
    statement: str | None
    wording: int

    def __str__(self) -> str:
        if self.age is None:
            nouns = NOUNS[str(self.sex)]
            return nouns[self.wording % len(nouns)]
        if self.sex is None:
            return AGES[self.wording % len(AGES)].format(age=self.age)
        patient = BOTH[self.wording % len(BOTH)].format(age=self.age, sex=self.sex)
        if self.statement is None:
            return patient
        form = WITH_STATEMENT[self.wording // len(BOTH) % len(WITH_STATEMENT)]
        return form.format(patient=patient, statement=self.statement)


class PatientTexts:
    """Draws a text on the patient of every record whose age or sex is known.

    Args:
        ages: In whole years, None where unknown; over 89 counts as unknown.
        sexes: "female", "male" or None.
        statements: Of each record.
        seed: Decides what is drawn.
    """

    def __init__(
        self,
        ages: Sequence[int | None],
        sexes: Sequence[str | None],
        statements: Sequence[Sequence[str]],
        *,
        seed: int,
    ):
        self._seed = seed
        self._sexes = np.array([sex if sex in NOUNS else "" for sex in sexes])
        self._ages = np.array([age if age is not None and age <= OLDEST else np.nan for age in ages])
        counts: dict[str, int] = {}
        for record in statements:
            for statement in dict.fromkeys(record):
                counts[statement] = counts.get(statement, 0) + 1
        common = sorted(counts, key=lambda statement: (-counts[statement], statement))[:PLAIN_STATEMENTS]
        self._statements = [frozenset(common) & frozenset(record) for record in statements]

    def draw(self, epoch: int) -> list[PatientText | None]:
        """One text for every record, None where nothing is known; the same whenever the same epoch is asked for."""
        random = generator(self._seed, Purpose.PATIENTS, epoch)
        kinds = random.choice(list(SHARES), p=list(SHARES.values()), size=len(self._sexes))
        picks, wordings = (
            random.random(len(self._sexes)),
            random.integers(len(BOTH) * len(WITH_STATEMENT), size=len(self._sexes)),
        )
        return [
            self._text(record, kind, pick, int(wording))
            for record, (kind, pick, wording) in enumerate(zip(kinds, picks, wordings, strict=True))
        ]

    def positives(self, records: np.ndarray, texts: Sequence[PatientText]) -> np.ndarray:
        """Which text is true of which record's patient, float32 `(records, texts)`: 1 or 0.

        An age is true of who is at most five years older or younger.
        """
        sexes, ages = self._sexes[records], self._ages[records]
        true = np.ones((len(records), len(texts)), dtype=bool)
        for column, text in enumerate(texts):
            if text.sex is not None:
                true[:, column] &= sexes == text.sex
            if text.age is not None:
                true[:, column] &= np.abs(ages - text.age) <= SAME_AGE  # never of an unknown age
            if text.statement is not None:
                true[:, column] &= [text.statement in self._statements[record] for record in records]
        return true.astype(np.float32)

    def _text(self, record: int, kind: str, pick: float, wording: int) -> PatientText | None:
        sex, age = str(self._sexes[record]) or None, self._ages[record]
        years = None if np.isnan(age) else int(age)
        if sex is None or years is None:
            kind = "age" if sex is None else "sex"
        if kind == "age":
            return None if years is None else PatientText(None, years, None, wording % len(AGES))
        if kind == "sex":
            return PatientText(sex, None, None, wording % len(NOUNS[str(sex)]))
        said = sorted(self._statements[record])
        if kind == "both" or not said:
            return PatientText(sex, years, None, wording % len(BOTH))
        rounded = SAME_AGE * round(age / SAME_AGE)  # fewer texts
        return PatientText(sex, rounded, said[int(pick * len(said))], wording)
