"""How the documentation site is built: this folder's Markdown and the guide, once in English, once in Chinese (`-t zh`).

What lives here: the settings of Sphinx. What may not: text. The site needs no network: nothing in it is fetched from elsewhere.
"""

import re
from pathlib import Path

from sphinx.search.zh import SearchChinese

from yieldloop.learn.chapters import chapters, walk_through
from yieldloop.learn.web import page

CHINESE = tags.has("zh")  # noqa: F821 (Sphinx puts `tags` here)

project = "yieldloop"
language = "zh_CN" if CHINESE else "en"
extensions = ["myst_parser"]
root_doc = "docs/index_zh" if CHINESE else "docs/index"
include_patterns = ["docs/*.md", "guide/zh/*.md" if CHINESE else "guide/en/*.md"]
exclude_patterns = ["docs/index.md" if CHINESE else "docs/index_zh.md"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A quotation may leave out lines, and then it is no whole program.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "yieldloop"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_context = {"other": "en" if CHINESE else "zh", "other_name": "English" if CHINESE else "中文"}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "languages.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_search_language = "zh" if CHINESE else "en"


class Search(SearchChinese):
    """Chinese words without a dictionary: each run of signs, which the search looks into, and each pair of neighbours."""

    language_name = "English"  # whose endings are cut off: the Latin words beside the Chinese text are English

    def split(self, input: str) -> list[str]:
        """The words of a text."""
        runs = re.findall("[\u4e00-\u9fff]+", input)
        pairs = [run[at : at + 2] for run in runs for at in range(len(run) - 1)]
        latin = self.latin1_letters.findall(input)
        self.latin_terms.update(latin)
        return runs + pairs + latin


STEP_THROUGH = "逐步走读这一章" if CHINESE else "Step through this chapter"


def link_to_walk(app, pagename, templatename, context, doctree):
    """Put a link to the chapter's walk below its heading."""
    chapter = re.fullmatch(r"guide/(?:en|zh)/(\d\d_\w+)", pagename)
    if chapter:
        walk = context["pathto"](f"../walks/{chapter[1]}.html", resource=True) + f"?lang={'zh' if CHINESE else 'en'}"
        link = f'<p class="step-through"><a href="{walk}">{STEP_THROUGH}</a></p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>{link}", 1)


def write_walks(app, exception):
    """Run each chapter and write the page that steps through it, beside the two sites: it speaks both languages."""
    if exception is not None or CHINESE or app.tags.has("nowalks"):
        return
    folder = Path(app.outdir).parent / "walks"
    folder.mkdir(exist_ok=True)
    for chapter in chapters("en"):
        Path(folder, f"{chapter.path.stem}.html").write_text(page(walk_through(chapter, ("en", "zh"))), encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.add_search_language(Search)
    app.connect("html-page-context", link_to_walk)
    app.connect("build-finished", write_walks)
