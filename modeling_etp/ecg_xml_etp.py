"""ECGs in XML: HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1) and GE MUSE exports."""

from collections.abc import Sequence
from typing import Any

from .ecg_aecg_etp import read_aecg
from .ecg_muse_etp import read_muse
from .ecg_recording_etp import (
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    errors_named,
    optional_module,
)

# Parsed numbers take some 25 times their text. A 10 s record is 0.2 to 1 MB, so this is generous.
MAX_XML_BYTES = 8_000_000
MAX_XML_TAGS = 500_000


def read_xml(
    content: bytes, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read an XML file of a kind that is known by its root element.

    Raises:
        EcgFormatError: If the root element belongs to another kind of XML.
        EcgUnsafeError: If the file defines entities, as XML bombs do.
    """
    if len(content) > MAX_XML_BYTES or content.count(b"<") > MAX_XML_TAGS:
        raise EcgUnsafeError(
            source,
            f"expected at most {MAX_XML_BYTES:,} bytes of XML and {MAX_XML_TAGS:,} tags, it has {len(content):,} and "
            f"{content.count(b'<'):,}. Export the ECG alone.",
        )
    root = _parse(content, source)
    if root.tag == "AnnotatedECG":
        read = read_aecg
    elif root.tag == "RestingECG":
        read = read_muse
    else:
        raise EcgFormatError(
            source,
            f"XML with the root element <{root.tag[:40]}>. Known are HL7 aECG (<AnnotatedECG>) and GE MUSE "
            "(<RestingECG>); export one of these, or DICOM.",
        )
    with errors_named(source, "the XML reader"):
        return read(root, source, lead_names=lead_names, units=units)


def _parse(content: bytes, source: str) -> Any:
    """The root element, with names free of their namespaces."""
    tree = optional_module("defusedxml.ElementTree", source)
    unsafe = optional_module("defusedxml.common", source).DefusedXmlException
    try:
        # MUSE files start with a document type, which is harmless as long as it defines no entity.
        root = tree.fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except unsafe as error:
        raise EcgUnsafeError(source, f"its XML defines or includes entities ({error}). No ECG needs them.") from error
    except Exception as error:
        raise EcgCorruptError(source, f"malformed XML ({str(error)[:200]}). Fetch or export it again.") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    return root
