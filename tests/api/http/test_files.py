"""Files that are served: read once, again when they change, and kept when they vanish."""

import shutil
from pathlib import Path

import pytest

from zmart_lite.api.http.files import load, load_all
from zmart_lite.errors import NotFound


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.js"
    path.write_text("1")
    first = load(path)
    path.write_text("22")
    path.touch()
    assert (first.body, load(path).body) == (b"1", b"22")


def test_what_was_read_is_still_served_when_its_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    (folder / "page").mkdir(parents=True)
    (folder / "page" / "a.css").write_text("a{}")
    (folder / "notes.txt").write_text("not served")
    load_all(folder)
    shutil.rmtree(folder)
    assert load(folder / "page" / "a.css").body == b"a{}"
    for name in ("notes.txt", "page", "page/b.css"):
        with pytest.raises(NotFound):
            load(folder / name)
