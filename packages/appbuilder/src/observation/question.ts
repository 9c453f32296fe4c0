import type { RunContext } from '@iopa/context/host'

/** A body that is longer is not worth keeping as part of a key. */
const LONGEST_BODY = 1024

/** What an observer asks, as it asked: middleware may have rewritten the context since. */
export interface Question {
  readonly method: 'GET' | 'FETCH'
  readonly path: string
  readonly query: string
  readonly rawPath: string
  /** Media types that it takes, as `accepted` writes them. */
  readonly accept: string
  /** The same media types without their weights, in the order of preference: what observers are compared by. */
  readonly media: string
  /** The body of a FETCH with its type and coding, which are part of what it asks (RFC 8132 section 2); null for one that is too long to be compared. */
  readonly content: string | null
}

/** The question of a context that has not run. */
export const questionOf = (context: RunContext): Question => {
  const accept = accepted(context['iopa.Headers'].getAll('accept'))
  return {
    method: context['iopa.Method'] === 'FETCH' ? 'FETCH' : 'GET',
    path: context['iopa.PathBase'] + context['iopa.Path'],
    query: context['iopa.QueryString'],
    rawPath: context['server.RawPath'],
    accept,
    media: unweighted(accept),
    content: context['iopa.Method'] === 'FETCH' ? contentOf(context) : ''
  }
}

/** A GET of `path` in the name of a context that has asked something else, or the same. */
export const getOf = (path: string, as: RunContext): Question => {
  const own = as['iopa.PathBase'] + as['iopa.Path'] === path
  const accept = accepted(as['iopa.Headers'].getAll('accept'))
  return {
    method: 'GET',
    path,
    query: own ? as['iopa.QueryString'] : '',
    rawPath: own ? as['server.RawPath'] : path,
    accept,
    media: unweighted(accept),
    content: ''
  }
}

const contentOf = (context: RunContext): string | null => {
  const body = context['iopa.Body']
  if (body !== null && (!(body instanceof Uint8Array) || body.length > LONGEST_BODY)) return null
  const coding = context['iopa.Headers'].get('content-encoding') ?? ''
  return `FETCH ${context['iopa.ContentType']}\n${coding}\n${body === null ? '' : String.fromCharCode(...body)}`
}

/**
 * The media types that Accept asks for, the most wanted first, in one form for equal wishes (RFC 9110 section 12.5.1): without those of weight 0
 * that no other range includes, and without `text/event-stream`, which says how to deliver and not what. Empty for everything.
 */
const accepted = (fields: readonly string[]): string => {
  if (fields.length === 0) return ''
  const types: { readonly text: string; readonly weight: number }[] = []
  for (const field of fields) {
    for (const one of field.toLowerCase().match(ELEMENT) ?? []) {
      const [type = '', ...parameters] = one.split(';').map(part => part.trim())
      const weight = parameters.find(parameter => parameter.startsWith('q='))
      const quality = weight === undefined ? 1 : Number(weight.slice(2))
      if (type === '' || type === 'text/event-stream') continue
      types.push({ text: [type, ...parameters.filter(parameter => parameter !== weight)].join(';'), weight: Number.isNaN(quality) ? 1 : quality })
    }
  }
  const ranges = types.filter(({ text, weight }) => weight > 0 && text.includes('*')).map(({ text }) => text.replace(/\*.*/, ''))
  const wanted = types.filter(({ text, weight }) => weight > 0 || ranges.some(range => range === '' || text.startsWith(range)))
  if (wanted.length === 1 && wanted[0]?.text === '*/*') return ''
  // Of equal weight the order says nothing.
  wanted.sort((a, b) => b.weight - a.weight || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
  return wanted.map(({ text, weight }) => (weight === 1 ? text : `${text};q=${weight}`)).join(', ')
}

/** Without weights other than 0; taking anything is the same as asking for nothing. */
const unweighted = (accept: string): string => {
  const media = accept.replace(/;q=(?!0(?:, |$))[\d.]+(?=, |$)/g, '')
  return media === '*/*' ? '' : media
}

// Elements of a list; a comma within a quoted string does not end one.
const ELEMENT = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g

/** True where an authorization, a cookie or a certificate came with the request. */
export const hasCredentials = (context: RunContext): boolean => {
  const headers = context['iopa.Headers']
  return headers.has('authorization') || headers.has('cookie') || context['ssl.ClientCertificate'] !== undefined
}

/** Header fields of the run of a notification: those that do not ask about a state that the observer had once (RFC 9110 sections 13 and 14, HTML section 9.2.4). */
export const fieldsOf = (question: Question, as: RunContext): string[] => {
  const pairs: string[] = []
  for (const [name, value] of as['iopa.Headers']) {
    const lower = name.toLowerCase()
    if (!OF_THE_FIRST_REQUEST.has(lower) && lower !== 'accept') pairs.push(name, value)
  }
  if (question.accept !== '') pairs.push('accept', question.accept)
  return pairs
}

/** Fields that only the first request may carry. */
const OF_THE_FIRST_REQUEST: ReadonlySet<string> = new Set([
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  'last-event-id'
])

/** Fields whose values are part of `content`, so equal observers have them alike. */
const OF_THE_CONTENT: ReadonlySet<string> = new Set([...OF_THE_FIRST_REQUEST, 'content-encoding', 'content-type'])

/** Fields that a run may read without being its observer's own: those that it has not got, and those that are compared in any case. */
export const unrecorded = (question: Question): ReadonlySet<string> => (question.method === 'FETCH' ? OF_THE_CONTENT : OF_THE_FIRST_REQUEST)
