import type { Duplex } from 'node:stream'
import type { ByteChannel, Connection } from '@iopa/transport'
import { channelStream } from '@iopa/transport/node'
import type { HttpOptions } from '../options.ts'
import { HttpConnection } from '../server/connection.ts'
import type { ConnectionSettings, ServedConnection } from '../server/served-connection.ts'
import { Http2Connection, sessionOptions } from './connection.ts'
import { PeekedChannel } from './peeked-channel.ts'

/** Serves the connections of a listener that speak HTTP/2. It is loaded by listeners that may meet some. */
export interface Http2Engine {
  /**
   * False for a connection of HTTP/1.1, which is left to the caller. Otherwise `speaks` is called with what serves it, once that is known, and `closed`
   * when it is gone.
   */
  accept(channel: ByteChannel, counted: Connection, closed: () => void, speaks: (speaker: ServedConnection) => void): boolean
}

const STREAMS = 100

/** `native` says that channels are those of sockets of Node. */
export const http2Engine = (settings: ConnectionSettings, { http2, tls }: HttpOptions, native: boolean): Http2Engine => {
  const streams = typeof http2 === 'object' ? (http2.streams ?? STREAMS) : STREAMS
  const options = sessionOptions(settings.limits, streams)
  return {
    accept(channel, counted, closed, speaks) {
      if (channel.protocol === 'h2') {
        const socket = native ? (channel.raw as Duplex) : (channelStream(channel) as Duplex)
        speaks(new Http2Connection(channel, socket, counted, settings, options, closed))
        return true
      }
      if (tls !== undefined) return false
      const peeked = new PeekedChannel(channel, isHttp2 =>
        speaks(
          isHttp2
            ? new Http2Connection(peeked, channelStream(peeked) as Duplex, counted, settings, options, closed)
            : new HttpConnection(peeked, counted, settings, closed)
        )
      )
      speaks(peeked.waiting(settings.clock, settings.limits, counted, closed))
      return true
    }
  }
}
