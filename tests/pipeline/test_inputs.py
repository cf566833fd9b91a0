"""Every form in which an ECG may be handed over."""

import io
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from transformers.pipelines.pt_utils import KeyDataset

from modeling_etp import ecg_urls_etp
from modeling_etp.ecg_files_etp import EcgFileError
from modeling_etp.ecg_inputs_etp import open_ecg
from modeling_etp.ecg_recording_etp import EcgRecording
from modeling_etp.ecg_urls_etp import download, is_url
from modeling_etp.leads_etp import STANDARD_LEADS

LABELS = ["normal ecg", "atrial fibrillation", "sinus rhythm"]


@pytest.fixture
def microvolts(make_ecg):
    return np.round(make_ecg() * 1000).astype(np.int16)


@pytest.fixture
def millivolts(microvolts):
    return microvolts.astype(np.float32) / 1000


@pytest.fixture
def expected(classifier, millivolts):
    return classifier(millivolts, LABELS, sampling_rate=100)


@pytest.fixture
def npy(millivolts):
    file = io.BytesIO()
    np.save(file, millivolts)
    return file.getvalue()


@pytest.fixture
def serve():
    """A web server on the loopback interface that answers every path with the given content, or by file name."""
    servers = []

    def start(content: bytes | dict[str, bytes], *, status: int = 200, location: str | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2].partition("?")[0]
                known = not isinstance(content, dict) or name in content
                self.send_response(status if known else 404)
                if location is not None:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(content.get(name, b"") if isinstance(content, dict) else content)

            def log_message(self, *_):
                """Keep the test's output clean."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/records/0001.npy"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def assert_same(scores, expected):
    assert [entry["label"] for entry in scores] == [entry["label"] for entry in expected]
    np.testing.assert_allclose([entry["score"] for entry in scores], [entry["score"] for entry in expected], atol=1e-6)


def test_a_path_as_text_or_object(classifier, expected, npy, tmp_path):
    path = tmp_path / "0001.npy"
    path.write_bytes(npy)
    for source in (path, str(path)):
        assert_same(classifier(source, LABELS, sampling_rate=100), expected)


@pytest.fixture
def wfdb_record(microvolts, tmp_path):
    """Path of a record whose leads are in another order, without suffix."""
    wfdb = pytest.importorskip("wfdb")
    order = ["V6", *STANDARD_LEADS[:11]]
    wfdb.wrsamp(
        "r1",
        fs=100,
        units=["mV"] * 12,
        sig_name=order,
        d_signal=np.roll(microvolts, 1, axis=0).T.astype(np.int64),
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        write_dir=str(tmp_path),
    )
    return tmp_path / "r1"


def test_a_wfdb_record_states_its_own_rate_and_leads(classifier, expected, wfdb_record):
    assert_same(classifier(wfdb_record, LABELS), expected)


def test_the_bytes_of_a_file_and_an_open_file(classifier, expected, npy):
    assert_same(classifier(npy, LABELS, sampling_rate=100), expected)
    assert_same(classifier(io.BytesIO(npy), LABELS, sampling_rate=100), expected)


def test_a_url(classifier, expected, npy, serve):
    assert_same(classifier(serve(npy), LABELS, sampling_rate=100), expected)


def test_the_url_of_a_wfdb_header_brings_its_signal_file(classifier, expected, wfdb_record, serve):
    files = {path.name: path.read_bytes() for path in map(wfdb_record.with_suffix, (".hea", ".dat"))}
    folder = serve(files).rpartition("/")[0]
    assert_same(classifier(f"{folder}/r1.hea", LABELS), expected)
    assert_same(classifier(f"{folder}/r1.hea?download", LABELS), expected)


def test_a_wfdb_record_behind_a_url_that_is_not_all_there_is_named(wfdb_record, serve, monkeypatch):
    header, signal = (wfdb_record.with_suffix(suffix).read_bytes() for suffix in (".hea", ".dat"))
    folder = serve({"r1.hea": header}).rpartition("/")[0]
    with pytest.raises(EcgFileError, match=rf"{folder}/r1\.dat: could not be downloaded .*404"):
        open_ecg(f"{folder}/r1.hea")
    url = serve({"r1.hea": header.replace(b"r1.dat", b"../r1.dat"), "r1.dat": signal}).rpartition("/")[0] + "/r1.hea"
    with pytest.raises(EcgFileError, match=rf"{url}: it names the signal file '\.\./r1\.dat'"):
        open_ecg(url)
    segments = b"m1/2 12 100 2000\nm1_1 1000\nm1_2 1000\n"
    with pytest.raises(EcgFileError, match=r"a WFDB record of several segments\. Download its files"):
        open_ecg(serve(segments))
    monkeypatch.setattr(ecg_urls_etp, "MAX_DOWNLOAD_BYTES", len(signal) - 1)
    with pytest.raises(EcgFileError, match=r"r1\.dat: larger than"):
        open_ecg(serve({"r1.hea": header, "r1.dat": signal}).rpartition("/")[0] + "/r1.hea")


def test_a_recording(classifier, expected, millivolts):
    recording = EcgRecording(millivolts[::-1], 100, STANDARD_LEADS[::-1])
    assert_same(classifier(recording, LABELS), expected)


def test_a_dict_with_leads_in_another_order(classifier, expected, millivolts):
    ecg = {"array": millivolts[::-1], "sampling_rate": 100, "lead_names": STANDARD_LEADS[::-1]}
    assert_same(classifier(ecg, LABELS), expected)


def test_a_dict_with_a_unit(classifier, expected, microvolts):
    assert_same(classifier({"array": microvolts, "sampling_rate": 100, "units": "uV"}, LABELS), expected)


def test_a_tensor_and_a_nested_list(classifier, expected, millivolts):
    assert_same(classifier(torch.tensor(millivolts), LABELS, sampling_rate=100), expected)
    assert_same(classifier(millivolts.tolist(), LABELS, sampling_rate=100), expected)
    assert_same(classifier(list(millivolts), LABELS, sampling_rate=100), expected)


def test_a_row_of_a_dataset_is_in_microvolts(classifier, expected, microvolts):
    assert_same(classifier({"ecg": microvolts.tolist(), "sampling_rate": 100, "record_id": "7"}, LABELS), expected)


def test_a_row_of_a_dataset_may_name_its_leads(classifier, expected, microvolts):
    row = {"ecg": microvolts[::-1] / 1000, "sampling_rate": 100, "lead_names": STANDARD_LEADS[::-1], "units": "mV"}
    assert_same(classifier(row, LABELS), expected)


def test_what_is_fetched_and_what_is_opened():
    assert all(map(is_url, ("http://a/b.hea", "https://a/b.hea", "HTTPS://a/b.hea")))
    assert not any(map(is_url, ("ftp://a/b.hea", "file:///b.hea", "b.hea", "https")))


def test_a_batch_array_is_split_into_its_records(classifier, expected, millivolts, make_ecg):
    batch = np.stack([make_ecg(5), millivolts])
    for several in (batch, torch.tensor(batch), list(batch), tuple(batch)):
        scores = classifier(several, LABELS, sampling_rate=100)
        assert len(scores) == 2
        assert_same(scores[1], expected)


def test_one_record_of_a_batch_of_one_is_a_list_of_one(classifier, expected, millivolts):
    (scores,) = classifier(millivolts[None], LABELS, sampling_rate=100)
    assert_same(scores, expected)


def test_an_empty_list_has_no_scores(classifier):
    assert classifier([], LABELS) == []


def test_a_list_may_mix_forms_rates_leads_and_lengths(classifier, expected, npy, millivolts, make_ecg, tmp_path):
    path = tmp_path / "0001.npy"
    path.write_bytes(npy)
    mixed = [
        {"array": make_ecg(1, rate=500), "sampling_rate": 500},
        EcgRecording(millivolts, 100, STANDARD_LEADS),
        {"array": make_ecg(2, leads=2), "sampling_rate": 100, "lead_names": ["II", "V2"]},
        {"array": make_ecg(3, seconds=23), "sampling_rate": 100},
        EcgRecording(millivolts, 100, STANDARD_LEADS),
    ]
    for batch_size in (1, 2, 5):
        scores = classifier(mixed, LABELS, batch_size=batch_size)
        for own, ecg in zip(scores, mixed, strict=True):
            assert_same(own, classifier(ecg, LABELS))
        assert_same(scores[1], expected)
        assert_same(scores[4], expected)


def test_a_generator_is_read_as_it_is_used(classifier, expected, millivolts):
    taken = []

    def records():
        for index in range(5):
            taken.append(index)
            yield {"array": millivolts, "sampling_rate": 100}

    scores = classifier(records(), LABELS)
    assert_same(next(iter(scores)), expected)
    assert len(taken) < 5


def test_datasets_rows_columns_and_streams(classifier, expected, microvolts):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(
        {"ecg": [microvolts.tolist()] * 3, "sampling_rate": [100] * 3, "note": ["", "", ""]}
    )
    column = partial(classifier, candidate_labels=LABELS, sampling_rate=100, units="uV")
    for scores in (
        classifier(rows, LABELS, batch_size=2),
        classifier(rows.to_iterable_dataset(), LABELS),
        classifier(KeyDataset(rows.with_format("numpy"), "ecg"), LABELS, sampling_rate=100, units="uV"),
        column(rows["ecg"]),
        column(rows["ecg"][:]),
        classifier([rows[0], rows[1], rows[2]], LABELS),
    ):
        scores = list(scores)
        assert len(scores) == 3
        assert_same(scores[2], expected)


def test_worker_processes_open_the_records(classifier, expected, npy, tmp_path):
    path = tmp_path / "0001.npy"
    path.write_bytes(npy)
    for scores in classifier([path] * 3, LABELS, sampling_rate=100, num_workers=1, batch_size=2):
        assert_same(scores, expected)


@pytest.mark.parametrize(
    ("ecg", "arguments", "message"),
    [
        (np.zeros((12, 1000)), {}, "ECG: `sampling_rate` \\(Hz\\) of the ECG is missing. Pass it"),
        ({"array": np.zeros((12, 1000))}, {}, "`sampling_rate` \\(Hz\\) of the ECG is missing"),
        (
            {"array": np.zeros((12, 9)), "sampling_rate": 100},
            {"sampling_rate": 500},
            "its sampling rate is 100 Hz, `sampling_rate` says 500",
        ),
        ({"signal": 1, "sampling_rate": 100}, {}, r"got the keys \['sampling_rate', 'signal'\]"),
        (
            {"ecg": np.zeros((12, 9)), "sampling_rate": 100, "record_id": "7"},
            {},
            'record 7: a dataset row holds "ecg" as integers',
        ),
        (np.zeros(1000), {"sampling_rate": 100}, r"ECG: expected shape \(leads, samples\), got \(1000,\)"),
        ([[1.0, 2.0], [1.0]], {"sampling_rate": 100}, "got rows of different lengths"),
        (
            {"ecg": np.ones((2, 12, 9)), "sampling_rate": [100, 100], "record_id": ["1", "2"]},
            {},
            "expected one row of a dataset, got several as a dict of columns. Pass the dataset itself",
        ),
        ({"array": [["a"]], "sampling_rate": 100}, {}, "expected an ECG as path, bytes"),
        (
            np.ones((12, 9)),
            {"sampling_rate": 100, "lead_names": "I"},
            "`lead_names` must be a sequence of names, got the string 'I'",
        ),
    ],
)
def test_what_is_no_ecg_is_refused(ecg, arguments, message):
    with pytest.raises(ValueError, match=message):
        open_ecg(ecg, **arguments)


def test_something_that_is_not_even_iterable_is_refused(classifier):
    with pytest.raises(ValueError, match="expected an ECG or several, got int"):
        classifier(3, LABELS)


def test_errors_say_which_of_many(classifier, millivolts):
    ecgs = [millivolts, millivolts * np.nan]
    with pytest.raises(ValueError, match="ECG 1: NaN"):
        classifier(ecgs, LABELS, sampling_rate=100)
    with pytest.raises(ValueError, match=r"ECG 1: .*missing"):
        classifier([{"array": millivolts, "sampling_rate": 100}, millivolts], LABELS)


def test_no_sample_of_a_dataset_row_is_missing_rather_than_minus_32_mv(classifier, microvolts):
    microvolts[3, 100:150] = -32768
    with pytest.raises(ValueError, match=r"record 7: NaN.* aVR"):
        classifier({"ecg": microvolts, "sampling_rate": 100, "record_id": "7"}, LABELS)


def test_a_file_that_is_none_is_named(classifier, tmp_path):
    with pytest.raises(EcgFileError, match=r"no-such\.hea: there is no such file|no-such: there is no such file"):
        classifier(str(tmp_path / "no-such"), LABELS)
    with pytest.raises(EcgFileError, match=r"ECG 1: .*no known ECG format"):
        classifier(
            [{"array": np.random.default_rng(0).normal(size=(12, 1000)), "sampling_rate": 100}, b"\0" * 64], LABELS
        )


def test_a_download_that_fails_or_is_too_large_is_refused(serve, npy):
    missing = serve(b"", status=404)
    with pytest.raises(EcgFileError, match=rf"{missing}: could not be downloaded .*404.*Check the address"):
        open_ecg(missing)
    with pytest.raises(EcgFileError, match=r"larger than 0\.048\d* MB"):
        download(serve(npy), max_bytes=len(npy) - 1)
    assert download(serve(npy), max_bytes=len(npy)) == npy


def test_a_redirection_leads_to_no_local_file(serve, tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(EcgFileError, match="could not be downloaded"):
        download(serve(b"", status=302, location=(tmp_path / "secret").as_uri()))
    with pytest.raises(EcgFileError, match="could not be downloaded"):
        download(serve(b"", status=302, location="ftp://127.0.0.1/a"))


def test_only_http_is_downloaded(monkeypatch):
    def refuse(url, **_):
        raise AssertionError(f"downloaded {url}")

    monkeypatch.setattr(ecg_urls_etp, "download", refuse)
    for url in ("file:///etc/passwd", "ftp://example.org/a.npy", "s3://bucket/a.npy"):
        scheme = url.partition(":")[0]
        with pytest.raises(EcgFileError, match=f"{url}: {scheme} addresses aren't fetched, only http and https"):
            open_ecg(url)
    with pytest.raises(EcgFileError, match="no such file"):
        open_ecg("//example.org/a.npy")
