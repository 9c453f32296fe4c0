import http2 from 'node:http2'
import { atEnd } from './support.ts'

export interface Http2Answer {
  readonly status: number
  readonly headers: http2.IncomingHttpHeaders
  readonly body: string
  /** The code that its stream was closed with. */
  readonly code: number
}

/** A client of node:http2 that trusts any certificate. */
export const session = (origin: string, options: http2.SecureClientSessionOptions = {}): http2.ClientHttp2Session => {
  const client = http2.connect(origin, { rejectUnauthorized: false, ...options })
  client.on('error', () => undefined)
  atEnd(() => client.destroy())
  return client
}

/** Sends a request and reads all of its answer; status 0 where none came. */
export const ask = (client: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: string | Uint8Array): Promise<Http2Answer> =>
  new Promise(resolve => {
    const stream = client.request(headers, { endStream: body === undefined })
    let answer: http2.IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('response', received => {
      answer = received
    })
    stream.on('data', chunk => chunks.push(chunk as Buffer))
    stream.on('error', () => undefined)
    stream.on('close', () =>
      resolve({ status: Number(answer[':status'] ?? 0), headers: answer, body: Buffer.concat(chunks).toString(), code: stream.rstCode ?? 0 })
    )
    if (body !== undefined) stream.end(body)
  })
