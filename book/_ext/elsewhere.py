"""What hangs on `repository.url` in _config.yml: links to edit a page, to report a mistake, to Colab and Binder.

While the key is empty there are none.
"""

from __future__ import annotations

BUTTONS = ("use_edit_page_button", "use_issues_button", "use_repository_button")
#: The publishing workflow lays both beside the front page.
TAKE = (
    '<p class="fh-elsewhere">Take it with you: <a href="../firsthand.pdf">PDF</a> · '
    '<a href="../firsthand.zip">the site as an archive</a></p>'
)
COLAB_BRANCH = "colab"  # written by scripts/colab.py in the publishing workflow


def repository(config) -> str:
    """The address without a slash at its end, or nothing."""
    return (config.html_theme_options.get("repository_url") or "").rstrip("/")


def links(url: str, stem: str) -> str:
    """Where a notebook can be run without a machine of one's own; both need a repository on GitHub."""
    name = url.removeprefix("https://github.com/")
    if name == url:
        return ""
    colab = f"https://colab.research.google.com/github/{name}/blob/{COLAB_BRANCH}/colab/{stem}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/notebooks/{stem}.ipynb"
    return f'<p class="fh-elsewhere">Run this page: <a href="{colab}">Colab</a> · <a href="{binder}">Binder</a></p>'


def _buttons(app, config) -> None:
    if repository(config):
        for name in BUTTONS:
            config.html_theme_options[name] = True


def _above(app, pagename, templatename, context, doctree) -> None:
    url = repository(app.config)
    if url and pagename == "book/how_to_use":
        context["body"] = TAKE + context["body"]
    if url and pagename.startswith("notebooks/") and "body" in context:
        context["body"] = links(url, pagename.removeprefix("notebooks/")) + context["body"]


def setup(app) -> dict:
    app.connect("config-inited", _buttons, priority=100)
    app.connect("html-page-context", _above, priority=400)
    return {"parallel_read_safe": True, "version": "1"}
