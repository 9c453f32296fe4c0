import { collectBytes, HeaderMap, type LinkAnswer, receivedAnswer } from '@iopa/transport'
import { isBodyless, isOfConnection } from '../message/answer-fields.ts'
import type { Exchange } from './client-request.ts'

/** The answer that came: its body in memory when it says that it is no longer than `limit` bytes, else as a stream. */
export const answerOfExchange = async (method: string, stream: Exchange, limit: number): Promise<LinkAnswer> => {
  const { response } = stream
  const status = response.statusCode as number
  const fields = response.rawHeaders
  const pairs: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    if (!isOfConnection(name) || name.toLowerCase() === 'content-length') pairs.push(name, fields[at + 1] as string)
  }
  const parts = { headers: new HeaderMap(pairs), type: response.headers['content-type'] ?? '', reason: response.statusMessage ?? '' }
  const length = Number(response.headers['content-length'] ?? Number.NaN)
  if (method === 'HEAD' || isBodyless(status) || length === 0) {
    for await (const _ of stream.body());
    return receivedAnswer(status, parts)
  }
  if (length <= limit) return receivedAnswer(status, { ...parts, payload: await collectBytes(stream.body(), limit) })
  return receivedAnswer(status, { ...parts, payload: stream.body() })
}
