import type { Command } from 'commander';
import { HelioError } from '../../errors.ts';
import { print } from '../context.ts';

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** Prints a completion script for a shell, made from the commands and options that there are. */
export function completion(shell: string, program: Command): number {
  const commands = program.commands.map((c) => ({
    name: c.name(),
    description: c.description(),
    options: c.options.flatMap((o) => (o.long ? [o.long] : [])),
  }));
  const names = commands.map((c) => c.name).join(' ');
  const global = program.options.flatMap((o) => (o.long ? [o.long] : [])).join(' ');
  switch (shell) {
    case 'bash':
    case 'zsh': {
      const cases = commands.map((c) => `    ${c.name}) words="${c.options.join(' ')} ${global}" ;;`).join('\n');
      const head = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : '';
      print(`${head}_heliotrope() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${names} ${global}"
  else
    case "\${COMP_WORDS[1]}" in
${cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
}
complete -o filenames -F _heliotrope heliotrope`);
      return 0;
    }
    case 'fish':
      for (const c of commands) {
        print(
          `complete -c heliotrope -n __fish_use_subcommand -a ${c.name} -d '${c.description.replaceAll("'", "\\'")}'`,
        );
        for (const option of c.options)
          print(`complete -c heliotrope -n '__fish_seen_subcommand_from ${c.name}' -l ${option.slice(2)}`);
      }
      return 0;
    case 'powershell':
      print(`Register-ArgumentCompleter -Native -CommandName heliotrope -ScriptBlock {
  param($word, $ast, $position)
  '${[...names.split(' '), ...global.split(' ')].join("','")}' | Where-Object { $_ -like "$word*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
}`);
      return 0;
    default:
      throw new HelioError(
        'HELIO-1006',
        `There is no completion for the shell ${shell}.`,
        `Choose one of ${SHELLS.join(', ')}.`,
      );
  }
}
