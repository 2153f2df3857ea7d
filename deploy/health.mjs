/**
 * Asks the coordinator in this container whether it lives: status 0 when it does. It is asked on its loopback address, where its certificate,
 * which is for its name, says nothing.
 */
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';

const { HELIOTROPE_PORT: port = '7420' } = process.env;

/** @returns {Promise<string>} what it answers; whether it is encrypted is for the coordinator's options to say, so both are tried */
const ask = (request) =>
  new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/healthz', timeout: 4_000, rejectUnauthorized: false });
    asked.on('response', ({ statusCode }) => resolve(`HTTP ${statusCode}`));
    asked.on('timeout', () => asked.destroy(new Error('no answer within 4 s')));
    asked.on('error', (error) => resolve(error.message));
    asked.end();
  });

const GOOD = 'HTTP 200';
let answer = await ask(secure);
if (answer !== GOOD) answer = await ask(plain);
process.stdout.write(`${answer}\n`);
process.exit(answer === GOOD ? 0 : 1);
