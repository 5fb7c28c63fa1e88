"""Brings the columns in which places are looked for up to what the book knows."""

from itertools import islice

from controller.core.book import Book


def see_nodes(book: Book, most: int | None = None) -> None:
    """Brings the snapshot up to what the book knows; of so many nodes (at `most`) that are not as they were."""
    stale, read_anew = book.stale, book.read_anew
    book.stale, book.read_anew = {}, {}
    if most is not None and len(stale) > most:
        book.stale = dict(islice(stale.items(), most, None))
        stale = dict(islice(stale.items(), most))
    for node_id in read_anew:
        book.snapshot.put_readings(book.nodes[node_id])
    for node_id, is_another in stale.items():
        node = book.nodes.get(node_id)
        if node is not None and book.snapshot.put(node, book.usage(node_id), is_another=is_another):
            book.queue.gained[book.snapshot.slots[node_id]] = None
