import { AppError } from '../observe/error-codes.ts';

/** What the runtime wrapper needs to know about the node it is installed on. Absent: what it says itself. */
export interface WrapperSettings {
  /** The real runtime. Absent: the first of the usual paths. */
  readonly runtime?: string;
  /** Folder shared with the agent. */
  readonly run?: string;
  /** Seconds that it waits for the agent. */
  readonly answerWithin?: number;
}

/** Lines of `deploy/node/reprieve-runc` that belong to the node. */
const LINES = { runtime: 'runtime', run: 'run', answerWithin: 'answer_within' } as const satisfies Record<
  keyof WrapperSettings,
  string
>;

/** The wrapper's text with `settings` in the lines that it keeps for them. Throws `WrapperSettingInvalid`. */
export function wrapperFor(template: string, settings: WrapperSettings): string {
  let text = template;
  for (const [setting, name] of Object.entries(LINES) as [keyof WrapperSettings, string][]) {
    const value = settings[setting];
    if (value === undefined) continue;
    const plain = String(value);
    // It becomes a word of a shell script: nothing in it may need quoting.
    if (!/^[\w./+@:-]+$/.test(plain)) throw new AppError('WrapperSettingInvalid', { name, value: plain });
    text = text.replace(new RegExp(`^${name}=\\S*`, 'm'), () => `${name}=${plain}`);
  }
  return text;
}
