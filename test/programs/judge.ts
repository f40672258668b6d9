import type { Facts, Judge } from './types.ts';

/** Lines of a name, a blank and a value. */
export function factsIn(text: string): Facts {
  const pairs = text
    .split('\n')
    .map((line) => /^(\S+) +(.+?)\s*$/.exec(line))
    .filter((match) => match !== null);
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value]));
}

/** Whether a program prints everything that it is judged by. */
export function isComplete({ grows, same = [], is = {} }: Judge, facts: Facts): boolean {
  return [...grows, ...same, ...Object.keys(is)].every((name) => facts[name] !== undefined);
}

/** What is not as it must be, one line for each; empty: the program is whole. */
export function differences({ grows, same = [], is = {} }: Judge, before: Facts, after: Facts): string[] {
  const said = (facts: Facts, name: string): string => facts[name] ?? 'nothing';
  const told = (name: string): string => `${name} was ${said(before, name)}, is ${said(after, name)}`;
  return [
    ...grows.filter((name) => !(Number(after[name]) > Number(before[name]))).map(told),
    ...same.filter((name) => after[name] === undefined || after[name] !== before[name]).map(told),
    ...Object.entries(is)
      .filter(([name, value]) => after[name] !== value)
      .map(([name, value]) => `${name} must be ${value}, is ${said(after, name)}`),
  ];
}
