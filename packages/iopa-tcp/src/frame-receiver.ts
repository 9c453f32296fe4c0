import type { Connection, Context, Counters, Endpoint, Host, IopaError } from '@iopa/transport'
import type { AnswerWriter } from './answer-writer.ts'

/** Makes requests of the frames of one connection. */
export interface FrameReceiver {
  /** True while something other than running requests keeps the connection open. */
  readonly occupied: boolean
  /** Takes one frame; an error that it throws ends the connection. */
  receive(frame: Uint8Array): void
  /** The user of the connection has ended; says so, where the framing has words for it. */
  userEnded(error: IopaError): void
}

/** What a frame receiver works with. */
export interface RequestPorts {
  readonly host: Host
  readonly endpoint: Endpoint
  /** Parent of every request. */
  readonly connection: Context
  readonly answers: AnswerWriter
  readonly counted: Connection
  readonly counters: Counters
  /** Sends what is finished, and reads on, at the end of this turn. */
  readonly schedule: () => void
}
