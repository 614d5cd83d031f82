/**
 * A clock in milliseconds that never goes back: the wall clock sees the time that a
 * suspended machine slept, the monotonic one does not heed corrections, and this is
 * the later of the two.
 */
export function newClock(): () => number {
  let offset = -Infinity;
  return () => {
    const monotonic = performance.now();
    offset = Math.max(offset, Date.now() - monotonic);
    return monotonic + offset;
  };
}
