"""Writers of EDF, DICOM and WFDB files by their specifications, for what no library writes."""

import io
import struct

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage


def edf_by_hand(
    stored,
    *,
    labels,
    units="uV",
    kind="EDF+D",
    onsets=None,
    seconds=1.0,
    physical=(-32767.0, 32767.0),
    digital=(-32767, 32767),
    annotations_first=False,
    stamps=True,
) -> bytes:
    """An EDF+ or BDF+ file as the specification has it (edfplus.info, 2.1 and 2.2).

    Args:
        stored: One list of data records per signal, each an array of whole numbers.
        onsets: When each data record starts, as text; `None` joins them without a gap.
        physical, digital: One range for all signals, or a list of one per signal.
    """
    is_bdf = kind.startswith("BDF")
    count, records = len(labels), len(stored[0])
    units = [units] * count if isinstance(units, (str, bytes)) else units
    physical = [physical] * count if isinstance(physical, tuple) else physical
    digital = [digital] * count if isinstance(digital, tuple) else digital
    onsets = [f"+{seconds * k:g}" for k in range(records)] if onsets is None else onsets
    stamp_length = 60
    per_record = [len(signal[0]) for signal in stored]
    label = f"{kind[:3]} Annotations"
    low, high = ("-8388608", "8388607") if is_bdf else ("-32768", "32767")
    columns = [
        [*labels, label], [""] * (count + 1), [*units, ""], [*(f"{a:.7g}"[:8] for a, _ in physical), "-1"],
        [*(f"{b:.7g}"[:8] for _, b in physical), "1"], [*(str(a) for a, _ in digital), low],
        [*(str(b) for _, b in digital), high], [""] * (count + 1),
        [*map(str, per_record), str(stamp_length // (3 if is_bdf else 2))], [""] * (count + 1),
    ]  # fmt: skip
    if not stamps:
        columns = [column[:-1] for column in columns]
    if annotations_first:
        columns = [[column[-1], *column[:-1]] for column in columns]
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    number = len(columns[0])
    head = b"\xffBIOSEMI" if is_bdf else b"0       "
    head += b"X F 01-JUN-1950 X".ljust(80) + b"Startdate 01-MAY-2020 X X X".ljust(80) + b"01.05.2010.00.00"
    head += str(256 * (1 + number)).encode().ljust(8) + kind.encode().ljust(44)
    head += str(records).encode().ljust(8) + f"{seconds:g}".encode().ljust(8) + str(number).encode().ljust(4)
    for column, width in zip(columns, widths, strict=True):
        for text in column:
            head += (text if isinstance(text, bytes) else text.encode()).ljust(width)

    def packed(samples) -> bytes:
        if not is_bdf:
            return np.asarray(samples).astype("<i2").tobytes()
        return np.asarray(samples).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()

    body = b""
    for record in range(records):
        signals = b"".join(packed(signal[record]) for signal in stored)
        stamp = (onsets[record].encode() + b"\x14\x14\0").ljust(stamp_length, b"\0") if stamps else b""
        body += stamp + signals if annotations_first else signals + stamp
    return head + body


def dicom_group(
    leads, names, *, rate=500, sensitivity="1", units="uV", originality="ORIGINAL", label=None, channel=None, **group
) -> Dataset:
    """A multiplex group of whole numbers `(leads, samples)` (DICOM PS3.3, C.10.9).

    Args:
        channel: Further attributes by lead name, e.g. `{"II": {"ChannelSampleSkew": "2"}}`.
        group: Further attributes of the group.
    """
    item = Dataset()
    item.WaveformOriginality = originality
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = leads.shape
    item.SamplingFrequency = str(rate)
    if label:
        item.MultiplexGroupLabel = label
    definitions = []
    for name in names:
        definition = Dataset()
        source = Dataset()
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "x", "99TEST", name
        definition.ChannelSourceSequence = Sequence([source])
        definition.ChannelSensitivity = sensitivity
        unit = Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = units, "UCUM", units
        definition.ChannelSensitivityUnitsSequence = Sequence([unit])
        definition.ChannelSensitivityCorrectionFactor, definition.ChannelBaseline = "1", "0"
        definition.WaveformBitsStored = 16
        for keyword, value in (channel or {}).get(name, {}).items():
            if keyword == "units":
                unit.CodeValue = value
            else:
                setattr(definition, keyword, value)
        definitions.append(definition)
    item.ChannelDefinitionSequence = Sequence(definitions)
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    for keyword, value in group.items():
        if keyword == "WaveformPaddingValue":
            item.add_new(keyword, "OW", struct.pack("<h", value))
        else:
            setattr(item, keyword, value)
    item.add_new("WaveformData", "OW", np.ascontiguousarray(leads.T).astype("<i2").tobytes())
    return item


def dicom_object(*groups, syntax=ExplicitVRLittleEndian) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = TwelveLeadECGWaveformStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Modality = "ECG"
    dataset.WaveformSequence = Sequence(groups)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
