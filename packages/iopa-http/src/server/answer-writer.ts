import { type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http'
import type { Answer } from '@iopa/appbuilder'
import { asksToClose, fieldsOf, isBodyless, sizeOf, statedLength } from '../message/answer-fields.ts'
import type { HttpRequest } from './request.ts'

// Bytes up to which a body is handed to the system at once; a longer one waits for the peer between its parts, so that
// a peer that reads slowly can be told from one that does not read at all.
const PART = 256 * 1024

/** An answer that is left to write, chunk by chunk. */
export interface Remainder {
  /** Writes the head, which leaves with the first chunk. Throws as `writeAnswer` does. */
  head(): void
  readonly stream: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** The length that the head has promised; null where the framing marks the end. */
  readonly length: number | null
}

/**
 * Writes the head of an answer together with a body that is in memory, in one write. What it returns is left to write.
 * Throws for field values that HTTP cannot carry; then nothing has been written.
 */
export const writeAnswer = (request: HttpRequest, answer: Answer, close: boolean): Remainder | null => {
  const { response } = request
  const { status } = answer
  // A long text is written in parts, as bytes are.
  const payload = typeof answer.payload === 'string' && answer.payload.length > PART ? answer.payloadBytes : answer.payload
  const fields = fieldsOf(answer)
  if (close || asksToClose(answer)) fields.push('connection', 'close')
  const bodyless = request.message.method === 'HEAD'
  if (bodyless || isBodyless(status)) {
    // A handler may answer HEAD, or 304, with the length of the body that it leaves out (RFC 9110 section 8.6).
    const length = bodyless && payload !== null ? (lengthOf(answer) ?? statedLength(answer)) : status === 204 ? null : statedLength(answer)
    if (length !== null) fields.push('content-length', String(length))
    response.writeHead(status, answer.reason, fields).end()
    return null
  }
  if (typeof payload === 'string') {
    fields.push('content-length', String(Buffer.byteLength(payload)))
    response.writeHead(status, answer.reason, fields).end(payload)
    return null
  }
  const length = lengthOf(answer) ?? statedLength(answer)
  if (length !== null) fields.push('content-length', String(length))
  const head = (): ServerResponse => response.writeHead(status, answer.reason, fields)
  if (payload === null) head().end()
  else if (!(payload instanceof Uint8Array)) return { head, stream: payload, length }
  else if (payload.length > PART) return { head, stream: partsOf(payload), length }
  else head().end(payload)
  return null
}

/** Length of the body in bytes; null for a stream that does not know it. */
const lengthOf = ({ payload }: Answer): number | null => {
  if (payload === null) return 0
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  return payload instanceof Uint8Array ? payload.length : sizeOf(payload)
}

function* partsOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PART) yield bytes.subarray(at, at + PART)
}

/**
 * An answer in memory as the bytes that end a connection (RFC 9112 section 9.6), beside node's own response, which would
 * destroy the socket while the peer still sends, and the answer with it. Throws as `writeAnswer` does.
 */
export const formatAnswer = (answer: Answer, now: number, head: boolean): Uint8Array => {
  const fields = fieldsOf(answer)
  fields.push('date', new Date(now).toUTCString(), 'connection', 'close')
  const body = answer.payloadBytes
  if (!isBodyless(answer.status)) fields.push('content-length', String(body.length))
  let text = `HTTP/1.1 ${answer.status} ${answer.reason}\r\n`
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    const value = fields[at + 1] as string
    validateHeaderName(name)
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
  }
  const start = Buffer.from(`${text}\r\n`, 'latin1')
  return head || isBodyless(answer.status) ? start : Buffer.concat([start, body])
}
