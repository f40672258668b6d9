/** An Event's note holds 1024 bytes (`NoteLengthLimit` of kube-apiserver): room for three such lists and what stands between. */
const MAX_LENGTH = 280;

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/**
 * `namespace/name` of each, as many as fit in a sentence, and how many more there are.
 *
 * @example
 * namesOf(victims); // 'default/a, default/b and 7 more'
 */
export function namesOf(objects: readonly Named[]): string {
  const names: string[] = [];
  let length = 0;
  for (const object of objects) {
    const name = nameOf(object);
    length += name.length + 2;
    if (names.length > 0 && length > MAX_LENGTH) break;
    names.push(name);
  }
  const left = objects.length - names.length;
  return left > 0 ? `${names.join(', ')} and ${left} more` : names.join(', ');
}

export function nameOf({ namespace, name }: Named): string {
  return `${namespace}/${name}`;
}
