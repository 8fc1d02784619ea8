"""Fills a practice stick's overlay as the kernel does: by entries at its exception list's end.

The format is dm-snapshot's persistent store (drivers/md/dm-snap-persistent.c).
"""

import struct

SECTOR = 512


def overlay(stick):
    return next((stick / "LiveOS").glob("overlay-*"))


def fill(stick, percent):
    """Adds exceptions until at least `percent` of the overlay is allocated."""
    path = overlay(stick)
    total = path.stat().st_size
    with open(path, "r+b", buffering=0) as store:
        magic, valid, version, chunk_sectors = struct.unpack("<IIII", store.read(16))
        assert (magic, valid, version) == (0x70416E53, 1, 1)
        chunk = chunk_sectors * SECTOR
        per_area = chunk // 16
        entries = []
        while True:
            area, index = divmod(len(entries), per_area)
            if index == 0:
                store.seek((1 + area * (per_area + 1)) * chunk)
                block = store.read(chunk)
            old, new = struct.unpack_from("<QQ", block, index * 16)
            if new == 0:
                break
            entries.append((old, new))
        highest = max(new for _, new in entries)
        used = {old for old, _ in entries}
        fresh = (old for old in range(1 << 30) if old not in used)
        while (highest + 1) * chunk * 100 < total * percent:
            highest += 1
            if highest % (per_area + 1) == 1:
                highest += 1
            area, index = divmod(len(entries), per_area)
            place = (1 + area * (per_area + 1)) * chunk
            if index == 0:
                store.seek(place)
                store.write(bytes(chunk))
            entry = (next(fresh), highest)
            store.seek(place + index * 16)
            store.write(struct.pack("<QQ", *entry))
            entries.append(entry)
