"""Jobs as others call them that keep apart from them: by their project, and their name."""

from headrace.jobs import JobSpec

Name = tuple[str, str]


def name_of(spec: JobSpec) -> Name:
    """The job's own; all elements of an array, and all tasks of a gang, have the same."""
    return spec.project, spec.display_name


def kept_apart(spec: JobSpec) -> tuple[Name, ...]:
    """Those that are on no node with it."""
    if spec.neighbours is None:
        return ()
    return tuple([(spec.project, one) for one in spec.neighbours.apart_from])
