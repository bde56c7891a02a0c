"""What `find_myelin.py` says at its end: how images were segmented, what is doubtful or kept."""

from myelin.folders.ownership import MODELS_OWN
from myelin.runtime.cli import shortened_list


def report(facts, model, folder):
    """Say how the images were segmented, and which are doubtful or show no fibers."""
    ways = {}
    for name, fact in facts.items():
        if fact["has_fibers"]:
            ways.setdefault((fact["myelin"], fact["network_scale"]), []).append(name)
    shown = ", ".join(
        f"{len(names)} at scale {scale:g} ({'myelin ' * (myelin != 'as it is')}{myelin})"
        for (myelin, scale), names in ways.items()
    )
    print(f"segmented {len(facts)} images with {model}: {shown or 'fibers in none'}; see {folder}/")
    doubted = [name for name, fact in facts.items() if fact["doubtful"]]
    if doubted:
        print(f"note: look closely at {', '.join(doubted)}: the network is less sure there")
    empty = [name for name, fact in facts.items() if not fact["has_fibers"]]
    if empty:
        print(
            f"note: no fibers found at any scale in {', '.join(empty)}; "
            "--myelin and --scale segment them all the same"
        )


def name_corrected(record):
    """Say which masks the user has corrected, and what became of them."""
    if record.kept:
        kept = sorted(record.kept)
        names = ", ".join(path.relative_to(record.folder).as_posix() for path in kept)
        wheres = dict.fromkeys(f"{path.parent / MODELS_OWN}/" for path in kept)
        print(
            f"kept, corrected by hand: {names}; the model's are in "
            f"{shortened_list(list(wheres))}, --force replaces yours after a copy"
        )
    for why, paths in (("--force", record.replaced), ("the image has changed", record.outdated)):
        for where in dict.fromkeys(path.parent for path in paths):
            names = ", ".join(path.name for path in paths if path.parent == where)
            print(f"replaced, corrected by hand ({why}): yours are in {where}/: {names}")
