"""The page: a picture in, what is wrong with it, before and after, and the file to take away."""

from __future__ import annotations

import contextlib
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import FastipError
from . import choices
from .choices import DAMAGES, FOCUS, HOLES, MOVED, SMALL, Words
from .kept import Kept
from .workers import Refused, Workers

CSS = """
.gradio-container { max-width: 1100px !important; margin: 0 auto !important; }
.head h1 { font-size: 1.5rem; font-weight: 650; margin: 0; }
.head p, .note { color: var(--body-text-color-subdued); margin: 0.15rem 0 0; }
.examples { flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.examples > * { flex: 0 0 auto; width: auto; min-width: 0; }
.told { overflow-wrap: anywhere; }
.told p { margin: 0.3rem 0; }
.told code { display: block; padding: 0.5rem 0.7rem; border-radius: 6px; background: var(--background-fill-secondary); }
.told .refused { border-left: 3px solid #d1495b; padding: 0.2rem 0 0.2rem 0.8rem; }
#curve::before {
  content: "The search of the blur: the lower the cost, the better it explains the picture.";
  display: block; padding: 0.6rem 0.8rem; color: var(--body-text-color-subdued); background: white;
}
footer { display: none !important; }
"""
FOUND, KNOWN = "Find it in the picture", "I know it"


