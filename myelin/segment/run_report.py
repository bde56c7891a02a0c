"""The report at the end of a run: how images were segmented, and which to check."""

from pathlib import Path

from myelin.folders.mask_record import MODELS_OWN
from myelin.runtime.cli import count_of, shortened_list
from myelin.segment.run_summary import Summary


def report(summary: Summary, model: Path) -> None:
    """Print how the images were segmented, which are doubtful, and what became of the user's."""
    facts, ways = summary.images, {}
    for name, fact in facts.items():
        if fact["has_fibers"]:
            ways.setdefault((fact["myelin"], fact["network_scale"]), []).append(name)
    kinds = {"dark": "myelin dark", "bright": "myelin bright"}
    parts = ", ".join(
        f"{len(names)} at scale {scale:g} ({kinds.get(myelin, myelin)})"
        for (myelin, scale), names in ways.items()
    )
    parts = parts or "no fibers found"
    print(f"segmented {count_of(len(facts), 'image')} with {model}: {parts}; see {summary.folder}/")
    doubtful = [name for name, fact in facts.items() if fact["doubtful"]]
    if doubtful:
        print(
            f"note: {', '.join(doubtful)}: parts of the image disagree on polarity or scale; check "
            "the overlay, and if it is wrong set both, such as --myelin dark --scale 2"
        )
    empty = [name for name, fact in facts.items() if not fact["has_fibers"]]
    if empty:
        print(
            f"note: no fibers found at any scale in {', '.join(empty)}; to segment anyway, set "
            "--myelin and --scale"
        )
    report_users_masks(summary)


def report_users_masks(summary: Summary) -> None:
    """Print which masks edited by the user were kept, and where copies of the replaced ones are."""
    if summary.kept:
        kept = sorted(summary.kept)
        folders = dict.fromkeys(f"{summary.folder / path.parent / MODELS_OWN}/" for path in kept)
        print(
            f"kept, corrected by hand: {', '.join(path.as_posix() for path in kept)}; the model's "
            f"are in {shortened_list(list(folders))}, --force replaces yours after a copy"
        )
    report_copies("--force", [summary.folder / path for path in sorted(summary.replaced)])


def report_copies(why: str, paths: list[Path]) -> None:
    """Print where the user's files are that were replaced."""
    for folder in dict.fromkeys(path.parent for path in paths):
        names = ", ".join(path.name for path in paths if path.parent == folder)
        print(f"replaced, corrected by hand ({why}): yours are in {folder}/: {names}")
