import { HelioError } from '../../../errors.ts';
import { decodeRegisters, REGISTER_TYPES } from '../decode.ts';
import { unusable } from '../fault.ts';
import type { TemplateOf, TermOf } from '../template.ts';
import { ModbusClient } from './modbus-client.ts';
import { findModels, type ModelPlace, pointOf, type ReadHolding, readModel } from './sunspec.ts';
import type { Transport } from './transport.ts';

/** A device that speaks Modbus TCP: single registers, or points of SunSpec models. */
export function openModbus(template: TemplateOf<'modbus'>): Transport<TermOf<'modbus'>> {
  const { name, host } = template;
  const unit = Number(template.unit);
  const client = new ModbusClient(name, host, Number(template.port), template.timeoutS * 1_000);
  const holding: ReadHolding = (address, count) => client.read(unit, 'holding', address, count);
  /** The chain of models is walked once, and again after a failure: another firmware may have another. */
  let models: readonly ModelPlace[] | undefined;
  return {
    async poll() {
      const blocks = new Map<number, Promise<readonly number[]>>();
      return async (term) => {
        try {
          if ('register' in term) {
            const { register, kind, type } = term;
            const words = await client.read(unit, kind, register, REGISTER_TYPES[type].words);
            return decodeRegisters(words, type, {
              noneBits: term.noneBits === true,
              lowWordFirst: term.lowWordFirst === true,
            });
          }
          models ??= await findModels(name, holding);
          const model = models.find(({ id }) => term.sunspec.includes(id));
          if (model === undefined) {
            const has = models.map(({ id }) => id).join(', ');
            throw unusable(
              name,
              `it has no SunSpec model ${term.sunspec.join(' or ')}; it has ${has === '' ? 'none' : has}`,
              'Use the template of what it is: inverter, battery or meter.',
            );
          }
          const block = blocks.get(model.address) ?? readModel(model, holding);
          blocks.set(model.address, block);
          const words = await block;
          if (words[0] !== model.id) {
            models = undefined;
            throw unusable(name, `its SunSpec models have changed: ${words[0]} stands where ${model.id} was`);
          }
          return pointOf(name, model, words, term);
        } catch (error) {
          if (!(error instanceof HelioError) || error.code !== 'HELIO-6102') models = undefined;
          throw error;
        }
      };
    },
    async close() {
      client.close();
    },
  };
}
