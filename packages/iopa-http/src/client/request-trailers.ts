import { type ClientRequest, validateHeaderName, validateHeaderValue } from 'node:http'
import { IopaError, type OutgoingRequest } from '@iopa/transport'
import { mayFollowBody } from '../message/answer-fields.ts'

type TrailerValue = string | (() => string | Promise<string>)

/** The fields that a client sends after the body of its request, by name. */
export type OutgoingTrailers = readonly (readonly [name: string, value: TrailerValue])[]

/** The trailers of a request; null for none. @throws IopaError 400 for those that HTTP cannot carry */
export const trailersOf = ({ bag, body }: OutgoingRequest): OutgoingTrailers | null => {
  const trailers = Object.entries(bag['http.Trailers'] ?? {})
  if (trailers.length === 0) return null
  if (body === null) throw refused("'http.Trailers' come after a body; give the request one, or send them as headers")
  for (const [name, value] of trailers) {
    try {
      validateHeaderName(name)
      if (typeof value === 'string') validateHeaderValue(name, value)
    } catch (cause) {
      throw refused((cause as Error).message, cause)
    }
    if (!mayFollowBody(name.toLowerCase())) throw refused(`'${name}' must come before the body; send it as a header`)
  }
  return trailers
}

/** Adds the trailers when the body has left. Rejects with what a function throws, and with 400 for a value that HTTP cannot carry. */
export const addTrailers = async (message: ClientRequest, trailers: OutgoingTrailers): Promise<void> => {
  const fields: [string, string][] = []
  for (const [name, value] of trailers) fields.push([name, typeof value === 'string' ? value : await value()])
  try {
    message.addTrailers(fields)
  } catch (cause) {
    throw refused((cause as Error).message, cause)
  }
}

/** A body in memory as a stream. */
export async function* inOnePiece(body: Uint8Array): AsyncGenerator<Uint8Array> {
  if (body.length > 0) yield body
}

const refused = (why: string, cause?: unknown): IopaError =>
  new IopaError(400, 'bad-request', `HTTP cannot carry this request: ${why}.`, cause === undefined ? {} : { cause })
