import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import path from 'node:path';
import { listSupportedBackends } from 'onnxruntime-node';
import { measureSpeed } from '../benchmark.ts';
import { type CommandContext, ENTRY, print, printJson, VERSION } from '../context.ts';
import { energyFindings } from '../energy-findings.ts';
import type { Finding } from '../finding.ts';
import { bytes, integer } from '../live/format.ts';
import { siteFolder } from './owner.ts';

/** Says what this machine has for training, what is missing, and the command that brings it. */
export async function doctor({ site }: { readonly site?: string }, context: CommandContext): Promise<number> {
  const energy = await energyFindings({
    siteFile: path.resolve(site ?? path.join(siteFolder(context.environment), 'site.yaml')),
    nowMs: Date.now(),
    builtMs: statSync(ENTRY).mtimeMs,
    environment: context.environment,
  });
  const findings = [node(), cpu(), memory(), disk(context.runs), ...providers(), ...energy, ...(await speed())];
  if (context.json) printJson({ heliotrope: VERSION, findings });
  else {
    print(`heliotrope ${VERSION} on ${platform()}-${arch()}`);
    for (const { name, ok, found, fix } of findings) {
      print(`  ${ok ? '✓' : '✗'} ${name.padEnd(22)}${found}`);
      if (fix !== undefined) print(`    ${' '.repeat(22)}${fix}`);
    }
  }
  return findings.every((f) => f.ok) ? 0 : 1;
}

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  const fix = major >= 24 ? {} : { fix: 'npm install   (brings Node 24 as a package)' };
  return { name: 'Node', ok: major >= 24, found: process.versions.node, ...fix };
}

function cpu(): Finding {
  return { name: 'CPU', ok: true, found: `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} threads` };
}

function memory(): Finding {
  const ok = freemem() > 1e9;
  return {
    name: 'Memory',
    ok,
    found: `${bytes(freemem())} free of ${bytes(totalmem())}`,
    ...(ok ? {} : { fix: 'Close some programs: an island of a small model needs about 0.5 GB.' }),
  };
}

function disk(runs: string): Finding {
  let folder = path.resolve(runs);
  while (!existsSync(folder)) folder = path.dirname(folder);
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return {
      name: 'Runs folder',
      ok: false,
      found: `${folder} is not writable`,
      fix: 'Choose another with --runs DIR.',
    };
  }
  const { bavail, bsize } = statfsSync(folder);
  const ok = bavail * bsize > 1e9;
  return {
    name: 'Runs folder',
    ok,
    found: `${folder}, ${bytes(bavail * bsize)} free`,
    ...(ok ? {} : { fix: 'Free some space, or choose another with --runs DIR.' }),
  };
}

/** Execution providers of ONNX Runtime, as `--device` takes them; what a GPU here would need. */
function providers(): readonly Finding[] {
  const found = listSupportedBackends().map(
    ({ name, bundled }) => `${name}${bundled ? '' : ' (libraries not installed)'}`,
  );
  const gpu =
    existsSync('/dev/nvidia0') && !listSupportedBackends().some(({ name, bundled }) => name === 'cuda' && bundled);
  return [
    { name: 'ONNX Runtime', ok: found.some((f) => f.startsWith('cpu')), found: found.join(', ') },
    ...(gpu
      ? [
          {
            name: 'NVIDIA GPU',
            ok: true,
            found: 'present; its libraries are not installed, so islands compute on the CPU',
            fix: 'CUDA libraries: ONNXRUNTIME_NODE_INSTALL=cuda npm rebuild onnxruntime-node',
          },
        ]
      : []),
  ];
}

const BENCHMARK = {
  architecture: 'gpt2',
  vocabularySize: 1024,
  contextLength: 128,
  width: 128,
  layers: 4,
  heads: 4,
} as const;

async function speed(): Promise<readonly Finding[]> {
  const counts = [...new Set([1, availableParallelism()])];
  const findings: Finding[] = [];
  for (const threads of counts) {
    const optimizer = { kind: 'adamw', rate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
    const schedule = { warmUpSteps: 0, totalSteps: 1, finalShare: 1 };
    const training = { model: BENCHMARK, optimizer, schedule, batchSize: 8, clipNorm: 1 };
    const tokensPerS = await measureSpeed(training, threads);
    findings.push({
      name: `Speed, ${threads} thread${threads === 1 ? '' : 's'}`,
      ok: true,
      found: `${integer(tokensPerS)} tokens/s training a GPT-2 of 0.94 M parameters`,
    });
  }
  return findings;
}
