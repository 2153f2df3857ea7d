import { pino } from 'pino';
import { describeCode, describeRecord } from './live/describe.ts';
import type { ServeLine } from './records.ts';
import { escaped } from './terminal-text.ts';

/** What `serve` does as structured log lines on stderr, for machines that collect them. Invitations and codes are left out: they let people in. */
export function jsonLog(): (line: ServeLine) => void {
  const level = process.env.HELIOTROPE_LOG_LEVEL ?? 'info';
  const stderr = pino.destination({ fd: 2, sync: true });
  const log = pino(
    { name: 'heliotrope', level, redact: ['invitation', '*.invitation'] },
    { write: (line) => void stderr.write(escaped(line)) },
  );
  return (line) => {
    switch (line.kind) {
      case 'serving': {
        const { invitation: _, code: __, kind, notices, ...rest } = line;
        log.info({ event: kind, ...rest }, `serving ${rest.folder} on port ${rest.port}`);
        for (const notice of notices) log.info({ event: 'notice' }, notice);
        return;
      }
      case 'record': {
        const { kind, ...rest } = line.record;
        const sentence = describeRecord(line.record);
        if (kind === 'progress' || kind === 'merge') log.debug({ event: kind, ...rest }, sentence ?? kind);
        else if (kind === 'offence') log.warn({ event: kind, ...rest }, sentence);
        else log.info({ event: kind, ...rest }, sentence);
        return;
      }
      case 'join-request':
        return log.info({ event: 'join-request', ...line }, `${line.island} asks to join`);
      case 'notice':
        return log.warn({ event: 'notice' }, line.sentence);
      case 'fault':
        return log.error({ event: 'fault', place: line.place }, line.what);
      case 'code': {
        const { kind, ...rest } = line;
        return log[line.outcome === 'right' ? 'info' : 'warn']({ event: kind, ...rest }, describeCode(line));
      }
      case 'result':
        return log.info(
          { event: 'result', status: line.summary.status, reason: line.summary.reason },
          'the run is over',
        );
      case 'error':
        return log.error({ event: 'error', code: line.code }, `${line.what} ${line.remedy}`);
    }
  };
}
