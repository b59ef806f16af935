"""file_cleanup_manager: what libfilecleanup is measured against, the FileCleanupManager 3.0 of Python.

A model of its ways, with nothing added: a set of Path under an RLock; stat, the comparison of mtime, and
asyncio.to_thread(unlink) for each file in turn; empty directories afterwards; statistics by a second look at all.

    file_cleanup_manager.py clean DIR N   make, track and clean N files: CPU and wall ns for one
    file_cleanup_manager.py track DIR N   track and untrack with N tracked: CPU ns for one call of each
    file_cleanup_manager.py memory DIR N  track N names of 40 bytes: bytes for one
"""
import asyncio
import gc
import logging
import os
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Dict, Optional, Set, Union

logger = logging.getLogger(__name__)


class FileCleanupManager:
    def __init__(self, base_temp_dir: Union[str, Path], default_ttl_hours: int = 24,
                 cleanup_interval_minutes: int = 30):
        self.base_temp_dir = Path(base_temp_dir)
        self.default_ttl_hours = default_ttl_hours
        self.cleanup_interval_minutes = cleanup_interval_minutes
        self.base_temp_dir.mkdir(parents=True, exist_ok=True)
        self._tracked_files: Set[Path] = set()
        self._lock = threading.RLock()
        self._cleanup_task: Optional[asyncio.Task] = None

    def track_file(self, file_path: Union[str, Path]) -> None:
        with self._lock:
            self._tracked_files.add(Path(file_path))

    def untrack_file(self, file_path: Union[str, Path]) -> None:
        with self._lock:
            self._tracked_files.discard(Path(file_path))

    async def cleanup_file(self, file_path: Union[str, Path]) -> bool:
        path = Path(file_path)
        try:
            if path.exists():
                await asyncio.to_thread(path.unlink)
                self.untrack_file(path)
                return True
        except OSError as error:
            logger.error("Failed to clean up %s: %s", path, error)
        return False

    async def cleanup_old_files(self, max_age_hours: Optional[int] = None) -> Dict[str, float]:
        hours = self.default_ttl_hours if max_age_hours is None else max_age_hours
        cutoff = datetime.now() - timedelta(hours=hours)
        removed_count = removed_size = errors = 0
        with self._lock:
            files = list(self._tracked_files)
        for path in files:
            try:
                if not path.exists():
                    self.untrack_file(path)
                    continue
                status = path.stat()
                if datetime.fromtimestamp(status.st_mtime) > cutoff:
                    continue
                if path.is_file():
                    await asyncio.to_thread(path.unlink)
                    removed_count += 1
                    removed_size += status.st_size
                self.untrack_file(path)
            except OSError as error:
                errors += 1
                logger.error("Failed to clean up %s: %s", path, error)
        await self._cleanup_empty_directories()
        with self._lock:
            remaining = len(self._tracked_files)
        return {"removed_count": removed_count, "removed_size_bytes": removed_size,
                "removed_size_mb": round(removed_size / (1024 * 1024), 2), "errors": errors,
                "tracked_files_remaining": remaining}

    async def _cleanup_empty_directories(self) -> None:
        for directory in sorted(self.base_temp_dir.rglob("*"), reverse=True):
            if directory.is_dir() and not any(directory.iterdir()):
                await asyncio.to_thread(directory.rmdir)

    def get_stats(self) -> Dict[str, object]:
        with self._lock:
            total = sum(path.stat().st_size for path in self._tracked_files if path.exists())
            return {"tracked_files": len(self._tracked_files), "total_size_bytes": total,
                    "total_size_mb": round(total / (1024 * 1024), 2),
                    "periodic_cleanup_running": self._cleanup_task is not None,
                    "default_ttl_hours": self.default_ttl_hours,
                    "cleanup_interval_minutes": self.cleanup_interval_minutes}


def names(directory, count):
    return [os.path.join(directory, f"file-{i:035d}") for i in range(count)]


def resident():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def clean(directory, count):
    manager = FileCleanupManager(directory)
    for name in names(directory, count):
        with open(name, "w", encoding="ascii"):
            pass
        manager.track_file(name)
    time.sleep(0.01)  # older than a cut-off of now

    async def measured():
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        result = await manager.cleanup_old_files(0)
        return result, time.process_time_ns() - cpu, time.perf_counter_ns() - wall

    result, cpu, wall = asyncio.run(measured())
    if result["removed_count"] != count or os.listdir(directory):
        sys.exit(f"{result['removed_count']} of {count} were removed")
    print(cpu // count, wall // count)


def track(directory, count):
    manager = FileCleanupManager(directory)
    for name in names(directory, count):
        manager.track_file(name)
    calls = 10000
    more = [name + "+" for name in names(directory, calls)]
    start = time.process_time_ns()
    for name in more:
        manager.track_file(name)
    between = time.process_time_ns()
    for name in more:
        manager.untrack_file(name)
    end = time.process_time_ns()
    if len(manager._tracked_files) != count:
        sys.exit("the set is not what it was")
    print((between - start) // calls, (end - between) // calls)


def memory(directory, count):
    manager = FileCleanupManager(directory)
    gc.collect()
    before = resident()
    for i in range(count):
        manager.track_file(os.path.join(directory, f"file-{i:035d}"))
    gc.collect()
    print((resident() - before) // count)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("clean", "track", "memory"):
        sys.exit(__doc__)
    {"clean": clean, "track": track, "memory": memory}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
