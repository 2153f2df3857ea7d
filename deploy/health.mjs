/**
 * Asks the coordinator in this container whether it lives: status 0 when it does. It is asked on its loopback address, where its certificate,
 * which is for its name, says nothing.
 */
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';

const { HELIOTROPE_PORT: port = '7420', HELIOTROPE_TLS: tls, HELIOTROPE_TLS_CERT: certificate } = process.env;
const isSecure = tls !== undefined || certificate !== undefined;
const asked = (isSecure ? secure : plain)({
  host: '127.0.0.1',
  port,
  path: '/healthz',
  timeout: 5_000,
  rejectUnauthorized: false,
});
const end = (status, why) => {
  process.stdout.write(`${why}\n`);
  process.exit(status);
};
asked.on('response', ({ statusCode }) => end(statusCode === 200 ? 0 : 1, `HTTP ${statusCode}`));
asked.on('timeout', () => end(1, 'no answer within 5 s'));
asked.on('error', (error) => end(1, error.message));
asked.end();
