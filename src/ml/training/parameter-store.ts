import {
  type Feeds,
  fetchFloats,
  floatTensor,
  type Runtime,
  type Session,
  scalarTensor,
  type Tensor,
} from '../engine/session.ts';
import { elementsOf, type ParameterArrays, type ParameterSpec } from '../tensor/parameters.ts';
import { decayOf, type InnerOptimizer, MOMENTS, type Rule, ruleOf, updateGraph, updateScalars } from './optimizer.ts';
import { gradientName, sumName } from './training-graph.ts';

/** Elements that one run of an elementwise update works on: what it needs in between stays in the processor's cache. */
const CHUNK_ELEMENTS = 2 ** 18;
/** Elements of matrices that Muon works on together. */
const STACK_ELEMENTS = 2 ** 22;

/** Parameters that are updated alike, end to end in one array: by Muon all matrices of a shape, else all of one decay. */
interface Group {
  readonly rule: Rule;
  readonly decay: number;
  readonly specs: readonly ParameterSpec[];
  readonly runs: readonly Run[];
}

/** One call of an update graph: its session, and the tensors it takes by the graph's names. */
interface Run {
  readonly session: Session;
  readonly tensors: Record<string, Tensor>;
}

/**
 * The parameters of a model in training, their gradients and moments.
 *
 * In ordinary memory each kind lies in one array for each group, and is updated where it lies. On a device with memory
 * of its own every parameter is a group, and its tensors are replaced by what an update gives back.
 */
export class ParameterStore {
  readonly #groups: readonly Group[];
  readonly #optimizer: InnerOptimizer;
  readonly #frozen: Feeds;
  /** What the gradient graph takes and gives, by its names; on a device replaced with each update. */
  readonly #parameters = new Map<string, Tensor>();
  readonly #gradients = new Map<string, Tensor>();
  readonly #moments = new Map<string, Tensor>();
  /** Of FedProx: what parameters are pulled towards. Empty without it. */
  readonly #anchors = new Map<string, Tensor>();
  readonly #shared: boolean;

  private constructor(
    optimizer: InnerOptimizer,
    shared: boolean,
    frozen: Feeds,
    groups: (store: ParameterStore) => readonly Group[],
  ) {
    this.#optimizer = optimizer;
    this.#shared = shared;
    this.#frozen = frozen;
    this.#groups = groups(this);
  }

