import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import { transportContract } from '@iopa/testing'
import { checkTarget, type Link, type LinkEnd, linkLost, type OpenOptions, type OutgoingRequest, type Transport } from '@iopa/transport'
import { describe, test } from 'vitest'
import { AnswerTrailers } from '../src/client/answer-trailers.ts'
import { subscribe } from '../src/client/event-source.ts'
import { answerOfExchange, type Exchange } from '../src/client/exchange.ts'
import { type HttpOptions, http } from '../src/index.ts'

/** A link of HTTP/2 for the cases that concern a server; its peer must speak HTTP/2 at once. */
const open = async (url: URL, options: OpenOptions): Promise<Link> => {
  const { clock, limits } = options
  checkTarget(url, options)
  const session = http2.connect(url.origin)
  let error: unknown
  session.on('error', cause => (error = cause))
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
  const closed = new Promise<LinkEnd>(resolve => session.once('close', () => resolve({ reason: error === undefined ? 'finish' : 'lost', error })))
  const exchange = async (message: OutgoingRequest, signal: AbortSignal): Promise<Exchange> => {
    const { method, path, query, type, body } = message
    const fields: Record<string, string[]> = {}
    for (const [name, value] of message.headers) (fields[name.toLowerCase()] ??= []).push(value)
    const target = path.split('/').map(encodeURIComponent).join('/') + (query === '' ? '' : `?${query}`)
    const stream = session.request({ ':method': method, ':path': target, ...(type !== '' && { 'content-type': type }), ...fields } as never, {
      endStream: body === null,
      signal
    })
    const head = new Promise<IncomingMessage>((resolve, reject) => {
      stream.once('response', (headers: http2.IncomingHttpHeaders, _flags: number, raw: string[]) =>
        resolve({ statusCode: headers[':status'], headers, rawHeaders: raw.slice(2) } as unknown as IncomingMessage)
      )
      stream.on('error', cause => reject(linkLost({ sent: true }, cause)))
      stream.once('close', () => reject(linkLost({ sent: true })))
    })
    head.catch(() => undefined)
    if (body instanceof Uint8Array) stream.end(body)
    else if (body !== null) {
      for await (const chunk of body) stream.write(chunk)
      stream.end()
    }
    return { response: await head, body: () => bodyOf(stream), trailers: new AnswerTrailers() }
  }
  return {
    concurrency: 50,
    closed,
    request: async (message, { signal }) => answerOfExchange(message.method, await exchange(message, signal)),
    subscribe: (message, sink, { signal, resume }) =>
      subscribe(message, { sink, resume, clock, limits, exchange: request => exchange(request, signal) }),
    close: async () => session.destroy()
  }
}

async function* bodyOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk
  } catch (error) {
    throw linkLost({ sent: true }, error)
  }
}

const http2Transport = (options: HttpOptions): Transport => ({ ...http({ ...options, http2: true }), open })

describe('transport contract of HTTP/2', () => {
  const cases = transportContract({
    transport: ({ allowUnauthenticated: _, limits, ...options }) => http2Transport({ port: 0, ...options, ...(limits && { limits }) }),
    url: listener => listener.url.href,
    features: { guarded: false }
  })
  for (const { name, run } of cases) test(name, run)
})
