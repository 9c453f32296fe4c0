import { IopaError, type OutgoingRequest } from '@iopa/transport'
import { OutgoingTrailers } from '../message/outgoing-trailers.ts'

/** The fields that a client sends after the body of its request; null for none. @throws IopaError 400 for those that HTTP cannot carry there */
export const trailersOf = ({ bag, body }: OutgoingRequest): OutgoingTrailers | null => {
  const given = bag['http.Trailers']
  if (given === undefined) return null
  if (body === null) throw new IopaError(400, 'bad-request', "'http.Trailers' come after a body: give the request one, or send them as headers.")
  const trailers = new OutgoingTrailers()
  for (const [name, value] of Object.entries(given)) {
    try {
      trailers.set(name, value)
    } catch (cause) {
      throw new IopaError(400, 'bad-request', `HTTP cannot carry this request: ${(cause as Error).message}`, { cause })
    }
  }
  return trailers.names === '' ? null : trailers
}