class Page:
    """What the parts of the page do.

    Args:
        workers: Who does it.
        kept: Where files go.
        max_pixels: Of a picture and of a result.
    """

    def __init__(self, workers: Workers, kept: Kept, max_pixels: int) -> None:
        self._workers, self._kept, self._most = workers, kept, max_pixels
        self._there: choices.Ready = workers.greeting

    def blocks(self) -> gr.Blocks:
        """The page itself."""
        with gr.Blocks(title="fastip", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
            gr.HTML(
                "<h1>fastip</h1><p>Restores a picture on this computer. Nothing leaves it, and nothing is kept.</p>",
                elem_classes="head",
            )
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    picture = gr.File(
                        label="1. Your picture", file_types=[*self._there.suffixes], height=150, elem_id="picture"
                    )
                    damage = gr.Radio(DAMAGES, value=SMALL, label="2. What is wrong with it?", elem_id="damage")
                    fields = self._fields(damage)
                    button = gr.Button("3. Restore", variant="primary", elem_id="restore")
                with gr.Column(scale=3, min_width=320):
                    preview = gr.Image(
                        label="Your picture", type="filepath", interactive=False, visible=False, buttons=[], height=420
                    )
                    slider = gr.ImageSlider(
                        label="Before | after",
                        interactive=False,
                        visible=False,
                        buttons=["fullscreen"],
                        type="filepath",
                        max_height=640,
                        elem_id="slider",
                    )
                    told = gr.HTML(_told("Before and after will appear here."), elem_id="told", elem_classes="told")
                    download = gr.DownloadButton("Download", visible=False, elem_id="download")
                    curve = gr.Image(
                        show_label=False,
                        type="filepath",
                        interactive=False,
                        visible=False,
                        buttons=[],
                        elem_id="curve",
                    )
            examples = self._examples()
            shown = [preview, slider, told, download, curve]
            picture.change(self._look, [picture], shown)
            button.click(
                self._restore, [picture, damage, *fields], shown, show_progress="minimal", show_progress_on=told
            )
            for name, example in examples:
                example.click(lambda name=name: self._example(name), None, [picture, damage, told])
            blocks.unload(self._end)
        blocks.queue(max_size=64, default_concurrency_limit=None)  # the workers have a queue of their own
        return blocks

    def _examples(self) -> list[tuple[str, Any]]:
        """A button for each that there is, by its name."""
        if not self._there.examples:
            return []
        with gr.Row(elem_classes="examples"):
            gr.HTML("<p class='note'>Or try:</p>")
            return [(name, gr.Button(choices.EXAMPLES[name][0], size="sm")) for name in self._there.examples]

    def _fields(self, damage: gr.Radio) -> list[Any]:
        """What each damage asks for, in the order of ``_words``; only that of the chosen one is seen."""
        with gr.Group(visible=True) as small:
            factor = gr.Dropdown([f"{by:g}" for by in choices.FACTORS], value="4", label="How many times larger?")
            with gr.Row():
                method = gr.Dropdown([*self._there.methods], value="bicubic", label="Made small by", min_width=120)
                program = gr.Dropdown([*self._there.programs], value="pillow", label="in", min_width=120)
        with gr.Group(visible=False) as focus:
            disk = gr.Radio([FOUND, KNOWN], value=FOUND, label="The blur")
            radius = gr.Slider(*choices.RADII, value=3, step=0.1, label="Radius, pixels", visible=False)
        with gr.Group(visible=False) as moved:
            motion = gr.Radio([FOUND, KNOWN], value=FOUND, label="The motion")
            length = gr.Slider(*choices.LENGTHS, value=14, step=2, label="Length, pixels", visible=False)
            angle = gr.Slider(
                *choices.ANGLES,
                value=0,
                step=1,
                visible=False,
                label="Angle, degrees",
                info="0: along rows; 45: from top left to bottom right",
            )
        with gr.Column(visible=False) as holes:
            mask = gr.File(label="Mask (black: holes)", file_types=[*self._there.suffixes], height=150, elem_id="mask")
            gr.HTML(
                "<p class='note'>White where the picture is good, black where it has holes. "
                "Without a mask, transparent pixels are filled.</p>"
            )
        noise = gr.Textbox(
            label="Noise, in grey levels of 0 to 255",
            placeholder="leave it empty to have it estimated",
            max_length=20,
            elem_id="noise",
        )
        groups = {small: SMALL, focus: FOCUS, moved: MOVED, holes: HOLES}
        damage.change(
            lambda chosen: [gr.update(visible=chosen == own) for own in groups.values()],
            [damage],
            [*groups],
            show_progress="hidden",
        )
        for choice, numbers in ((disk, [radius]), (motion, [length]), (motion, [angle])):
            choice.change(
                lambda chosen: gr.update(visible=chosen == KNOWN),
                [choice],
                numbers,
                show_progress="hidden",
            )
        return [factor, method, program, disk, radius, motion, length, angle, noise, mask]

    def _look(self, picture: str | None, request: gr.Request) -> list[Any]:
        """A picture has come, or gone."""
        hidden = [gr.update(visible=False, value=None) for _ in range(2)]
        if picture is None:
            self._kept.end(str(request.session_hash))
            return [
                *hidden,
                _told("Before and after will appear here."),
                gr.update(visible=False),
                gr.update(visible=False),
            ]
        folder = self._kept.fresh(str(request.session_hash), Path(picture))
        try:
            seen = self._workers.ask(choices.Look(Path(picture), folder, self._most))
        except Refused as refused:
            return [*hidden, _refused(refused), gr.update(visible=False), gr.update(visible=False)]
        preview = gr.update(visible=True, value=str(seen.preview))
        return [preview, hidden[1], _told(seen.said), gr.update(visible=False), gr.update(visible=False)]

    def _restore(self, request: gr.Request, picture: str | None, *given: Any) -> list[Any]:
        """The two pictures, what was done, the file and the curve; or why not, and the curve where there is one."""
        keep = gr.update()
        if picture is None:
            return [keep, keep, _refused(Refused("there is no picture yet; drop one into the field above")), keep, keep]
        words, path, session = _words(*given), Path(picture), str(request.session_hash)
        folder = self._kept.fresh(session, path, words.mask)
        try:
            options = words.options()
            done = self._workers.ask(choices.Restore(path, folder, self._most, options))
        except FastipError as refused:
            unseen = gr.update(visible=False, value=None)
            return [keep, unseen, _refused(refused), unseen, _curve(folder)]
        told = [f"Assumed: {done.said}.", *(f"Warning: {line}" for line in done.warnings)]
        return [
            gr.update(visible=False, value=None),
            gr.update(visible=True, value=(str(done.before), str(done.after))),
            _told(*told, line=choices.command(path.name, options)),
            gr.update(visible=True, value=str(done.result), label=f"Download {done.result.name}"),
            _curve(folder),
        ]

    def _example(self, name: str) -> list[Any]:
        try:
            path = self._workers.ask(choices.Example(name, self._kept.apart()))
        except Refused as refused:
            return [None, gr.update(), _refused(refused)]
        return [str(path), choices.EXAMPLES[name][1], gr.update()]

    def _end(self, request: gr.Request) -> None:
        with contextlib.suppress(OSError):
            self._kept.end(str(request.session_hash))


def _words(damage: str, factor: str, method: str, program: str, *given: Any) -> Words:
    """The fields in the order of the page."""
    disk, radius, motion, length, angle, noise, mask = given
    search = (disk if damage == FOCUS else motion) == FOUND
    numbers = {"radius": radius, "length": length, "angle": angle, "noise": noise.strip() or None}
    return Words(damage, factor, method, program, search, **numbers, mask=None if mask is None else Path(mask))  # type: ignore[arg-type]


def _curve(folder: Path) -> Any:
    """The picture of the search, where there was one."""
    path = folder / choices.SEARCH
    return gr.update(visible=path.exists(), value=str(path) if path.exists() else None)


def _told(*lines: str, line: str = "") -> str:
    """Paragraphs, and a line for a terminal."""
    shown = "".join(f"<p>{escape(text)}</p>" for text in lines)
    return shown + (f"<p class='note'>The same in a terminal:</p><code>{escape(line)}</code>" if line else "")


def _refused(why: Exception) -> str:
    text = str(why)
    return f"<div class='refused'>{_told(f'{text[:1].upper()}{text[1:]}.')}</div>"
