"""Whether a job's images are for any node that there is: asked once, when the job is submitted."""

from collections.abc import Collection, Iterable

from controller.core.placement.fit import bound, runnable
from headrace.attempts import Platform
from headrace.changes import replace
from headrace.jobs import Emulation, ImagePin, JobSpec
from headrace.nodes import Node
from headrace.refusals import Code, Refusal


def unrunnable(spec: JobSpec, images: tuple[ImagePin, ...], nodes: Collection[Node]) -> Refusal | None:
    """The refusal of a job that no node could run, in whatever state the nodes are just now.

    `None` where one could run some image of it (its own, or a variant's), and where no node is known yet.
    """
    if _runs_on_any(spec, images, nodes):
        return None
    known = [node for node in nodes if node.description.platforms]
    if not known:
        return None
    platforms = [platform for node in known for platform in node.description.platforms]
    emulates = spec.emulation is Emulation.ALLOWED
    remedies = ["build it for one of these"]
    if _runs_on_any(replace(spec, emulation=Emulation.ALLOWED), images, known):
        remedies.append("say `emulation: allowed` in the job file (a node would emulate it)")
    wanted = _listed(pin.platform for pin in images)
    remedies.append(f"add a node for {wanted}")
    able = _listed(one for one in platforms if emulates or not one.emulated) or "nothing without emulation"
    message = f"no node can run {_made(images)}; the nodes that there are run {able}; {', or '.join(remedies)}"
    return Refusal(Code.FAILED_PRECONDITION, "IMAGE_NO_NODE", message, image=spec.image)


def _runs_on_any(spec: JobSpec, images: tuple[ImagePin, ...], nodes: Iterable[Node]) -> bool:
    # Which variant a node gets may depend on what is free there, so each counts on each node.
    variants = [bound(spec, number) for number in range(len(spec.variants) + 1)]
    # There are far more nodes than kinds of them.
    refused: dict[tuple[Platform, ...], None] = {}
    for node in nodes:
        if node.description.platforms not in refused:
            if any(not isinstance(runnable(images, one, node), str) for one in variants):
                return True
            refused[node.description.platforms] = None
    return False


def _made(images: tuple[ImagePin, ...]) -> str:
    references = dict.fromkeys(pin.reference for pin in images)
    made = (_listed(pin.platform for pin in images if pin.reference == one) for one in references)
    return ", nor ".join(f"{one}, which is for {theirs}" for one, theirs in zip(references, made, strict=True))


def _listed(platforms: Iterable[Platform]) -> str:
    texts = (f"{one} (emulated)" if one.emulated else str(one) for one in platforms)
    return ", ".join(sorted(dict.fromkeys(texts)))
