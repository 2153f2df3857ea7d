import { type Dashboard, readDashboard } from '../energy-dashboard.ts';
import { numberOf } from '../evaluate.ts';
import { unusable } from '../fault.ts';
import { converted, deviceUnit, QUANTITY_UNITS, unitFits } from '../reading.ts';
import type { TemplateOf, TermOf } from '../template.ts';
import { HomeAssistantClient } from './home-assistant-client.ts';
import type { Transport } from './transport.ts';

type Template = TemplateOf<'home-assistant'>;

export interface HomeAssistantTransport extends Transport<TermOf<'home-assistant'>> {
  /** What its Energy settings name. @throws HelioError HELIO-6102 where it has none */
  dashboard(): Promise<Dashboard>;
  follow(entities: readonly string[]): void;
}

/** Entities of Home Assistant. It says each one's unit itself: W or kW, whatever the integration chose. */
export function openHomeAssistant(template: Template): HomeAssistantTransport {
  const { name, url, token } = template;
  let entities: readonly string[] = [];
  let client: HomeAssistantClient | undefined;
  let following: readonly string[] | undefined;

  const connected = async (): Promise<HomeAssistantClient> => {
    if (client?.open !== true) {
      following = undefined;
      client = await HomeAssistantClient.open(name, url, token, {
        selfSigned: String(template.selfSigned) === 'true',
        timeoutMs: template.timeoutS * 1_000,
      });
    }
    return client;
  };

  return {
    follow(names) {
      entities = [...new Set(names)];
    },
    async dashboard() {
      const answer = await (await connected()).energyPreferences();
      const dashboard = readDashboard(answer);
      if (dashboard === undefined || dashboard.values.length === 0)
        throw unusable(
          name,
          ['its Energy settings name nothing that can be read', ...(dashboard?.notes ?? [])]
            .join('. ')
            .replace(/\.$/, ''),
          'Set grid, panels and battery up under Settings → Dashboards → Energy, or use the template home-assistant-entities.',
        );
      return dashboard;
    },
    async poll() {
      const current = await connected();
      if (following !== entities) {
        await current.follow(entities);
        following = entities;
      } else await current.ping();
      return async ({ entity, ...words }, { quantity, unit }) => {
        const known = current.stateOf(entity);
        if (known === undefined)
          throw unusable(name, `there is no entity ${entity}`, 'Developer tools → States lists them all.');
        const value = numberOf(known.state, words, name, `the state of ${entity}`);
        if (value === null || words.is !== undefined || unit !== undefined) return value;
        const own = known.unit === undefined ? undefined : deviceUnit(known.unit);
        if (own === undefined || !unitFits(quantity, own))
          throw unusable(
            name,
            `${entity} is in ${known.unit ?? 'no unit'}, and ${quantity} is in ${QUANTITY_UNITS[quantity]}`,
            'Choose the sensor that measures this, or name its unit in a template of your own.',
          );
        return converted(value, own);
      };
    },
    async close() {
      client?.close();
    },
  };
}
