import { reasonPhrase } from '@iopa/constants'
import type { BagAnswer, BagRequest, BagSeq } from './bag.ts'
import { bodyMembers } from './bag-body.ts'

/** Writes a request as one line, without the line end. */
export function encodeBagRequest({ method, path, query, headers, contentType, body, observe, seq }: BagRequest): string {
  let line = `{"iopa.Method":${JSON.stringify(method)},"iopa.Path":${JSON.stringify(path)}`
  if (query) line += `,"iopa.QueryString":${JSON.stringify(query)}`
  line += headersMember(headers) + bodyMembers(body, contentType, false)
  if (observe !== undefined) line += `,"iopa.Observe":${observe}`
  return line + seqMember(seq)
}

/** Writes an answer as one line, without the line end. */
export function encodeBagAnswer(answer: BagAnswer, seq: BagSeq | undefined): string {
  const { status, reason, payload } = answer
  if (payload !== null && typeof payload !== 'string' && !(payload instanceof Uint8Array))
    throw new TypeError('collect the answer before it is encoded')
  let line = `{"iopa.StatusCode":${status}`
  if (reason !== reasonPhrase(status)) line += `,"iopa.ReasonPhrase":${JSON.stringify(reason)}`
  line += headersMember(answer.headerPairs) + bodyMembers(payload, answer.type, typeof payload === 'string' && answer.encoded)
  return line + seqMember(seq)
}

const seqMember = (seq: BagSeq | undefined): string =>
  seq === undefined ? '}' : typeof seq === 'number' ? `,"iopa.Seq":${seq}}` : `,"iopa.Seq":${JSON.stringify(seq)}}`

function headersMember(pairs: readonly string[]): string {
  if (pairs.length === 0) return ''
  const fields = new Map<string, string | string[]>()
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at]!.toLowerCase()
    if (name === 'content-type') continue
    const value = pairs[at + 1]!
    const field = fields.get(name)
    if (field === undefined) fields.set(name, value)
    else if (typeof field === 'string') fields.set(name, [field, value])
    else field.push(value)
  }
  let members = ''
  for (const [name, field] of fields) members += `${members && ','}${JSON.stringify(name)}:${JSON.stringify(field)}`
  return members && `,"iopa.Headers":{${members}}`
}
