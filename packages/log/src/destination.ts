import type { Logger } from '@iopa/appbuilder'
import { jsonLine, objectOf, prettyLine } from './lines.ts'
import type { LogRecord } from './record.ts'

/** A stream, as far as a log uses it. */
export interface LogStream {
  write(line: string): unknown
  /** Bytes that wait in it. */
  readonly writableLength?: number
}

/** Where lines go: a logger, which pino also is; a stream; or a function, which gets line and record. */
export type LogDestination = Logger | LogStream | ((line: string, record: LogRecord) => unknown)

export type LogFormat = 'json' | 'pretty'

/** Writes one record. */
export type Write = (record: LogRecord) => unknown

interface Terminal {
  readonly process?: { readonly stdout?: { readonly isTTY?: boolean }; readonly env?: Readonly<Record<string, string | undefined>> }
}

// Bytes that wait in a stream at most: then lines are left out, and counted.
const WAITING = 1024 * 1024

/** Pino, and what has its interface: it takes an object, and writes it by itself. */
const takesObjects = (to: object): boolean =>
  typeof (to as { child?: unknown }).child === 'function' && typeof (to as { bindings?: unknown }).bindings === 'function'

/** The writer of a destination; `chosen` is the format, by default that of a terminal where lines go to one. */
export const writerOf = (to: LogDestination, isDefault: boolean, chosen: LogFormat | undefined): Write => {
  const { process } = globalThis as Terminal
  const terminal = process?.stdout?.isTTY === true
  const shown = terminal && (isDefault || to === (process?.stdout as unknown))
  const format = chosen ?? (shown ? 'pretty' : 'json')
  const colours = shown && (process?.env?.['NO_COLOR'] ?? '') === ''
  const line = format === 'json' ? jsonLine : (record: LogRecord) => prettyLine(record, colours)
  if (typeof to === 'function') return record => to(line(record), record)
  if (takesObjects(to)) return record => (to as Logger)[record.level](objectOf(record))
  if (typeof (to as Partial<Logger>).info === 'function') return record => (to as Logger)[record.level](line(record))
  return streamWriter(to as LogStream, line)
}

const streamWriter = (stream: LogStream, line: (record: LogRecord) => string): Write => {
  let lost = 0
  return record => {
    if ((stream.writableLength ?? 0) > WAITING) {
      lost++
      return
    }
    if (lost > 0) {
      stream.write(`${line({ level: 'warn', time: record.time, event: 'summary', of: 'lost', count: lost })}\n`)
      lost = 0
    }
    stream.write(`${line(record)}\n`)
  }
}
