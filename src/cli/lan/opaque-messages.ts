import * as opaque from '@serenity-kit/opaque';

/**
 * The code as a password of OPAQUE (RFC 9807, by opaque-ke): both sides prove that they know it, and agree on a key. Whoever does not know it
 * learns one thing from an exchange: whether one guess was right.
 *
 * The host registers the code with itself when it starts; nothing of that is kept.
 */

const USER = 'code';
const IDENTIFIERS = { client: 'heliotrope joiner', server: 'heliotrope host' };
/** Key stretching protects a stolen record, and none is stored; so the smallest setting: 64 MiB, about 0.2 s on each side. */
const STRETCHING = 'memory-constrained';

export interface HostSecrets {
  readonly setup: string;
  readonly record: string;
}

export async function registerCode(code: string): Promise<HostSecrets> {
  await opaque.ready;
  const { client, server } = opaque;
  const setup = server.createSetup();
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password: code });
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: setup,
    userIdentifier: USER,
    registrationRequest,
  });
  const { registrationRecord } = client.finishRegistration({
    password: code,
    registrationResponse,
    clientRegistrationState,
    identifiers: IDENTIFIERS,
    keyStretching: STRETCHING,
  });
  return { setup, record: registrationRecord };
}

/** @returns undefined when the message is none */
export const hostBegins = ({ setup, record }: HostSecrets, request: string) =>
  attempted(() => {
    const { serverLoginState, loginResponse } = opaque.server.startLogin({
      serverSetup: setup,
      registrationRecord: record,
      startLoginRequest: request,
      userIdentifier: USER,
      identifiers: IDENTIFIERS,
    });
    return { state: serverLoginState, response: loginResponse };
  });

/** @returns the session key; undefined when the other side does not know the code */
export const hostFinishes = (state: string, request: string): string | undefined =>
  attempted(
    () =>
      opaque.server.finishLogin({ serverLoginState: state, finishLoginRequest: request, identifiers: IDENTIFIERS })
        .sessionKey,
  );

export async function joinerBegins(code: string): Promise<{ readonly state: string; readonly request: string }> {
  await opaque.ready;
  const { clientLoginState, startLoginRequest } = opaque.client.startLogin({ password: code });
  return { state: clientLoginState, request: startLoginRequest };
}

/** @returns undefined when the other side does not know the code */
export const joinerFinishes = (code: string, state: string, response: string) =>
  attempted(() => {
    const done = opaque.client.finishLogin({
      clientLoginState: state,
      loginResponse: response,
      password: code,
      identifiers: IDENTIFIERS,
      keyStretching: STRETCHING,
    });
    return done === undefined ? undefined : { request: done.finishLoginRequest, sessionKey: done.sessionKey };
  });

/** The library throws on messages that it cannot read. */
function attempted<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
