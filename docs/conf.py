"""How Sphinx builds the site: a theme that reads well anywhere, formulas drawn by the browser."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

project, author, copyright = "jaxcnn", "The jaxcnn developers", "The jaxcnn developers, Apache-2.0"
extensions = ["myst_parser", "docs.extension"]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "jaxcnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
templates_path: list[str] = []
nitpicky = True
pygments_style, pygments_dark_style = "tango", "monokai"
html_theme_options = {"navigation_with_keys": True}
