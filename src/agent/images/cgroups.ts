import { ImageRefused, type Message } from './decode.ts';

/**
 * The processes of a container lie in its cgroup or below, and CRIU renames that. A set elsewhere would be joined as it stands, and a
 * property with a path as its name would be written wherever that leads.
 */
export function checkCgroups(entry: Message, rootSet: number): void {
  const sets = entry.messages('sets');
  const roots = new Map(
    (sets.find((set) => set.number('id') === rootSet)?.messages('ctls') ?? []).map((one) => [
      one.text('name'),
      one.text('path'),
    ]),
  );
  const isBelow = (root: string, path: string): boolean => path === root || path.startsWith(`${root}/`);
  for (const [name, path] of roots) {
    if (!PATH.test(path)) throw new ImageRefused(`its cgroup of ${name || 'version 2'} is ${path}`);
  }
  for (const member of sets.flatMap((set) => set.messages('ctls'))) {
    const [name, path] = [member.text('name'), member.text('path')];
    const root = roots.get(name);
    if (root === undefined || !PATH.test(path) || !isBelow(root, path)) {
      throw new ImageRefused(`a process is in the cgroup ${path}, which is not below that of the container`);
    }
  }
  for (const controller of entry.messages('controllers')) {
    for (const folder of controller.messages('dirs')) {
      const path = `/${folder.text('dir_name')}`;
      const isOwn = controller.texts('cnames').every((name) => isBelow(roots.get(name) ?? '//', path));
      if (!isOwn || !PATH.test(path))
        throw new ImageRefused(`it makes the cgroup ${path}, which is not below that of the container`);
      checkFolder(folder);
    }
  }
}

const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[^/]+)+$/;
const NAME = /^(?!\.{1,2}$)[^/]+$/;
const PROPERTY = /^[a-z0-9_]+(?:\.[a-z0-9_]+)*$/i;

function checkFolder(folder: Message): void {
  const odd = folder.messages('properties').find((one) => !PROPERTY.test(one.text('name')));
  if (odd !== undefined)
    throw new ImageRefused(`it sets ${JSON.stringify(odd.text('name'))}, which is no property of a cgroup`);
  for (const child of folder.messages('children')) {
    if (!NAME.test(child.text('dir_name')))
      throw new ImageRefused(`it makes the cgroup ${JSON.stringify(child.text('dir_name'))}`);
    checkFolder(child);
  }
}
