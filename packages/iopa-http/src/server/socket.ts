import type { Duplex } from 'node:stream'
import type { Clock } from '@iopa/appbuilder'

// How long a connection that this side has ended takes in what the peer still sends, in milliseconds. Closing at once
// would reset it, and the peer could lose the answer that says why (RFC 9112 section 9.6).
const LINGER = 1000

/** A socket of node:net or node:tls, or the stream in its place. */
export type Socket = Duplex & { readonly bytesRead: number }

/** Ends a connection after `last`, takes in what the peer still sends, and drops it when that takes more than a second. */
export const leave = (socket: Socket, clock: Clock, last?: Uint8Array): void => {
  if (socket.destroyed) return
  const timer = clock.setTimeout(() => socket.destroy(), LINGER)
  socket.once('close', () => clock.clearTimeout(timer))
  if (last === undefined) socket.end()
  else socket.end(last)
  socket.resume()
}

/** Ends a connection on which nothing is under way, after what was written. */
export const finish = (socket: Socket): void => {
  if (socket.writableFinished) socket.destroy()
  else if (!socket.destroyed) socket.end(() => socket.destroy())
}
