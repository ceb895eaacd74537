"""Notices that a source may have changed and says so. It never reads a source itself.

Events of the file system only make this fast. Polls, and a full round now and then, make it right:
inotify is silent on network file systems, after an overflow, and when it runs out of watches.
"""

from envwatch.watch.dirty import Dirty, Mark
from envwatch.watch.expected import Expected
from envwatch.watch.watcher import Watcher

__all__ = ["Dirty", "Expected", "Mark", "Watcher"]
