import { FIELDS, type LogRecord, TAKEN } from './record.ts'
import { jsonText, jsonValue, plainText } from './text.ts'

/** A record as a line of JSON, without its end. */
export const jsonLine = (record: LogRecord): string => {
  let line = `{"level":"${record.level}"`
  for (let at = 1; at < FIELDS.length; at++) {
    const name = FIELDS[at] as (typeof FIELDS)[number]
    const value = record[name]
    if (value === undefined) continue
    line += `,"${name}":${typeof value === 'string' ? jsonText(value) : typeof value === 'number' ? value : jsonValue(value)}`
  }
  const { fields } = record
  if (fields !== undefined) {
    for (const name of Object.keys(fields)) {
      if (!TAKEN.has(name) && fields[name] !== undefined) line += `,${jsonText(name)}:${jsonValue(fields[name])}`
    }
  }
  return `${line}}`
}

/** A record as an object, for a logger that writes objects by itself; level and time are the logger's. */
export const objectOf = ({ level: _level, time: _time, fields, ...own }: LogRecord): Record<string, unknown> => ({ ...fields, ...own })

const COLOURS = { info: '\u001b[32m', warn: '\u001b[33m', error: '\u001b[31m' } as const
const PLAIN = '\u001b[0m'

/** A record as a line for people. */
export const prettyLine = (record: LogRecord, colours: boolean): string => {
  const { level, time, event, method, path, query, status, bytes, duration, user, protocol, transport, peer, code, fields } = record
  const parts: string[] = [new Date(time).toISOString().slice(11, 23)]
  const word = event === 'request' ? (status === undefined ? '-' : String(status)) : event
  parts.push(colours ? `${COLOURS[level]}${word}${PLAIN}` : word)
  if (record.of !== undefined)
    parts.push(`${record.count} more lines '${record.of}' of ${record.addresses} addresses${status === undefined ? '' : `, ${status}`}`)
  else if (event !== 'request' && status !== undefined) parts.push(String(status))
  if (method !== undefined) parts.push(plainText(method))
  if (path !== undefined) parts.push(plainText(query === undefined ? path : `${path}?${query}`))
  if (code !== undefined) parts.push(plainText(code))
  if (bytes !== undefined) parts.push(`${bytes} B`)
  if (duration !== undefined) parts.push(`${duration} ms`)
  if (record.deliveries !== undefined) parts.push(`${record.deliveries} deliveries`)
  if (record.aborted === true) parts.push('aborted')
  if (record.reason !== undefined) parts.push(record.reason)
  if (user !== undefined) parts.push(`user=${plainText(user)}`)
  for (const text of [protocol ?? transport, peer, record.requestId]) if (text !== undefined) parts.push(plainText(text))
  for (const [name, value] of Object.entries({ ...record.headers, ...fields })) parts.push(`${plainText(name)}=${jsonValue(value)}`)
  return parts.join(' ')
}
