"""The look: colours, type and the static files behind them.

Guarantees: one place names every colour; the theme fetches nothing from another machine (fonts, styles, script and icon are
served from this repository); charts get colours that stay readable on light and on dark paper.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final

from fastapi import FastAPI
from gradio import themes
from starlette.staticfiles import StaticFiles

from studio.assets import asset

#: Where the browser finds the theme's files; below the root, so that both apps share one copy in the browser's cache.
LOOK_URL: Final = "/look"

SANS: Final = "Atkinson Hyperlegible Next"
MONO: Final = "Atkinson Hyperlegible Mono"


@dataclass(frozen=True, slots=True)
class ChartColours:
    """Colours for Plotly, which draws on the server and cannot know whether the page is light or dark.

    Each keeps at least 3 : 1 against both papers, as graphical objects must.
    """

    ink: str = "#717989"
    grid: str = "rgba(128,136,150,0.22)"
    train: str = "#4C68DB"
    train_faint: str = "rgba(76,104,219,0.35)"
    validation: str = "#A7762A"
    left: str = "#A7762A"
    right: str = "#8C6FC4"
    font: str = f"'{SANS}', system-ui, sans-serif"


CHART: Final = ChartColours()


@cache
def _version() -> str:
    """Changes whenever a served style or script changes, so that browsers never keep an old one."""
    digest = hashlib.sha256()
    for path in sorted(asset("theme").iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def head() -> str:
    """What goes into ``<head>`` before anything is drawn."""
    version = _version()
    fonts = f"{LOOK_URL}/fonts/atkinson-hyperlegible-next.woff2"
    return (
        '<meta name="color-scheme" content="light dark">'
        f'<link rel="icon" type="image/svg+xml" href="{LOOK_URL}/logo/favicon.svg">'
        f'<link rel="preload" as="font" type="font/woff2" href="{fonts}" crossorigin>'
        f'<script src="{LOOK_URL}/theme/shell.js?v={version}"></script>'
        + "".join(
            f'<link rel="stylesheet" href="{LOOK_URL}/theme/{name}.css?v={version}">'
            for name in ("tokens", "studio", "method", "reward", "desk", "judge", "compare", "verdict", "sweep", "rate", "try")
        )
    )


def mount_look(app: FastAPI) -> None:
    """Serve theme, fonts and logo, and nothing else of ``assets/``."""
    for name in ("theme", "fonts", "logo"):
        app.mount(f"{LOOK_URL}/{name}", StaticFiles(directory=asset(name)), name=f"look-{name}")


class StudioTheme(themes.Base):
    """Paper, ink and one accent. Every value points at a token of ``tokens.css``, so light and dark need no second list."""

    def __init__(self) -> None:
        system_sans = ("ui-sans-serif", "system-ui", "sans-serif")
        system_mono = ("ui-monospace", "Consolas", "monospace")
        super().__init__(
            font=(themes.Font(SANS), *(themes.Font(name) for name in system_sans)),
            font_mono=(themes.Font(MONO), *(themes.Font(name) for name in system_mono)),
        )
        self.name = "tuning-fork"
        self.set(**_with_dark(_VALUES))


_VALUES: Final[dict[str, str]] = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--ink-soft)",
    "background_fill_primary": "var(--sheet)",
    "background_fill_secondary": "var(--paper)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "border_color_accent_subdued": "var(--line)",
    "color_accent_soft": "var(--accent-wash)",
    "link_text_color": "var(--accent)",
    "link_text_color_hover": "var(--ink)",
    "link_text_color_active": "var(--accent)",
    "link_text_color_visited": "var(--accent)",
    "block_background_fill": "var(--sheet)",
    "block_border_color": "var(--line)",
    "block_label_background_fill": "var(--sheet)",
    "block_label_text_color": "var(--ink-soft)",
    "block_label_border_color": "var(--line)",
    "block_title_text_color": "var(--ink)",
    "block_info_text_color": "var(--ink-soft)",
    "panel_background_fill": "var(--sheet)",
    "panel_border_color": "var(--line)",
    "input_background_fill": "var(--sheet)",
    "input_border_color": "var(--line-strong)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--ink-soft)",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "var(--accent-strong)",
    "button_primary_border_color": "var(--accent)",
    "button_primary_text_color": "var(--on-accent)",
    "button_secondary_background_fill": "var(--sheet)",
    "button_secondary_background_fill_hover": "var(--accent-wash)",
    "button_secondary_border_color": "var(--line-strong)",
    "button_secondary_text_color": "var(--ink)",
    "code_background_fill": "var(--well)",
    "table_border_color": "var(--line)",
    "table_even_background_fill": "var(--sheet)",
    "table_odd_background_fill": "var(--sheet)",
    "table_row_focus": "var(--accent-wash)",
    "loader_color": "var(--accent)",
    "stat_background_fill": "var(--accent)",
}

#: Names that Gradio keeps without a dark twin.
_SAME_IN_DARK: Final[dict[str, str]] = {
    "color_accent": "var(--accent)",
    "block_shadow": "none",
    "shadow_drop": "none",
    "shadow_drop_lg": "none",
    "block_radius": "var(--radius)",
    "container_radius": "var(--radius)",
    "input_radius": "var(--radius)",
    "button_large_radius": "var(--radius)",
    "button_medium_radius": "var(--radius)",
    "button_small_radius": "var(--radius)",
    "table_radius": "var(--radius)",
    "button_transition": "background-color 120ms, border-color 120ms",
    "layout_gap": "16px",
}


def _with_dark(values: dict[str, str]) -> dict[str, str]:
    """Gradio keeps a second list for dark; ours is the same, because the tokens themselves change."""
    return values | {f"{name}_dark": value for name, value in values.items()} | _SAME_IN_DARK
