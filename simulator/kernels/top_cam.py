"""The sorted content-addressed memory of a tracker: the K keys of the largest estimates, in falling order."""

from numba import njit


@njit(cache=True)
def offer(key, estimate, cam_key, cam_count, n):
    """Show the memory a key's estimate; returns how many entries it holds then.

    cam_key uint32[K] and cam_count int64[K] hold n entries. A resident takes the new estimate and moves in front of the
    first strictly smaller entry, behind its equals; another key is entered in the same way if there is
    room, or if its estimate is strictly above the last entry's, which goes.
    """
    at = n
    for place in range(n):
        if cam_key[place] == key:
            at = place
            break
    if at == n:
        if n < len(cam_key):
            n += 1
        elif estimate > cam_count[n - 1]:
            at = n - 1
        else:
            return n
    elif estimate <= cam_count[at]:
        while at + 1 < n and cam_count[at + 1] >= estimate:
            cam_key[at] = cam_key[at + 1]
            cam_count[at] = cam_count[at + 1]
            at += 1
    while at > 0 and cam_count[at - 1] < estimate:
        cam_key[at] = cam_key[at - 1]
        cam_count[at] = cam_count[at - 1]
        at -= 1
    cam_key[at] = key
    cam_count[at] = estimate
    return n


@njit(cache=True)
def report(cam_key, cam_count, n, picked_key, picked_count):
    """Copy n entries, uint32[K] and int64[K], and return n."""
    for place in range(n):
        picked_key[place] = cam_key[place]
        picked_count[place] = cam_count[place]
    return n
