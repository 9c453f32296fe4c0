import { type LogRecord, TAKEN } from './record.ts'
import { jsonText, jsonValue, plainText } from './text.ts'

/** A record as a line of JSON, without its end. */
export const jsonLine = (record: LogRecord): string => {
  const { requestId, method, path, query, status, bytes, duration, user, protocol, peer, code } = record
  let line = `{"level":"${record.level}","time":${record.time},"event":"${record.event}"`
  if (requestId !== undefined) line += `,"requestId":${jsonText(requestId)}`
  if (method !== undefined) line += `,"method":${jsonText(method)}`
  if (path !== undefined) line += `,"path":${jsonText(path)}`
  if (query !== undefined) line += `,"query":${jsonText(query)}`
  if (status !== undefined) line += `,"status":${status}`
  if (bytes !== undefined) line += `,"bytes":${bytes}`
  if (duration !== undefined) line += `,"duration":${duration}`
  if (user !== undefined) line += `,"user":${jsonText(user)}`
  if (protocol !== undefined) line += `,"protocol":${jsonText(protocol)}`
  if (peer !== undefined) line += `,"peer":${jsonText(peer)}`
  if (code !== undefined) line += `,"code":${jsonText(code)}`
  const { transport, aborted, deliveries, reason, replica, of, count, addresses, headers, fields } = record
  if (transport !== undefined) line += `,"transport":${jsonText(transport)}`
  if (aborted !== undefined) line += `,"aborted":${aborted}`
  if (deliveries !== undefined) line += `,"deliveries":${deliveries}`
  if (reason !== undefined) line += `,"reason":${jsonText(reason)}`
  if (replica !== undefined) line += `,"replica":${replica}`
  if (of !== undefined) line += `,"of":${jsonText(of)},"count":${count}`
  if (addresses !== undefined) line += `,"addresses":${jsonText(addresses)}`
  if (headers !== undefined) line += `,"headers":${jsonValue(headers)}`
  if (fields !== undefined) {
    for (const name of Object.keys(fields)) {
      if (!TAKEN.has(name) && fields[name] !== undefined) line += `,${jsonText(name)}:${jsonValue(fields[name])}`
    }
  }
  return `${line}}`
}

/** A record as an object, for a logger that writes objects by itself; level and time are the logger's. Texts are as short and as plain as in a line. */
export const objectOf = ({ level: _level, time: _time, fields, ...own }: LogRecord): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(own))
    if (value !== undefined) object[name] = typeof value === 'object' ? plainObject(value) : plainValue(value)
  for (const name of Object.keys(fields ?? {})) if (!TAKEN.has(name)) object[plainText(name)] = plainValue(fields?.[name])
  return object
}

const plainValue = (value: unknown): unknown => (typeof value === 'string' ? plainText(value) : value)
const plainObject = (object: object): object => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, plainValue(value)]))

/** A text that may hold spaces, such as the id of a user, does not look like several. */
const oneWord = (text: string): string => (/[ "]/.test(text) ? jsonText(text) : plainText(text))

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
  if (path !== undefined) parts.push(oneWord(query === undefined ? path : `${path}?${query}`))
  if (code !== undefined) parts.push(plainText(code))
  if (bytes !== undefined) parts.push(`${bytes} B`)
  if (duration !== undefined) parts.push(`${duration} ms`)
  if (record.deliveries !== undefined) parts.push(`${record.deliveries} deliveries`)
  if (record.aborted === true) parts.push('aborted')
  if (record.reason !== undefined) parts.push(record.reason)
  if (user !== undefined) parts.push(`user=${oneWord(user)}`)
  for (const text of [protocol ?? transport, peer, record.requestId]) if (text !== undefined) parts.push(plainText(text))
  for (const [name, value] of Object.entries(record.headers ?? {})) parts.push(`${plainText(name)}=${jsonValue(value)}`)
  for (const [name, value] of Object.entries(fields ?? {})) if (!TAKEN.has(name)) parts.push(`${oneWord(name)}=${jsonValue(value)}`)
  return parts.join(' ')
}
