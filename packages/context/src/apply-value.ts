import type { HeadersInit } from '@iopa/constants'
import { assignHeaders, type HeaderMap } from './header-map.ts'
import { abandonValue } from './held-bodies.ts'
import type { Payload } from './payload-stream.ts'
import type { Reply } from './reply.ts'
import { sendPromptly } from './source-streams.ts'
import { KIND, type Kind, kindOf } from './value-kind.ts'

/** What a value is written to: the answer of a context. */
export interface ValueTarget {
  /** The status that was set; 0 for none. */
  readonly code: number
  status: number
  type: string
  body: unknown
  readonly headers: HeaderMap
  setBody(body: unknown, kind: Kind): void
  noteLength(): void
}

/** An answer that a handler returned: of a client, or of another run. */
interface ReturnedAnswer {
  readonly status: number
  readonly type: string
  readonly sealed: boolean
  readonly payload: Payload
  readonly body: unknown
  readonly headers: HeadersInit
}

/** Writes what a handler returned to the answer; undefined changes nothing, an Error is thrown. */
export const applyValue = (answer: ValueTarget, value: unknown): void => {
  if (value === undefined || value === answer) return
  if (typeof value !== 'object' || value === null) answer.body = value
  else applyKind(answer, value, kindOf(value), true)
}

/** Writes an object of a known kind; `whole` also writes the status of what has one. */
export const applyKind = (answer: ValueTarget, value: object, kind: Kind, whole: boolean): void => {
  if (kind === KIND.Error) throw value
  if (kind !== KIND.Reply && kind !== KIND.Answer && kind !== KIND.Response) {
    answer.setBody(value, kind)
    return
  }
  try {
    if (kind === KIND.Reply) applyReply(answer, value as Reply, whole)
    else if (kind === KIND.Answer) applyAnswer(answer, value as ReturnedAnswer, whole)
    else applyResponse(answer, value as Response, whole)
  } catch (error) {
    // A status or header that is none: its body may not have been taken yet.
    abandonValue(value)
    throw error
  }
}

const applyReply = (answer: ValueTarget, value: Reply, whole: boolean): void => {
  if (whole || answer.code === 0) answer.status = value.status
  if (value.body !== undefined) answer.body = value.body
  if (value.headers !== undefined) assignHeaders(answer.headers, value.headers)
}

const applyAnswer = (answer: ValueTarget, value: ReturnedAnswer, whole: boolean): void => {
  if ((value as unknown) === answer) return
  const { status, type } = value
  if (status !== 0 && (whole || answer.code === 0)) answer.status = status
  answer.body = value.sealed ? (value.payload ?? undefined) : value.body
  assignHeaders(answer.headers, value.headers)
  if (type !== '') {
    answer.headers.delete('content-type')
    answer.type = type
  }
  answer.noteLength()
}

const applyResponse = (answer: ValueTarget, value: Response, whole: boolean): void => {
  const { body, status } = value
  if (whole || answer.code === 0) answer.status = status
  answer.body = body === null ? undefined : sendPromptly(body)
  const { headers } = answer
  const decoded = body !== null && isDecoded(value)
  const connection =
    value.headers
      .get('connection')
      ?.toLowerCase()
      .split(/[\t ]*,[\t ]*/) ?? []
  value.headers.forEach((field, name) => {
    if (CONNECTION_FIELDS.has(name) || connection.includes(name)) return
    if (decoded && (name === 'content-length' || name === 'content-encoding')) return
    // Only this field cannot be joined to one (RFC 6265 section 3).
    if (name === 'set-cookie') headers.append(name, field)
    else headers.set(name, field)
  })
  answer.noteLength()
}

/** True for a response of which fetch has taken off the coding; one that the app has made has no URL, and its body is as it says. */
const isDecoded = (response: Response): boolean =>
  response.headers.has('content-encoding') && (response.url !== '' || response.type === 'basic' || response.type === 'cors')

// They belong to the connection on which the response came (RFC 9110 section 7.6.1).
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade'
])