  static async create(
    runtime: Runtime,
    threads: number,
    optimizer: InnerOptimizer,
    specs: readonly ParameterSpec[],
    parameters: ParameterArrays,
  ): Promise<ParameterStore> {
    const trained = specs.filter((spec) => spec.frozen !== true);
    const planned = planGroups(optimizer, trained, runtime.sharedMemory);
    const compiled = new Map<string, Session>();
    for (const { rule, specs: members, shapes } of planned) {
      for (const shape of shapes) {
        const key = sessionKey(rule, members[0]!, shape);
        if (compiled.has(key)) continue;
        const graph = updateGraph(optimizer, rule, shape, members[0]!);
        const resident = ['next:parameter', ...MOMENTS[rule].map((moment) => `next:${moment}`)];
        compiled.set(key, await runtime.compile(graph, `${rule} update`, { threads, resident }));
      }
    }
    const frozen = Object.fromEntries(
      specs.flatMap((spec) =>
        spec.frozen === true ? [[spec.name, floatTensor(parameters.get(spec.name)!, spec.shape)] as const] : [],
      ),
    );
    const store = new ParameterStore(optimizer, runtime.sharedMemory, frozen, (self) =>
      planned.map((plan) => self.#allocate(plan, compiled)),
    );
    for (const { name } of trained) {
      store.write(name, parameters.get(name)!);
      store.anchor(name, parameters.get(name)!);
    }
    return store;
  }

  /** Parameters, the frozen ones with them, as the gradient graph is fed. */
  get feeds(): Feeds {
    return { ...this.#frozen, ...Object.fromEntries(this.#parameters) };
  }

  /** Gradients of the micro-batches before, as the gradient graph is fed. */
  get sums(): Feeds {
    return Object.fromEntries(
      this.#groups.flatMap(({ specs }) =>
        specs.map(({ name }) => [sumName(name), this.#gradients.get(gradientName(name))!]),
      ),
    );
  }

  /** Where the gradient graph puts gradients: with accumulation, over the sums that it reads. */
  get gradients(): Feeds {
    return Object.fromEntries(this.#gradients);
  }

  clearGradients(): void {
    for (const [name, tensor] of this.#gradients) {
      if (this.#shared) (tensor.data as Float32Array).fill(0);
      else {
        this.#gradients.set(name, floatTensor(new Float32Array(tensor.size), tensor.dims));
        tensor.dispose();
      }
    }
  }

  /** Gradients that a device gave back instead of the tensors that it was offered. */
  replaceGradients(results: Feeds): void {
    for (const name of this.#gradients.keys()) this.#gradients.set(name, results[name]!);
    for (const { specs, runs } of this.#groups) {
      if (!this.#shared) runs[0]!.tensors.gradient = this.#gradients.get(gradientName(specs[0]!.name))!;
    }
  }

  /** Takes one optimizer step. @see updateScalars */
  async update(scheduleFactor: number, gradientFactor: number, age: number): Promise<void> {
    for (const { rule, decay, specs, runs } of this.#groups) {
      const values = updateScalars(this.#optimizer, rule, decay, scheduleFactor, gradientFactor, age);
      const scalars = Object.fromEntries(Object.entries(values).map(([name, x]) => [name, scalarTensor(x)]));
      for (const { session, tensors } of runs) {
        const kinds = ['parameter', ...MOMENTS[rule]];
        const into = Object.fromEntries(kinds.map((kind) => [`next:${kind}`, tensors[kind]!]));
        const results = await session.run({ ...tensors, ...scalars }, into);
        if (this.#shared) continue;
        for (const kind of kinds) this.#replace(specs[0]!.name, kind, tensors, results[`next:${kind}`]!);
      }
    }
  }

  /** A copy of parameters as they are now, laid end to end in `packed` in the order of `names`. */
  async read(names: readonly string[], packed: Float32Array): Promise<ParameterArrays> {
    const arrays = new Map<string, Float32Array>();
    let offset = 0;
    for (const name of names) {
      const data = await fetchFloats(this.#parameters.get(name)!);
      packed.set(data, offset);
      arrays.set(name, packed.subarray(offset, offset + data.length));
      offset += data.length;
    }
    return arrays;
  }

  /** Overwrites a parameter, but for what is kept of what was there: a share of it, or its difference to what it was. */
  write(name: string, data: Float32Array, keep: number | Float32Array = 0): void {
    const tensor = this.#parameters.get(name)!;
    if (!this.#shared) {
      this.#replaceParameter(name, floatTensor(data.slice(), tensor.dims));
      return;
    }
    mix(tensor.data as Float32Array, data, keep);
  }

  /** As {@link write} for a device, whose own numbers have to be fetched before they can be mixed. */
  async mix(name: string, data: Float32Array, keep: number | Float32Array): Promise<void> {
    if (this.#shared || keep === 0) return this.write(name, data, keep);
    const own = (await fetchFloats(this.#parameters.get(name)!)).slice();
    mix(own, data, keep);
    this.write(name, own);
  }

  /** Overwrites what a parameter is pulled towards; without a proximal term nothing is. */
  anchor(name: string, data: Float32Array): void {
    const tensor = this.#anchors.get(name);
    if (tensor === undefined) return;
    if (this.#shared) return (tensor.data as Float32Array).set(data);
    const fresh = floatTensor(data.slice(), tensor.dims);
    this.#groups.find(({ specs }) => specs[0]!.name === name)!.runs[0]!.tensors.anchor = fresh;
    this.#anchors.set(name, fresh);
  }

  /** Moments by `parameter:moment`; in ordinary memory the arrays are the store's own. */
  async moments(): Promise<ParameterArrays> {
    const arrays = new Map<string, Float32Array>();
    for (const [key, tensor] of this.#moments) arrays.set(key, await fetchFloats(tensor));
    return arrays;
  }

  /** Parameters by name; in ordinary memory the arrays are the store's own. */
  async parameters(): Promise<ParameterArrays> {
    const arrays = new Map<string, Float32Array>();
    for (const [name, tensor] of this.#parameters) arrays.set(name, await fetchFloats(tensor));
    return arrays;
  }

  loadMoments(arrays: ParameterArrays): void {
    for (const { specs, rule, runs } of this.#groups) {
      for (const { name } of specs) {
        for (const moment of MOMENTS[rule]) {
          const key = momentName(name, moment);
          const data = arrays.get(key);
          const tensor = this.#moments.get(key)!;
          if (data === undefined) continue;
          if (this.#shared) (tensor.data as Float32Array).set(data);
          else this.#replace(name, moment, runs[0]!.tensors, floatTensor(data.slice(), tensor.dims));
        }
      }
    }
  }

  async release(): Promise<void> {
    const sessions = new Set(this.#groups.flatMap(({ runs }) => runs.map(({ session }) => session)));
    for (const session of sessions) await session.release();
  }

  #replace(name: string, kind: string, tensors: Record<string, Tensor>, tensor: Tensor): void {
    tensors[kind] = tensor;
    if (kind === 'parameter') this.#parameters.set(name, tensor);
    else this.#moments.set(momentName(name, kind), tensor);
  }

  #replaceParameter(name: string, tensor: Tensor): void {
    const before = this.#parameters.get(name)!;
    this.#groups.find(({ specs }) => specs[0]!.name === name)!.runs[0]!.tensors.parameter = tensor;
    this.#parameters.set(name, tensor);
    if (before.location !== 'cpu') before.dispose();
  }

  /** Memory for a group, and the views of it that graphs work on. */
  #allocate({ rule, decay, specs, shapes }: GroupPlan, compiled: ReadonlyMap<string, Session>): Group {
    const sizes = shapes.map((shape) => elementsOf({ shape }));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const anchored = (this.#optimizer.proximal ?? 0) > 0;
    const kinds = ['parameter', 'gradient', ...MOMENTS[rule], ...(anchored ? ['anchor'] : [])];
    const arrays = new Map(kinds.map((kind) => [kind, new Float32Array(total)]));
    let offset = 0;
    for (const spec of specs) {
      const end = offset + elementsOf(spec);
      for (const kind of kinds) {
        const tensor = floatTensor(arrays.get(kind)!.subarray(offset, end), spec.shape);
        if (kind === 'parameter') this.#parameters.set(spec.name, tensor);
        else if (kind === 'gradient') this.#gradients.set(gradientName(spec.name), tensor);
        else if (kind === 'anchor') this.#anchors.set(spec.name, tensor);
        else this.#moments.set(momentName(spec.name, kind), tensor);
      }
      offset = end;
    }
    let begin = 0;
    const runs = shapes.map((shape, i) => {
      const end = begin + sizes[i]!;
      const tensors = Object.fromEntries(
        kinds.map((kind) => [kind, floatTensor(arrays.get(kind)!.subarray(begin, end), shape)]),
      );
      begin = end;
      return { session: compiled.get(sessionKey(rule, specs[0]!, shape))!, tensors };
    });
    return { rule, decay, specs, runs };
  }
}

/** Name of a parameter's moment. */
export const momentName = (parameter: string, moment: string): string => `${parameter}:${moment}`;

function mix(own: Float32Array, data: Float32Array, keep: number | Float32Array): void {
  if (keep === 0) own.set(data);
  // Where it did not move, exactly the new.
  else if (typeof keep !== 'number') for (let i = 0; i < own.length; i++) own[i] = data[i]! + (own[i]! - keep[i]!);
  else for (let i = 0; i < own.length; i++) own[i] = keep * own[i]! + (1 - keep) * data[i]!;
}

interface GroupPlan {
  readonly rule: Rule;
  readonly decay: number;
  readonly specs: readonly ParameterSpec[];
  /** Shapes of the graphs that run over the group's memory, one after the other. */
  readonly shapes: readonly (readonly number[])[];
}

const sessionKey = (rule: Rule, spec: ParameterSpec, shape: readonly number[]): string =>
  rule === 'muon' ? `muon ${shape.join('×')} ${spec.columnBlocks ?? 1} ${spec.layout}` : `${rule} ${shape.join('×')}`;

function planGroups(optimizer: InnerOptimizer, specs: readonly ParameterSpec[], merge: boolean): readonly GroupPlan[] {
  const groups = new Map<string, ParameterSpec[]>();
  for (const spec of specs) {
    const rule = ruleOf(optimizer, spec);
    const alike = rule === 'muon' ? sessionKey(rule, spec, spec.shape) : rule;
    const key = merge ? `${alike} ${decayOf(optimizer, spec)}` : spec.name;
    groups.set(key, [...(groups.get(key) ?? []), spec]);
  }
  return [...groups.values()].map((members): GroupPlan => {
    const [first] = members;
    const rule = ruleOf(optimizer, first!);
    const total = members.reduce((sum, spec) => sum + elementsOf(spec), 0);
    const merged = rule === 'muon' ? stacks(first!.shape, members.length) : chunks(total);
    const shapes = merge ? merged : [first!.shape];
    return { rule, decay: decayOf(optimizer, first!), specs: members, shapes };
  });
}

/** Equal chunks, the last one as short as what is left. */
function chunks(elements: number): readonly (readonly number[])[] {
  if (elements <= CHUNK_ELEMENTS) return [[elements]];
  const whole = Math.floor(elements / CHUNK_ELEMENTS);
  const rest = elements % CHUNK_ELEMENTS;
  const full = Array.from({ length: whole }, () => [CHUNK_ELEMENTS]);
  return rest === 0 ? full : [...full, [rest]];
}

/** Stacks of as many matrices as Muon may work on together. */
function stacks(shape: readonly number[], count: number): readonly (readonly number[])[] {
  const most = Math.max(1, Math.floor(STACK_ELEMENTS / elementsOf({ shape })));
  return Array.from({ length: Math.ceil(count / most) }, (_, i) => [Math.min(most, count - i * most), ...shape]);
}
