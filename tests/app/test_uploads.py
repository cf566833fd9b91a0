"""Uploads as the server takes them: bounded, kept in their folder, and gone afterwards."""

from pathlib import Path

import gradio as gr
import pytest
from starlette.testclient import TestClient

from etp.app.interface import build_interface, launch_options
from etp.app.sources import MAX_UPLOAD_BYTES


@pytest.fixture
def client(handlers, uploads):
    interface = build_interface(handlers.scorer)
    options = launch_options()
    interface.max_file_size = options["max_file_size"]
    with TestClient(gr.routes.App.create_app(interface, app_kwargs=options["app_kwargs"])) as client:
        yield client


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_beyond_the_limit_is_refused_and_not_kept(client, uploads):
    answer = client.post("/gradio_api/upload", files={"files": ("a.npy", bytes(MAX_UPLOAD_BYTES + 1_000_000))})
    assert answer.status_code == 413
    assert sum(path.stat().st_size for path in files_in(uploads)) == 0


@pytest.mark.parametrize(
    "name", ["../../outside.npy", "/etc/outside.npy", "..\\outside.npy", "a/b/../../../outside.npy"]
)
def test_an_upload_stays_in_its_folder_whatever_its_name(client, uploads, name):
    answer = client.post("/gradio_api/upload", files={"files": (name, b"content")})
    assert answer.status_code in (200, 400)
    outside = [path for path in uploads.parent.rglob("*outside*") if uploads not in path.parents]
    assert not outside
    assert not Path("/etc/outside.npy").exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", __file__])
def test_files_of_the_server_are_not_given_away(client, path):
    assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)
