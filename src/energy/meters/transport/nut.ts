import { numberOf } from '../evaluate.ts';
import type { TemplateOf, TermOf } from '../template.ts';
import { NutClient } from './nut-client.ts';
import type { Transport } from './transport.ts';

/** A UPS behind a server of Network UPS Tools. */
export function openNut(template: TemplateOf<'nut'>): Transport<TermOf<'nut'>> {
  const { name, host, ups, user, password } = template;
  let client: NutClient | undefined;
  return {
    async poll() {
      if (client?.open !== true) {
        client = await NutClient.open(name, host, Number(template.port), template.timeoutS * 1_000);
        if (user !== undefined && password !== undefined) await client.logIn(user, password);
      }
      const current = client;
      const known = new Map<string, Promise<string | undefined>>();
      return async ({ variable, ...words }) => {
        const value = known.get(variable) ?? current.get(ups, variable);
        known.set(variable, value);
        return numberOf(await value, words, name, `variable ${variable}`);
      };
    },
    async close() {
      client?.close();
    },
  };
}
