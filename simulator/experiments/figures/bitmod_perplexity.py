"""BitMoD's perplexity table and ablation on our models: what formats of weights cost, and which orderings hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.format_study import N_WINDOWS, WINDOW_TOKENS
from simulator.experiments.validate_targets import FOLDER

FP16 = "fp16"
NAMES = {
    "int6_sym": "INT6",
    "ant4": "ANT",
    "olive4": "OliVe",
    "mx_fp4": "MX-FP4",
    "int4_asym": "INT4-asym",
    "fp4": "FP4",
    "bitmod_4b_er": "BitMoD, ER only",
    "bitmod_4b_ea": "BitMoD, EA only",
    "bitmod_4b": "BitMoD",
    "bitmod_4b_int8scale": "BitMoD, INT8 scales",
    "ant3": "ANT",
    "olive3": "OliVe",
    "mx_fp3": "MX-FP3",
    "int3_asym": "INT3-asym",
    "fp3": "FP3",
    "bitmod_3b_er": "BitMoD, ER only",
    "bitmod_3b_ea": "BitMoD, EA only",
    "bitmod_3b": "BitMoD",
    "bitmod_3b_int8scale": "BitMoD, INT8 scales",
}
PANELS = {
    "4 bits": [name for name in NAMES if "4" in name or name == "int6_sym"],
    "3 bits": [name for name in NAMES if "3" in name],
}
ORDERINGS = "which of two is better"
PAIRS = (
    ("bitmod_4b", "ant4"),
    ("bitmod_4b", "olive4"),
    ("bitmod_4b", "mx_fp4"),
    ("bitmod_4b", "int4_asym"),
    ("bitmod_4b", "bitmod_4b_er"),
    ("bitmod_4b", "bitmod_4b_ea"),
    ("bitmod_4b_er", "bitmod_4b_ea"),
    ("int4_asym", "fp4"),
    ("int4_asym", "mx_fp4"),
    ("bitmod_3b", "ant3"),
    ("bitmod_3b", "olive3"),
    ("bitmod_3b", "mx_fp3"),
    ("bitmod_3b", "int3_asym"),
    ("bitmod_3b", "bitmod_3b_er"),
    ("bitmod_3b", "bitmod_3b_ea"),
    ("bitmod_3b_ea", "bitmod_3b_er"),
    ("int3_asym", "fp3"),
    ("int3_asym", "mx_fp3"),
)


class PaperPerplexities(BaseModel):
    """Perplexities that a paper prints of one model on several texts, by format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    model: str
    texts: list[str]
    perplexities: dict[str, list[float]]

    def by_text(self) -> dict[str, Mapping[str, float]]:
        """Perplexities by format, for each text by the model's and its name."""
        return {
            f"{self.model}, {text}": {name: row[at] for name, row in self.perplexities.items()}
            for at, text in enumerate(self.texts)
        }


def paper_perplexities() -> PaperPerplexities:
    """What BitMoD's paper prints."""
    return bind(load_part(FOLDER / "baselines" / "bitmod_perplexity.yaml"), PaperPerplexities)


def measure(study: Study) -> list[Value]:
    """Perplexities over that of FP16 by format, and ratios of two formats' perplexities; ours, and the paper's."""
    formats = study.formats
    # Readers of the same checkpoint share the weights in a format.
    ours: dict[str, dict[str, float]] = {reader.name: {} for reader in formats.readers}
    for name in (FP16, *NAMES):
        for reader in formats.readers:
            ours[reader.name][name] = formats.perplexity(reader, name)
    paper = paper_perplexities().by_text()
    return [
        *(value for panel in PANELS for value in _increases(panel, ours, is_paper=False)),
        *(value for panel in PANELS for value in _increases(panel, paper, is_paper=True)),
        *_ratios(ours, is_paper=False),
        *_ratios(paper, is_paper=True),
    ]


def _increases(panel: str, found: Mapping[str, Mapping[str, float]], *, is_paper: bool) -> Iterator[Value]:
    for who, by_format in found.items():
        for name in PANELS[panel]:
            if name in by_format:
                yield Value(panel, who, NAMES[name], by_format[name] / by_format[FP16], is_baseline=is_paper)


def _ratios(found: Mapping[str, Mapping[str, float]], *, is_paper: bool) -> Iterator[Value]:
    for who, by_format in found.items():
        for one, other in PAIRS:
            yield Value(ORDERINGS, who, pair_name(one, other), by_format[one] / by_format[other], is_baseline=is_paper)


def pair_name(one: str, other: str) -> str:
    """A pair in a row's words: `3b BitMoD / ANT`."""
    bits = "3b" if "3" in one else "4b"
    return f"{bits} {NAMES[one]} / {NAMES[other]}".replace("BitMoD, ", "").replace(" only", "")


FIGURE = Figure(
    name="bitmod-perplexity",
    title="What formats of weights cost a model",
    caption=(
        "Left and middle: perplexity over that of FP16 weights, groups of 128 (MX: 32); ours in blue, green, red, the "
        "paper's Llama-2-7B in orange. Right: one format's perplexity over another's; left of 1 the first is better. "
        "The word at the end says whether ours are on the paper's side of 1."
    ),
    source="BitMoD (HPCA'25), perplexity of formats and ablation",
    panels=(
        Panel("4 bits", "dots", x="perplexity / FP16's", reference=1.0, log_x=True, breadth=5.0),
        Panel("3 bits", "dots", x="perplexity / FP16's", log_x=True, breadth=5.0),
        Panel(ORDERINGS, "orderings", x="ratio of perplexities", reference=1.0, log_x=True, breadth=6.0),
    ),
    runs={},
    measure=measure,
    cautions=(
        f"Ours: {N_WINDOWS} windows of {WINDOW_TOKENS:,} tokens of tiny-llama, on our own source; and "
        "where `../shared/models` is there, of tiny-llama and one of small-llama on held-out text. One such: `sim run "
        "hw_configs/bitmod.yaml --workload accuracy --set workload.format=bitmod_3b --set workload.n_windows=2`.",
        "Models of 6.5 and 28 million parameters lose more than one of 7 billion: orderings are compared, not sizes. "
        "On so few tokens two formats within half a per cent of each other are even.",
        "ER: extra resolution, +-5 or +-3. EA: extra asymmetry, +-8 or +-6. BitMoD: the better of all four for each "
        "group, by the error of the weights, which is not the loss: where EA alone wins, that is why.",
        "The paper prints two decimals: FP4 and INT4-asym are even on Wikitext-2 and differ on C4.",
    ),
    inches=(11.0, 4.4),
)
