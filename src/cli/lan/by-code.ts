import { setTimeout as sleep } from 'node:timers/promises';
import { beginAnswerSchema, CODE_PATHS, finishAnswerSchema } from '../../coordinator/server/join-code-routes.ts';
import { HelioError } from '../../errors.ts';
import { type InvitationLink, readLink } from '../../protocol/invitation.ts';
import { joinerBegins, joinerFinishes } from './opaque-messages.ts';
import { postJson } from './post-json.ts';
import { unseal } from './sealed.ts';

/** A host that was found on the network and not verified yet. */
export interface Candidate {
  /** Its name in messages. */
  readonly name: string;
  /** HOST:PORT, all of the same host. */
  readonly addresses: readonly string[];
  /** Undefined where it is not known: both are tried. */
  readonly secure: boolean | undefined;
}

/** What came of one candidate. */
type Outcome =
  | { readonly kind: 'link'; readonly link: InvitationLink }
  | { readonly kind: 'passed over'; readonly why: string }
  /** It did not answer. */
  | { readonly kind: 'silent'; readonly why: string }
  | { readonly kind: 'later'; readonly afterS: number };

/** Candidates that are tried: each can guess our code once, and costs 0.2 s of computing. */
const MAX_CANDIDATES = 32;
/** How long to come again to hosts that take no codes just now. */
const PATIENCE_MS = 120_000;
const MAX_PAUSE_S = 15;

export interface Search {
  readonly code: string;
  /** Calls back with each candidate as it is found, and resolves when no more are looked for. */
  readonly candidates: (found: (candidate: Candidate) => void, signal: AbortSignal) => Promise<void>;
  /** Says what became of a candidate. */
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Finds the run whose host knows the code, among all candidates. The host proves that it knows the code before anything of its answer is used; the
 * answer is the invitation, with the fingerprint of its certificate.
 *
 * @throws HelioError HELIO-4002 when nobody is there, HELIO-4003 when nobody knows the code or takes it
 */
export async function linkByCode({ code, candidates, say, signal }: Search): Promise<InvitationLink> {
  const found = new AbortController();
  const ended = AbortSignal.any([signal, found.signal]);
  const seen: Seen = { candidates: 0, answered: 0, later: 0 };
  let link: InvitationLink | undefined;
  const trying: Promise<void>[] = [];
  const attempt = async (candidate: Candidate): Promise<void> => {
    const outcome = await withRetries(candidate, code, say, ended);
    if (ended.aborted) return;
    if (outcome.kind !== 'silent') seen.answered++;
    if (outcome.kind === 'later') seen.later++;
    else if (outcome.kind !== 'link')
      say(`${candidate.name} at ${candidate.addresses.join(' and ')} is passed over: ${outcome.why}`);
    else {
      link = outcome.link;
      found.abort();
    }
  };
  // All at once: one that keeps us waiting must not keep us from the next.
  await candidates((candidate) => {
    if (seen.candidates++ < MAX_CANDIDATES) trying.push(attempt(candidate));
  }, ended);
  await Promise.all(trying);
  if (link !== undefined) return link;
  signal.throwIfAborted();
  throw nobody(code, seen);
}

/** One candidate, again and again while it says that it takes no codes now. */
async function withRetries(
  candidate: Candidate,
  code: string,
  say: Search['say'],
  signal: AbortSignal,
): Promise<Outcome> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (let told = false; ; told = true) {
    const outcome = await tryCandidate(candidate, code, signal);
    if (outcome.kind !== 'later' || performance.now() >= untilMs || signal.aborted) return outcome;
    if (!told)
      say(`${candidate.name} at ${candidate.addresses[0]} has heard too many wrong codes; trying again for a while`);
    await sleep(1_000 * Math.min(MAX_PAUSE_S, outcome.afterS), undefined, { signal }).catch(() => {});
  }
}

/** All ways to one candidate, until one answers. */
async function tryCandidate({ addresses, secure }: Candidate, code: string, signal: AbortSignal): Promise<Outcome> {
  let outcome: Outcome = { kind: 'silent', why: 'nobody answers there' };
  for (const address of addresses) {
    for (const encrypted of secure === undefined ? [true, false] : [secure]) {
      try {
        outcome = await exchange(address, encrypted, code, signal);
        // By its other addresses another limit may count.
        if (outcome.kind !== 'later') return outcome;
        break;
      } catch (error) {
        if (signal.aborted) return outcome;
        if (outcome.kind === 'silent')
          outcome = { kind: 'silent', why: `nobody answers there (${error instanceof Error ? error.message : error})` };
      }
    }
  }
  return outcome;
}

/** @throws Error when nobody answers */
async function exchange(address: string, secure: boolean, code: string, signal: AbortSignal): Promise<Outcome> {
  const { state, request } = await joinerBegins(code);
  const first = await postJson(address, secure, CODE_PATHS.begin, { request }, signal);
  if (first.status === 429) return { kind: 'later', afterS: first.retryAfterS ?? MAX_PAUSE_S };
  if (first.status === 403) return passedOver('it takes codes on its own local network alone');
  const begun = beginAnswerSchema.safeParse(first.body);
  if (first.status !== 200 || !begun.success) return passedOver('it takes no codes');
  const { attempt, response } = begun.data;
  const proved = joinerFinishes(code, state, response);
  if (proved === undefined) {
    // An honest host hears at once that the code was wrong, and not when the time is up.
    await postJson(address, secure, CODE_PATHS.finish, { attempt, request: 'wrong' }, signal).catch(() => {});
    return passedOver('it does not know this code');
  }
  const second = await postJson(address, secure, CODE_PATHS.finish, { attempt, request: proved.request }, signal);
  const answer = finishAnswerSchema.safeParse(second.body);
  if (!answer.success) return passedOver('it gave no invitation');
  const text = unseal(answer.data.sealed, proved.sessionKey, attempt);
  if (text === undefined) return passedOver('its answer was changed on the way; somebody may be listening in between');
  const link = readLink(text);
  // It answers here, whatever it is called elsewhere. Who stands in between does so too: he has not the certificate that the link names.
  const also = link.fingerprint === undefined || link.addresses.includes(address) ? [] : [address];
  return { kind: 'link', link: { ...link, addresses: [...link.addresses, ...also] } };
}

const passedOver = (why: string): Outcome => ({ kind: 'passed over', why });

interface Seen {
  candidates: number;
  answered: number;
  later: number;
}

function nobody(code: string, { candidates, answered, later }: Readonly<Seen>): HelioError {
  if (candidates === 0)
    return new HelioError(
      'HELIO-4002',
      'No run was found on this network that takes codes.',
      'Name its host with --at HOST:PORT, or join by its invitation link.',
    );
  if (answered === 0)
    return new HelioError(
      'HELIO-4002',
      `${candidates} run${candidates === 1 ? ' was' : 's were'} found on this network, and none can be reached from here.`,
      'Look for a firewall at its host, name another of its addresses with --at HOST:PORT, or join by its invitation link.',
    );
  if (later > 0)
    return new HelioError(
      'HELIO-4003',
      `The code ${code} could not be tried: there were too many wrong ones, from here or elsewhere.`,
      'Try again in some minutes, or ask the host for an invitation link, which always works.',
    );
  return new HelioError(
    'HELIO-4003',
    `None of ${answered} run${answered === 1 ? '' : 's'} that answered knows the code ${code}.`,
    'Compare it with what `serve` printed last: it changes each time. From elsewhere, join by the invitation link.',
  );
}
