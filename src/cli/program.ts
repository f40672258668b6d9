import { Command, InvalidArgumentError } from 'commander';

/** Subcommands load their code when they run: `--help` must not wait for a server's dependencies. */
export const program = new Command('reprieve')
  .description('Saves low-priority pods before kube-scheduler preempts them, and brings them back.')
  .showHelpAfterError('(reprieve --help lists what there is)')
  .configureHelp({ helpWidth: 80 });

program
  .command('serve')
  .description('run the extender, the webhook and the controller')
  .option('-c, --config <file>', 'ReprieveConfiguration, YAML or JSON; defaults without it')
  .action(async (options: { config?: string }) => {
    const { serve } = await import('./serve.ts');
    process.exitCode = await serve(options);
  });

program
  .command('agent')
  .description('save and restore the pods of this node; as root')
  .option('-c, --config <file>', 'ReprieveConfiguration, YAML or JSON; defaults without it')
  .action(async (options: { config?: string }) => {
    const { agent } = await import('./agent.ts');
    process.exitCode = await agent(options);
  });

program
  .command('demo')
  .description('play a cluster in this process: it is preempted and loses no work')
  .option('--once', 'end after the story', false)
  .option('--json', 'print the figures as one JSON object on the last line; implies --once', false)
  .option('--seed <number>', 'another story', wholeNumber, 1)
  .option('--speed <factor>', 'simulated seconds per second', positiveNumber, 30)
  .action(async (options: { once: boolean; json: boolean; seed: number; speed: number }) => {
    const { demo } = await import('./demo.ts');
    process.exitCode = await demo(options);
  });

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It must be a number greater than 0.');
  return value;
}
