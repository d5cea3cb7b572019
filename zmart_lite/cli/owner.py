"""Commands of root in a folder of somebody else: what they make belongs to whom the folder belongs to.

Else the node, which runs as a user of its own, could not write its own files after a command by root; and a link that
this user put there could lead root's hand anywhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_owner_of(database: Path) -> Iterator[None]:
    """Act as the owner of the folder that holds a database, if this is root; where that is root's, too, as the owner of
    the database. The folder nearest to it counts where it does not exist yet.
    """
    user, group = os.geteuid(), os.getegid()
    owner = _owner(database.parent)
    if owner is not None and owner.st_uid == 0:
        owner = _owner(database)
    if user != 0 or owner is None or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


def _owner(folder: Path) -> os.stat_result | None:
    for path in (folder, *folder.absolute().parents):
        try:
            return path.stat()
        except OSError:
            continue
    return None
