"""The documentation site is built without a warning, in both languages, and fetches nothing from elsewhere.

What lives here: one strict build of each language. The walks of the chapters are left out: tests/test_learn.py records them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import yieldloop

ROOT = Path(__file__).resolve().parents[1]

FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src=["'](?:https?:)?//|<link[^>]+href=["'](?:https?:)?//|url\(["']?(?:https?:)?//"""
)
"""What a browser would fetch from another host: a link that a reader may click is none of it."""

pytestmark = pytest.mark.skipif(not yieldloop.compiled(), reason="one leg is enough: the site has no speed")


@pytest.mark.parametrize(("language", "title"), [("en", "Step through this chapter"), ("zh", "逐步走读这一章")])
def test_the_site_is_built_without_a_warning_and_needs_no_network(language: str, title: str, tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="Sphinx is not installed: pip install 'yieldloop[docs]'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-t", "nowalks", "-t", language]
    command += ["-d", str(tmp_path / "trees"), "-c", "docs/site", ".", str(tmp_path / "site")]
    built = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=os.environ | {"PYTHONUTF8": "1"})
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path.relative_to(tmp_path / "site").as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    chapter = pages[f"guide/{language}/01_yield.html"]
    assert title in chapter and f'href="../../../walks/01_yield.html?lang={language}"' in chapter
    other = {"en": "zh", "zh": "en"}[language]
    assert f'href="../../../{other}/guide/{other}/01_yield.html"' in chapter
    styles = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css")]
    assert [found for text in [*pages.values(), *styles] for found in FETCHED.findall(text)] == []
