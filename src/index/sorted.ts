/** Arrays in a total order: no two elements compare as equal, so each has one place. */

type Comparator<T> = (a: T, b: T) => number;

export function insert<T>(sorted: T[], element: T, compare: Comparator<T>): void {
  sorted.splice(placeOf(sorted, element, compare), 0, element);
}

/** Removes an element that is there. */
export function remove<T>(sorted: T[], element: T, compare: Comparator<T>): void {
  sorted.splice(placeOf(sorted, element, compare), 1);
}

function placeOf<T>(sorted: readonly T[], element: T, compare: Comparator<T>): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(sorted[middle] as T, element) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
